//! The real program, as people and scripts call it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doctor;
mod pages;
mod sessions;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use gatepass::{
    Authority, Device, Identity, Issued, KeySet, MasterSecret, MemoryStore,
    inspect::verify_jws,
    keys::{Algorithm, SigningKey, VerifyingKey},
};
use tempfile::TempDir;

/// Runs the program in `directory`, with `input` as standard input.
fn gatepass(directory: &Path, args: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatepass"))
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that doesn't read its input may have exited already.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn succeeds(directory: &Path, args: &[&str], input: &str) -> String {
    let output = gatepass(directory, args, input);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    text(&output.stdout).to_owned()
}

/// The text that it writes to standard error when it fails.
#[track_caller]
fn fails(directory: &Path, args: &[&str], input: &str) -> String {
    let output = gatepass(directory, args, input);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    text(&output.stderr).to_owned()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn issued(keys: KeySet, master: MasterSecret) -> Issued {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new();
        let authority = Authority::builder("https://shop.example", "shop-api", master, store)
            .keys(keys)
            .build()
            .await
            .unwrap();
        let identity = Identity::new("alice").unwrap();
        authority.issue(identity, Device::default()).await.unwrap()
    })
}

#[test]
fn a_made_key_signs_and_its_printed_half_verifies() {
    let directory = directory();
    let path = directory.path();
    for (args, file, algorithm) in [
        (&["ed25519"][..], "ed25519.pem", Algorithm::EdDsa),
        (&["es256"], "es256.pem", Algorithm::Es256),
        (
            &["es384", "--out", "other.pem"],
            "other.pem",
            Algorithm::Es384,
        ),
        (&["rsa", "--bits", "2048"], "rsa.pem", Algorithm::Rs256),
    ] {
        let out = succeeds(path, &[&["keygen"], args].concat(), "");
        let (id, jwk) = out.trim_end().split_once('\n').unwrap();
        let key = SigningKey::from_pem(algorithm, &fs::read(path.join(file)).unwrap()).unwrap();
        assert_eq!(key.verifying_key().id(), id);
        let public = VerifyingKey::from_jwk(algorithm, jwk).unwrap();

        let token = issued(KeySet::signing(key), MasterSecret::generate().unwrap());
        let token = token.access_token.as_str().to_owned();
        assert!(verify_jws(&public, &token).is_ok(), "{file}");
        let shown = succeeds(path, &["inspect", "--key", file], &token);
        assert!(
            shown.contains(&format!("signature: good, {algorithm}")),
            "{shown}"
        );
    }
}

#[test]
fn a_made_secret_is_never_printed_and_never_overwritten() {
    let directory = directory();
    let path = directory.path();
    let first = gatepass(path, &["keygen", "secret"], "");
    let secret = fs::read_to_string(path.join("gatepass.secret")).unwrap();
    assert!(MasterSecret::from_bytes(secret.as_bytes()).is_ok());
    for said in [&first.stdout, &first.stderr] {
        assert!(!text(said).contains(&secret[..16]));
    }
    let key = SigningKey::hs256(secret.as_bytes()).unwrap();
    assert_eq!(text(&first.stdout).trim_end(), key.verifying_key().id());

    let said = fails(path, &["keygen", "secret"], "");
    assert!(said.contains("--out"), "{said}");
    let said = fails(path, &["keygen", "secret", "--out", "-"], "");
    assert!(said.contains("standard output"), "{said}");
    let now = fs::read_to_string(path.join("gatepass.secret")).unwrap();
    assert_eq!(now, secret);
}

