//! Our side of `cargo xtask interop`: exchanges access tokens of each algorithm with another
//! library.
//!
//! `interop KEYS STRANGERS PROGRAM ARGS…`. Both directories contain a `secret` and `ed25519.pem`,
//! `es256.pem`, `es384.pem` and `rsa.pem`. The program reads a request in JSON from its standard
//! input, and answers on its standard output. `tests/interop/pyjwt.py` shows both.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Authority, Device, Error, Identity, KeySet, MasterSecret, MemoryStore, Refusal, Requirements,
    Scopes, SessionId, Timestamp,
    inspect::verify_jws,
    keys::{Algorithm, SigningKey, VerifyingKey},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const ISSUER: &str = "https://shop.example";
const AUDIENCE: &str = "shop-api";
/// Text that a library may get wrong.
const SUBJECT: &str = "jürgen \"🦀\" \\ <a@b>";

#[derive(Serialize)]
struct Request<'a> {
    issuer: &'a str,
    audience: &'a str,
    jwks: Value,
    cases: Vec<&'a Case>,
}

/// The tokens of one algorithm that the other library judges, and the keys for its own tokens.
#[derive(Serialize)]
struct Case {
    alg: &'static str,
    kid: &'static str,
    symmetric: bool,
    /// A token of ours.
    good: String,
    /// The same token with another signature.
    altered: String,
    /// The same claims under the same key id, signed with a stranger's key.
    strange: String,
    /// A private key in PEM, or a secret, for the library's own tokens.
    key: String,
    stranger_key: String,
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    cases: Vec<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    alg: String,
    /// By the source of the key, then by token: its claims, or a text that says why there are none.
    read: BTreeMap<String, BTreeMap<String, Value>>,
    good: String,
    strange: String,
    jwk: Option<Value>,
}

/// An issuer with one algorithm, and the session of all tokens.
struct Party {
    algorithm: Algorithm,
    authority: Authority,
    session: SessionId,
    case: Case,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let said = run().await;
    let (code, line) = match said {
        Ok(line) => (ExitCode::SUCCESS, line),
        Err(error) => (ExitCode::FAILURE, format!("error: {error:#}")),
    };
    // There is no place to report this failure.
    let _ = writeln!(std::io::stdout(), "{line}");
    code
}

