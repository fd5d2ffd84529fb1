use std::{fs, time::Duration};

use clap::Parser;
use gatepass::{
    Authenticator, Credentials, Device, Error, Issued, Refusal, Requirements, Scopes, UserUpdate,
};
use gatepass_testkit::ManualClock;

use super::*;
use crate::testing;

fn sqlite(path: PathBuf) -> StoreLocation {
    StoreLocation::Database(Database::Sqlite(path))
}

fn settings(args: &[&str]) -> Settings {
    let elsewhere = args.contains(&"--store");
    let memory: &[&str] = if elsewhere {
        &[]
    } else {
        &["--store", "memory"]
    };
    Settings::parse_from(["example"].iter().chain(memory).chain(args))
}

async fn app() -> (App, ManualClock) {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let secret = MasterSecret::generate().unwrap();
    let app = App::with_store(&settings(&[]), secret, store, clock.clone()).await;
    (app.unwrap(), clock)
}

async fn log_in(app: &App) -> Result<Issued, Error> {
    let credentials = Credentials::new("alice", "alice-in-wonderland");
    app.authority.login(&credentials, Device::default()).await
}

#[tokio::test]
async fn a_refresh_gets_the_scopes_that_the_user_has_by_then() {
    let (app, _) = app().await;
    let first = log_in(&app).await.unwrap();
    let more = Scopes::parse("admin profile").unwrap();
    assert!(app.users.set_scope("alice", more.clone()).await.unwrap());

    let second = app.authority.refresh(first.refresh_token.as_str()).await;
    assert_eq!(second.unwrap().scopes, more);
}

#[tokio::test]
async fn a_user_whose_row_was_deleted_is_logged_out_at_the_next_refresh() {
    let (app, _) = app().await;
    let issued = log_in(&app).await.unwrap();
    let bob = NewUser::new("bob", "bob-the-builder", "profile").unwrap();
    app.users.replace_all(vec![bob]).await.unwrap();

    let refused = app.authority.refresh(issued.refresh_token.as_str()).await;
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::SessionEnded))
    ));
    let refused = log_in(&app).await;
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::BadCredentials))
    ));
}