#[test]
fn the_derived_key_verifies_what_the_master_secret_signs_and_says_no_more() {
    let directory = directory();
    let path = directory.path();
    succeeds(path, &["keygen", "secret"], "");
    let made = succeeds(path, &["keygen", "hs256", "--from", "gatepass.secret"], "");
    let secret = fs::read(path.join("gatepass.secret")).unwrap();
    let master = MasterSecret::from_bytes(&secret).unwrap();
    let jwk = fs::read_to_string(path.join("hs256.jwk")).unwrap();
    let key = SigningKey::from_jwk(Algorithm::Hs256, &jwk).unwrap();
    assert_eq!(made.trim_end(), key.verifying_key().id());

    let token = issued(KeySet::signing(SigningKey::derived(&master)), master);
    let token = token.access_token.as_str();
    assert!(verify_jws(key.verifying_key(), token).is_ok());
    let shown = succeeds(path, &["inspect", "--key", "hs256.jwk"], token);
    assert!(!shown.contains(&jwk[15..40]), "{shown}");

    fs::write(path.join("short"), "hunter2").unwrap();
    let said = fails(
        path,
        &["keygen", "hs256", "--from", "short", "--out", "new"],
        "",
    );
    assert!(
        said.contains("openssl rand") && !said.contains("hunter2"),
        "{said}"
    );
    assert!(!path.join("new").exists());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_was_made() {
    use std::os::unix::fs::PermissionsExt;

    let directory = directory();
    for kind in ["secret", "ed25519"] {
        succeeds(directory.path(), &["keygen", kind, "--out", kind], "");
        let mode = fs::metadata(directory.path().join(kind))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{kind}");
    }
}

#[test]
fn a_token_is_inspected_with_whatever_its_key_is_in() {
    let directory = directory();
    let path = directory.path();
    succeeds(path, &["keygen", "secret"], "");
    succeeds(path, &["keygen", "secret", "--out", "other.secret"], "");
    let master =
        MasterSecret::from_bytes(&fs::read(path.join("gatepass.secret")).unwrap()).unwrap();
    let keys = KeySet::signing(SigningKey::derived(&master));
    let issued = issued(keys, master);
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());

    for token in [access, refresh] {
        let shown = succeeds(path, &["inspect"], token);
        assert!(shown.starts_with("NOT TO BE TRUSTED: "), "{shown}");
        assert!(
            shown.contains("--key") && shown.contains(&issued.session_id.to_string()),
            "{shown}"
        );
        let service = ["--issuer", "https://shop.example", "--audience", "shop-api"];
        let key = ["inspect", "--key", "gatepass.secret"];
        let shown = succeeds(path, &[&key[..], &service, &[token]].concat(), "");
        assert!(
            shown.starts_with("NOT TO BE TRUSTED for that alone"),
            "{shown}"
        );
        let output = gatepass(path, &["inspect", "--key", "other.secret"], token);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stdout);
        assert!(
            shown.starts_with("NOT TO BE TRUSTED: ") && shown.contains("wrong\n  - "),
            "{shown}"
        );
        // The output has neither the token nor its signature.
        assert!(!shown.contains(token) && !shown.contains(token.rsplit('.').next().unwrap()));
    }
    // Refresh tokens are bound to issuer and audience.
    let key = ["inspect", "--key", "gatepass.secret"];
    let output = gatepass(path, &key, refresh);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("give --issuer and --audience"));
    let other = [
        "--issuer",
        "https://shop.example",
        "--audience",
        "admin-api",
    ];
    let output = gatepass(path, &[&key[..], &other].concat(), refresh);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("another issuer or audience"));
    for input in [&b"hunter2"[..], b"", &[0xff; 3000], &vec![b'.'; 1 << 21]] {
        let output = gatepass(path, &["inspect", "-"], input);
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_set_of_public_keys_verifies_what_one_of_them_signed() {
    let directory = directory();
    let path = directory.path();
    for (kind, file) in [
        ("ed25519", "a.pem"),
        ("es256", "b.pem"),
        ("ed25519", "c.pem"),
    ] {
        succeeds(path, &["keygen", kind, "--out", file], "");
    }
    let pem = fs::read(path.join("b.pem")).unwrap();
    let token = issued(
        KeySet::signing(SigningKey::from_any_pem(&pem).unwrap()),
        MasterSecret::generate().unwrap(),
    );
    let token = token.access_token.as_str();
    for (keys, code, said) in [
        (&["a.pem", "b.pem"][..], 0, "good, ES256"),
        (&["a.pem", "c.pem"], 1, "no key that the token names"),
    ] {
        let set = succeeds(path, &[&["jwks"], keys].concat(), "");
        let (read, skipped) = KeySet::from_jwks(&set).unwrap();
        assert_eq!((read.ids().count(), skipped.len()), (2, 0));
        fs::write(path.join("set.json"), set).unwrap();
        let output = gatepass(path, &["inspect", "--key", "set.json"], token);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn a_set_names_the_algorithm_that_was_asked_for() {
    let directory = directory();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../gatepass/tests/keys");
    for (file, algorithm) in [
        (format!("{keys}/rsa.pem"), "RS256"),
        (format!("PS384:{keys}/rsa.pub.pem"), "PS384"),
        (format!("{keys}/p384.pub.pem"), "ES384"),
    ] {
        let set = succeeds(directory.path(), &["jwks", &file], "");
        assert!(set.contains(&format!(r#""alg":"{algorithm}""#)), "{set}");
        assert!(!set.contains(r#""d":"#), "{set}");
    }
}

#[test]
fn a_mistake_is_an_error_that_names_the_file_and_the_way_out() {
    let directory = directory();
    let path = directory.path();
    fs::write(path.join("short"), "hunter2").unwrap();
    succeeds(path, &["keygen", "ed25519"], "");
    for (args, said) in [
        (&["jwks", "missing.pem"][..], "missing.pem"),
        (&["jwks", "short"], "gatepass keygen"),
        (&["jwks", "HS256:short"], "a key set never holds a secret"),
        (&["jwks", "ES256:ed25519.pem"], "ES256 needs"),
        (&["jwks", "ed25519.pem", "ed25519.pem"], "a second time"),
        (&["inspect", "--key", "short"], "openssl rand"),
        (&["keygen", "ed25519", "--out", "missing/a.pem"], "--out"),
    ] {
        let error = fails(path, args, "a.b.c");
        assert!(
            error.starts_with("error: ") && error.contains(said),
            "{args:?}: {error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_flag_that_there_is_not_is_reported_by_its_name() {
    let directory = directory();
    for (args, said) in [
        (&["--nonsense"][..], "'--nonsense'"),
        (&["keygen", "--nonsense"], "'--nonsense'"),
        (&["keygen", "secret", "--ouT", "new"], "'--ouT'"),
        (&["keygen", "ed25519", "--bits", "2048"], "'--bits'"),
        (&["jwks", "--nonsense"], "'--nonsense'"),
        (&["inspect", "--nonsense"], "'--nonsense'"),
        (&["inspect", "--kye", "a.pem"], "'--kye'"),
        (&["inspect", "-k", "a.pem"], "'-k'"),
        (&["inspect", "--key"], "a value is required for '--key"),
        (
            &["inspect", "--key", "--key"],
            "a value is required for '--key",
        ),
        (
            &["keygen", "secret", "--out"],
            "a value is required for '--out",
        ),
        (&["jwks"], "[ALG:]FILE"),
        (&["keygen"], "Usage"),
        (&["sign"], "'sign'"),
        (&["inspect", "a.b.c", "d.e.f"], "'d.e.f'"),
    ] {
        let output = gatepass(directory.path(), args, "a.b.c");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // After two dashes, an argument that looks like a flag is a token.
    let output = gatepass(directory.path(), &["inspect", "--", "--nonsense"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("NOT TO BE TRUSTED"));
}
