//! The access tokens of other issuers are judged by their issuer's keys and rules.

mod attacks;
mod config;
mod fetching;
mod formats;
mod gates;
mod kinds;
mod logout;
mod reqwest;
mod revoked;

use std::time::Duration;

use gatepass::{
    Authority, Error, MasterSecret, MemoryStore, Pass, Refusal, Requirements, Verifier,
    issuers::{Issuers, TrustedIssuer},
    keys::Algorithm,
};
use gatepass_testkit::{ManualClock, TestStore};
use test_support::{
    forge::{Forge, Members},
    web::Web,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The other issuer, its metadata and its keys.
const LOGIN: &str = "https://login.example/";
const METADATA: &str = "https://login.example/.well-known/openid-configuration";
const JWKS: &str = "https://keys.example/jwks";
const API: &str = "shop-api";

fn metadata(issuer: &str) -> String {
    format!(r#"{{"issuer":"{issuer}","jwks_uri":"{JWKS}"}}"#)
}

fn jwks(keys: &[&Forge]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn key() -> Forge {
    Forge::trusted(Algorithm::Es256)
}

/// The next key of the issuer.
fn next_key() -> Forge {
    Forge::trusted(Algorithm::EdDsa)
}

/// A good token of the other issuer.
fn claims(clock: &ManualClock) -> Members {
    let now = gatepass::Clock::now(clock).unix_secs();
    Members::parse(b"{}")
        .and("iss", format!("{LOGIN:?}"))
        .and("sub", r#""alice""#)
        .and("aud", format!("{API:?}"))
        .and("iat", now)
        .and("exp", now + 900)
        .and("jti", r#""a-token-of-theirs""#)
        .and("scope", r#""orders:read""#)
        .and("azp", r#""a-client-of-theirs""#)
}

fn signed(key: &Forge, claims: &Members) -> String {
    let header = key.header().with("typ", r#""JWT""#);
    key.token(header.to_string(), claims.to_string())
}

/// A service that trusts another issuer.
struct Service {
    web: Web,
    clock: ManualClock,
    verifier: Verifier,
}

impl Service {
    /// One whose issuer publishes its key.
    async fn new() -> Self {
        let web = Web::default();
        web.publish(METADATA, metadata(LOGIN));
        web.publish(JWKS, jwks(&[&key()]));
        Self::over(web, |issuer| issuer).await
    }

    async fn over(web: Web, configure: impl FnOnce(TrustedIssuer) -> TrustedIssuer) -> Self {
        let clock = ManualClock::new();
        let trusted = configure(TrustedIssuer::new(LOGIN, API));
        let issuers = Issuers::new(web.clone()).trust(trusted);
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let verifier = Verifier::of_issuers("https://api.shop.example", issuers, store)
            .clock(clock.clone())
            .max_staleness(Duration::from_secs(3600))
            .build()
            .await
            .unwrap();
        Self {
            web,
            clock,
            verifier,
        }
    }

    async fn verify(&self, token: &str) -> Result<Pass, Error> {
        self.verifier.verify(token, &Requirements::new()).await
    }

    async fn accepts(&self, case: &str, token: &str) -> Pass {
        let verified = self.verify(token).await;
        verified.unwrap_or_else(|error| panic!("{case}: {error}"))
    }

    async fn refuses(&self, case: &str, token: &str, expected: &Refusal) {
        match self.verify(token).await {
            Err(Error::Refused(refusal)) => assert_eq!(refusal, *expected, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }

    /// Checks that the service can't tell whether a token is good.
    async fn cannot_tell(&self, case: &str, token: &str) {
        match self.verify(token).await {
            Err(Error::KeysUnavailable { issuer }) => assert_eq!(issuer.as_str(), LOGIN),
            other => panic!("{case}: {other:?}"),
        }
    }

    fn good(&self) -> String {
        signed(&key(), &claims(&self.clock))
    }
}

/// A service that issues tokens itself, too, over `web`.
async fn authority(web: &Web, clock: &ManualClock) -> Authority {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let issuers = Issuers::new(web.clone()).trust(TrustedIssuer::new(LOGIN, API));
    Authority::builder("https://shop.example", API, secret, store)
        .clock(clock.clone())
        .max_staleness(Duration::from_secs(3600))
        .issuers(issuers)
        .build()
        .await
        .unwrap()
}