#[tokio::test]
async fn sessions_and_users_outlive_the_process_in_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("app.db");
    let mut settings = settings(&[]);
    settings.store = sqlite(database);
    let issued = log_in(&App::start(&settings).await.unwrap()).await.unwrap();

    let again = App::start(&settings).await.unwrap();
    let refreshed = again.authority.refresh(issued.refresh_token.as_str()).await;
    assert_eq!(refreshed.unwrap().session_id, issued.session_id);
    let mut files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    files.sort();
    assert_eq!(files, ["app.db", "gatepass.secret"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_that_is_made_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&[]);
    settings.store = sqlite(directory.path().join("app.db"));
    let _app = App::start(&settings).await.unwrap();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn the_users_are_those_of_the_file_at_each_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    let mut settings = settings(&[]);
    settings.store = sqlite(directory.path().join("app.db"));
    settings.users = Some(file.clone());
    for (present, absent) in [("carol", "dave"), ("dave", "carol")] {
        let users = format!(r#"[{{"username":"{present}","password":"p","scope":"profile"}}]"#);
        fs::write(&file, users).unwrap();
        let app = App::start(&settings).await.unwrap();
        for (name, exists) in [(present, true), (absent, false)] {
            let credentials = Credentials::new(name, "p");
            let outcome = app.authority.login(&credentials, Device::default()).await;
            assert_eq!(outcome.is_ok(), exists, "{name}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_start_that_fails_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        testing::write_private(&directory.path().join(name), content);
    };
    write("short", "hunter2");
    write("long", &"0123456789abcdef".repeat(8));
    write("text.db", &"this is no database ".repeat(100));
    let path = |name: &str| directory.path().join(name).display().to_string();
    let secret = path("long");
    let start = async |args: &[&str]| {
        let settings = settings(&[&["--secret-file", &secret], args].concat());
        format!("{:#}", App::start(&settings).await.map(drop).unwrap_err())
    };
    for (args, said) in [
        (&["--listen", "0.0.0.0:3000"][..], "--users"),
        (&["--users", &path("missing")], "missing"),
        (&["--jwt-secret-file", &path("missing")], "missing"),
        (&["--jwt-secret-file", &path("short")], "openssl rand"),
        (&["--key", &path("short")], "openssl genpkey"),
        (&["--access-ttl", "100d"], "idle lifetime"),
        (&["--issuer", ""], "issuer"),
        (
            &["--store", "postgres://u:hunter2@127.0.0.1:1/d"],
            "cannot reach PostgreSQL at 127.0.0.1:1/d",
        ),
        (
            &["--store", "postgres://u:hunter2@nowhere:port/d"],
            "not a URL of PostgreSQL",
        ),
        (
            &["--user-store", "postgres://u:hunter2@127.0.0.1:1/d"],
            "cannot reach the users' database at 127.0.0.1:1",
        ),
        (
            &["--store", "postgres://u:12/hunter2@127.0.0.1:1/d"],
            "not a URL of PostgreSQL",
        ),
        (
            &["--user-store", "postgres://u:12/hunter2@127.0.0.1:1/d"],
            "the URL of the users' database must be like",
        ),
        (
            &["--user-store", "postgres://u:hunter2@nowhere:port/d"],
            "the URL of the users' database must be like",
        ),
    ] {
        let error = start(args).await;
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(!error.contains("hunter2"), "{args:?}: {error}");
    }
    for (database, said) in [
        ("text.db", "not an SQLite database"),
        ("missing/app.db", "directory that exists"),
    ] {
        let mut settings = settings(&[]);
        settings.store = sqlite(directory.path().join(Path::new(database)));
        let error = format!("{:#}", App::start(&settings).await.unwrap_err());
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn settings_that_are_refused_leave_no_file_behind() {
    let (files, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in [
        ("short", "hunter2"),
        ("text.db", &"this is no database ".repeat(100)),
        ("users.json", r#"[{"username":"a"}]"#),
        ("clients", "spa\nshop:a-secret\nspa\n"),
    ] {
        testing::write_private(&files.path().join(name), content);
    }
    let path = |name: &str| files.path().join(name).display().to_string();
    let in_own = |name: &str| format!("sqlite:{}", own.path().join(name).display());
    let file = |name: &str| format!("sqlite:{}", path(name));
    for args in [
        &["--listen", "0.0.0.0:3000"][..],
        &[
            "--listen",
            "0.0.0.0:3000",
            "--users",
            &path("users.json"),
            "--insecure-localhost-cookies",
        ],
        &["--users", &path("missing")],
        &["--users", &path("users.json")],
        &["--secret-file", &path("missing")],
        &["--secret-file", &path("short")],
        &["--jwt-secret-file", &path("short")],
        &["--key", &path("missing")],
        &["--access-ttl", "100d"],
        &["--overlap", "1h"],
        &["--max-staleness", "0s"],
        &["--issuer", ""],
        &["--transport", "cookie", "--trusted-origin", "not an origin"],
        &["--trusted-proxy", "not a network"],
        &["--client", "shop:"],
        &["--client", "spa", "--client", "spa"],
        &["--client-file", &path("clients")],
        &["--client-file", &path("missing")],
        &["--user-store", "postgres://u:hunter2@127.0.0.1:1/d"],
        &["--user-store", &file("text.db")],
        &["--user-store", &file("missing/users.db")],
        &[
            "--store",
            "redis://127.0.0.1:1",
            "--user-store",
            &in_own("users.db"),
        ],
        &[
            "--store",
            &file("text.db"),
            "--user-store",
            &in_own("users.db"),
        ],
        &[
            "--store",
            &file("missing/app.db"),
            "--user-store",
            &in_own("users.db"),
        ],
    ] {
        let store = in_own("app.db");
        let elsewhere = args.contains(&"--store");
        let own_store: &[&str] = if elsewhere { &[] } else { &["--store", &store] };
        let settings = settings(&[own_store, args].concat());
        let started = App::start(&settings).await;
        assert!(started.is_err(), "{args:?}");
        let left: Vec<_> = fs::read_dir(own.path()).unwrap().collect();
        assert!(left.is_empty(), "{args:?}: {left:?}");
    }
    assert_eq!(fs::read_dir(files.path()).unwrap().count(), 4);
}

#[test]
fn a_key_of_any_kind_signs_as_its_name_says_or_as_is_usual() {
    let keys = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../crates/gatepass/tests/keys"
    );
    for (given, signs) in [
        ("ed25519.pem", "EdDSA"),
        ("p256.pem", "ES256"),
        ("p384.pem", "ES384"),
        ("rsa.pem", "RS256"),
        ("PS256:rsa.pem", "PS256"),
        ("ES256:p256.pem", "ES256"),
        // Not made as a secret, but long enough for one.
        ("HS512:openssl.jws", "HS512"),
    ] {
        let given = match given.split_once(':') {
            Some((algorithm, file)) => format!("{algorithm}:{keys}/{file}"),
            None => format!("{keys}/{given}"),
        };
        let set = super::keys(&settings(&["--key", &given])).unwrap().unwrap();
        let shown = format!("{set:?}");
        assert!(
            shown.to_uppercase().contains(&signs.to_uppercase()),
            "{shown}"
        );
    }
    let wrong = format!("ES256:{keys}/rsa.pem");
    let error = super::keys(&settings(&["--key", &wrong])).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("ES256 needs a key on the curve P-256"),
        "{error}"
    );
}

#[tokio::test]
async fn access_tokens_of_an_announced_key_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    // The key of RFC 8410, section 10.3, and another key.
    let pem = |name: &str, der: &str| {
        let path = directory.path().join(name);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let old = pem(
        "old.pem",
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    );
    let new = pem(
        "new.pem",
        "MC4CAQAwBQYDK2VwBCIEIEA/cKGVyrlSd5HNmrNIV3sD9ZHfVmOTNiYlzMwpFAgi",
    );
    let store = Arc::new(MemoryStore::new());
    let secret = MasterSecret::generate().unwrap();
    let start = async |args: &[&str]| {
        App::with_store(&settings(args), secret.clone(), store.clone(), SystemClock).await
    };
    let before = start(&["--key", &old]).await.unwrap();
    let token = log_in(&before).await.unwrap().access_token;

    let after = start(&["--key", &new, "--key", &old]).await.unwrap();
    let requirements = Requirements::new();
    after
        .authority
        .verifier()
        .verify(token.as_str(), &requirements)
        .await
        .unwrap();
    let alone = start(&["--key", &new]).await.unwrap();
    let refused = alone
        .authority
        .verifier()
        .verify(token.as_str(), &requirements)
        .await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::UnknownKey))));
}

#[tokio::test]
async fn a_device_is_named_by_the_login_and_keeps_its_name_when_scopes_change() {
    use gatepass::wire::{RequestBody, RequestHead};

    let (app, clock) = app().await;
    let head = RequestHead::new("POST", "/auth/login", |name| {
        (name == "content-type")
            .then_some(&b"application/json"[..])
            .into_iter()
    });
    let body = br#"{"username":"bob","password":"bob-the-builder","device":"Bob's phone"}"#;
    app.endpoints
        .handle(&head, RequestBody::Complete(body))
        .await;
    let bob = gatepass::Subject::new("bob").unwrap();
    let label = async || {
        let sessions = app.authority.sessions(&bob, None).await.unwrap().sessions;
        sessions[0].identity.device_label().map(str::to_owned)
    };
    assert_eq!(label().await.as_deref(), Some("Bob's phone"));

    app.users.set_scope("bob", Scopes::default()).await.unwrap();
    clock.advance(Duration::from_secs(60));
    let sessions = app.authority.sessions(&bob, None).await.unwrap().sessions;
    let UserUpdate::Changed(identity) = app.users.reload_user(&sessions[0]).await.unwrap() else {
        panic!("the scopes have changed");
    };
    assert_eq!(identity.device_label(), Some("Bob's phone"));
    assert!(identity.granted_scopes().is_empty());
}