async fn run() -> anyhow::Result<String> {
    let args: Vec<String> = std::env::args().collect();
    let [_, keys, strangers, program, rest @ ..] = args.as_slice() else {
        bail!("usage: interop KEYS STRANGERS PROGRAM ARGS…");
    };
    let (keys, strangers) = (Path::new(keys), Path::new(strangers));

    let mut parties = Vec::new();
    for algorithm in Algorithm::ALL {
        let party = Party::begin(algorithm, keys, strangers).await;
        parties.push(party.with_context(|| algorithm.name())?);
    }
    let public = Algorithm::ALL
        .into_iter()
        .map(|algorithm| key(algorithm, keys).map(|key| key.verifying_key().clone()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let jwks = KeySet::verifying(public).jwks(Timestamp::EPOCH);
    let request = Request {
        issuer: ISSUER,
        audience: AUDIENCE,
        jwks: serde_json::from_str(&jwks)?,
        cases: parties.iter().map(|party| &party.case).collect(),
    };

    let answer = exchange(program, rest, &serde_json::to_vec(&request)?)?;
    ensure!(
        answer.cases.len() == parties.len(),
        "{} answers about {} algorithms",
        answer.cases.len(),
        parties.len()
    );
    for (party, answered) in parties.iter().zip(&answer.cases) {
        let judged = party.judge(answered).await;
        judged.with_context(|| format!("{}, {}", answer.name, party.algorithm))?;
    }
    let (name, count) = (answer.name, parties.len());
    Ok(format!("{name}: {count} algorithms, both ways"))
}

impl Party {
    async fn begin(algorithm: Algorithm, keys: &Path, strangers: &Path) -> anyhow::Result<Self> {
        let own = key(algorithm, keys)?;
        let stranger = key(algorithm, strangers)?;
        let authority = authority(own).await?;
        let identity = Identity::new(SUBJECT)?
            .scopes(Scopes::parse("read write")?)
            .claims(&json!({"cart": {"items": [1, 2.5, null, "ü\u{0}"]}}))?;
        let issued = authority.issue(identity.clone(), Device::default()).await?;
        let strange = self::authority(stranger)
            .await?
            .issue(identity, Device::default())
            .await?;
        let good = issued.access_token.as_str().to_owned();
        Ok(Self {
            algorithm,
            authority,
            session: issued.session_id,
            case: Case {
                alg: algorithm.name(),
                kid: algorithm.name(),
                symmetric: algorithm.is_symmetric(),
                altered: altered(&good)?,
                good,
                strange: strange.access_token.as_str().to_owned(),
                key: content(algorithm, keys)?.trim().to_owned(),
                stranger_key: content(algorithm, strangers)?.trim().to_owned(),
            },
        })
    }

    /// Fails if the other library read one of our tokens wrongly, or made one that we read wrongly.
    async fn judge(&self, answered: &Answered) -> anyhow::Result<()> {
        ensure!(
            answered.alg == self.case.alg,
            "an answer about {}",
            answered.alg
        );

        let sources: Vec<&str> = answered.read.keys().map(String::as_str).collect();
        let expected: &[&str] = if self.case.symmetric {
            &["key"]
        } else {
            &["jwks", "key"]
        };
        ensure!(
            sources == expected,
            "read with keys from {sources:?}, not from {expected:?}"
        );
        let refused = Value::from("bad signature");
        let claims = claims(&self.case.good)?;
        for (source, read) in &answered.read {
            for (name, expected) in [
                ("good", &claims),
                ("altered", &refused),
                ("strange", &refused),
            ] {
                let said = read.get(name).unwrap_or(&Value::Null);
                ensure!(
                    said == expected,
                    "our {name} token, by {source}: {said}, not {expected}"
                );
            }
        }

        let verifier = self.authority.verifier();
        let pass = verifier.verify(&answered.good, &Requirements::new()).await;
        let pass = pass.context("its token is refused")?;
        ensure!(
            pass.subject().as_str() == SUBJECT,
            "its token is of {}",
            pass.subject()
        );
        ensure!(
            pass.session_id() == Some(self.session),
            "its token is of another session"
        );
        ensure!(
            self::claims(&answered.good)? == claims,
            "its token says something else"
        );
        for (name, token) in [
            ("an altered", &altered(&answered.good)?),
            ("a stranger's", &answered.strange),
        ] {
            let refused = verifier.verify(token, &Requirements::new()).await;
            ensure!(
                matches!(refused, Err(Error::Refused(Refusal::BadSignature))),
                "{name} token of its: {refused:?}"
            );
        }

        match &answered.jwk {
            None => ensure!(self.case.symmetric, "no JWK"),
            Some(jwk) => {
                let read = VerifyingKey::from_jwk(self.algorithm, &jwk.to_string())?;
                ensure!(
                    verify_jws(&read, &self.case.good).is_ok(),
                    "its JWK is another key: {jwk}"
                );
            }
        }
        Ok(())
    }
}

async fn authority(key: SigningKey) -> anyhow::Result<Authority> {
    let master = MasterSecret::generate()?;
    let authority = Authority::builder(ISSUER, AUDIENCE, master, MemoryStore::new())
        .keys(KeySet::signing(key))
        .build()
        .await?;
    Ok(authority)
}

/// The key in `directory` for `algorithm`, with the name of the algorithm.
fn key(algorithm: Algorithm, directory: &Path) -> anyhow::Result<SigningKey> {
    let content = content(algorithm, directory)?;
    let key = if algorithm.is_symmetric() {
        SigningKey::from_secret(algorithm, content.as_bytes())?
    } else {
        SigningKey::from_pem(algorithm, content.as_bytes())?
    };
    Ok(key.with_id(algorithm.name())?)
}

fn content(algorithm: Algorithm, directory: &Path) -> anyhow::Result<String> {
    let file = match algorithm.name() {
        "EdDSA" => "ed25519.pem",
        "ES256" => "es256.pem",
        "ES384" => "es384.pem",
        name if name.starts_with("HS") => "secret",
        _ => "rsa.pem",
    };
    let path = directory.join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))
}

/// The token with a different first character of its signature.
fn altered(token: &str) -> anyhow::Result<String> {
    let (message, signature) = token.rsplit_once('.').context("not a JWS")?;
    let mut characters = signature.chars();
    let first = if characters.next() == Some('A') {
        'B'
    } else {
        'A'
    };
    Ok(format!("{message}.{first}{}", characters.as_str()))
}

fn claims(token: &str) -> anyhow::Result<Value> {
    let payload = token.split('.').nth(1).context("not a JWS")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn exchange(program: &str, args: &[String], request: &[u8]) -> anyhow::Result<Answer> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let mut input = child.stdin.take().context("no standard input")?;
    // If a program fails at once, its standard error says more than this error would.
    let _ = input.write_all(request);
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} {} failed",
        args.join(" ")
    );
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stdout);
        format!("{program} answered: {said}")
    })
}
