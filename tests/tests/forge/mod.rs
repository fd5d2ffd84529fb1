//! Makes access tokens that gatepass itself never would: any header and any claims, rightly signed.
//!
//! The key files beside this one were made for the tests by `openssl genpkey` and guard nothing.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Authority, Demand, Device, Error, Grant, Issued, KeySet, MasterSecret, MemoryStore, Pass,
    Refusal, Scopes, SigningKey, Subject,
};
use gatepass_testkit::{CountingStore, Counts, ManualClock};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey};
use sha2::Sha256;

pub(crate) const ISSUER: &str = "https://shop.example";
pub(crate) const AUDIENCE: &str = "shop-api";
pub(crate) const SECRET: &[u8] = b"a signing secret of the tests: 32 bytes and more";
pub(crate) const ED25519: &[u8] = include_bytes!("keys/ed25519.pem");
pub(crate) const ED25519_PUBLIC: &[u8] = include_bytes!("keys/ed25519.pub.pem");
pub(crate) const OTHER_ED25519: &[u8] = include_bytes!("keys/other.pem");
pub(crate) const OTHER_ED25519_PUBLIC: &[u8] = include_bytes!("keys/other.pub.pem");

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unbase64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(crate) fn master(byte: u8) -> MasterSecret {
    MasterSecret::from_bytes(&[byte; 32]).unwrap()
}

/// A JSON object as text, in which everything is possible: names and values are raw JSON.
#[derive(Clone, Debug)]
pub(crate) struct Members(Vec<(String, String)>);

impl Members {
    pub(crate) fn parse(json: &[u8]) -> Self {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(json).unwrap();
        Self(
            object
                .into_iter()
                .map(|(name, value)| (name, value.to_string()))
                .collect(),
        )
    }

    pub(crate) fn raw(&self, name: &str) -> &str {
        &self.0.iter().find(|(own, _)| own == name).unwrap().1
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let mut members = self.clone();
        members.0.retain(|(own, _)| own != name);
        members
    }

    /// The same object in which `name` has the value `raw` and no other.
    pub(crate) fn with(&self, name: &str, raw: impl fmt::Display) -> Self {
        self.without(name).and(name, raw)
    }

    /// The same object with one more member, whatever is there already.
    pub(crate) fn and(&self, name: &str, raw: impl fmt::Display) -> Self {
        let mut members = self.clone();
        members.0.push((name.to_owned(), raw.to_string()));
        members
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self
            .0
            .iter()
            .map(|(name, raw)| format!(r#""{name}":{raw}"#));
        write!(f, "{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// A key whose holder signs anything.
pub(crate) enum Forge {
    Hs256(Vec<u8>),
    EdDsa(Vec<u8>),
}

impl Forge {
    pub(crate) fn both() -> [Self; 2] {
        [Self::Hs256(SECRET.to_vec()), Self::EdDsa(ED25519.to_vec())]
    }

    /// Keys of the same kinds that nobody trusts.
    pub(crate) fn stranger(&self) -> Self {
        match self {
            Self::Hs256(_) => {
                Self::Hs256(b"the secret of a stranger, of 32 bytes and more".to_vec())
            }
            Self::EdDsa(_) => Self::EdDsa(OTHER_ED25519.to_vec()),
        }
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    pub(crate) fn key(&self) -> SigningKey {
        match self {
            Self::Hs256(secret) => SigningKey::hs256(secret).unwrap(),
            Self::EdDsa(pem) => SigningKey::ed25519_pem(pem).unwrap(),
        }
    }

    pub(crate) fn kid(&self) -> String {
        self.key().verifying_key().id().to_owned()
    }

    /// The header of a good token.
    pub(crate) fn header(&self) -> Members {
        Members(vec![
            ("typ".into(), r#""at+jwt""#.into()),
            ("alg".into(), format!(r#""{}""#, self.alg())),
            ("kid".into(), format!(r#""{}""#, self.kid())),
        ])
    }

    /// Signs two segments as they are.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = self.signature(&message);
        format!("{message}.{signature}")
    }

    pub(crate) fn signature(&self, message: &str) -> String {
        match self {
            Self::Hs256(secret) => {
                let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).unwrap();
                mac.update(message.as_bytes());
                base64url(mac.finalize().into_bytes())
            }
            Self::EdDsa(pem) => {
                let key = EncodingKey::from_ed_pem(pem).unwrap();
                jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap()
            }
        }
    }

    /// Signs a header and claims, whatever they are.
    pub(crate) fn token(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign(&base64url(header), &base64url(payload))
    }
}

/// An authority, its clock, the count of what its store is asked, and the key it signs with in the
/// hands of a forger.
pub(crate) struct Rig {
    pub(crate) forge: Forge,
    pub(crate) clock: ManualClock,
    pub(crate) counts: Counts,
    pub(crate) authority: Authority,
    pub(crate) issued: Issued,
}

impl Rig {
    /// One for each kind of key.
    pub(crate) async fn both() -> Vec<Self> {
        let mut rigs = Vec::new();
        for forge in Forge::both() {
            rigs.push(Self::new(forge).await);
        }
        rigs
    }

    pub(crate) async fn new(forge: Forge) -> Self {
        let clock = ManualClock::new();
        let store = CountingStore::new(MemoryStore::with_clock(clock.clone()));
        let counts = store.counts();
        // Nothing is polled nor purged while a test runs, so that every call is a request's own.
        let hour = Duration::from_secs(3600);
        let authority = Authority::builder(ISSUER, AUDIENCE, master(1), store)
            .keys(KeySet::signing(forge.key()))
            .clock(clock.clone())
            .max_staleness(hour)
            .purge_interval(24 * hour)
            .build()
            .await
            .unwrap();
        let grant = Grant::new(Subject::new("alice").unwrap())
            .scopes(Scopes::parse("profile admin").unwrap())
            .claims(&serde_json::json!({ "tenant": { "id": 7 } }))
            .unwrap();
        let issued = authority.issue(grant, Device::default()).await.unwrap();
        counts.reset();
        Self {
            forge,
            clock,
            counts,
            authority,
            issued,
        }
    }

    pub(crate) fn good(&self) -> &str {
        self.issued.access_token.as_str()
    }

    pub(crate) fn header(&self) -> Members {
        self.forge.header()
    }

    /// The claims of the good token.
    pub(crate) fn claims(&self) -> Members {
        Members::parse(&unbase64url(self.good().split('.').nth(1).unwrap()))
    }

    pub(crate) fn with_header(&self, header: &Members) -> String {
        self.forge
            .token(header.to_string(), self.claims().to_string())
    }

    pub(crate) fn with_claims(&self, claims: &Members) -> String {
        self.forge
            .token(self.header().to_string(), claims.to_string())
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Pass, Error> {
        self.authority
            .verifier()
            .verify(token, &Demand::new())
            .await
    }

    pub(crate) async fn accepts(&self, case: &str, token: &str) -> Pass {
        let alg = self.forge.alg();
        let verified = self.verify(token).await;
        verified.unwrap_or_else(|error| panic!("{alg}, {case}: {error}"))
    }

    /// Checks that `token` is refused as `expected`, and that the store is not asked about it.
    pub(crate) async fn refuses(&self, case: &str, token: &str, expected: Refusal) {
        let alg = self.forge.alg();
        self.counts.reset();
        match self.verify(token).await {
            Err(Error::Refused(refusal)) => assert_eq!(refusal, expected, "{alg}, {case}"),
            Err(error) => panic!("{alg}, {case}: {error}"),
            Ok(_) => panic!("{alg}, {case}: accepted"),
        }
        assert_eq!(self.counts.total(), 0, "{alg}, {case}: the store was asked");
    }
}
