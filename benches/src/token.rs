//! Keys and tokens that both sides share.

use std::time::Duration;

use gatepass::{
    Authority, Clock, Device, Identity, Issued, KeySet, MasterSecret, MemoryStore, Scopes, Subject,
    SystemClock, Timestamp, Verifier,
    keys::{Algorithm, SigningKey},
};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::log::Log;

pub(crate) const ISSUER: &str = "https://shop.example";
pub(crate) const AUDIENCE: &str = "shop-api";
const LEEWAY: u64 = 30;

/// Tasks that log in at once.
const MAKERS: usize = 2;

const SECRET: &[u8] = b"a secret of the benchmarks, of 32 bytes and more";

/// A key in the forms of both sides.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) ours: SigningKey,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
}

impl Key {
    pub(crate) fn hs256() -> anyhow::Result<Self> {
        Ok(Self {
            algorithm: Algorithm::Hs256,
            ours: SigningKey::hs256(SECRET)?,
            encoding: EncodingKey::from_secret(SECRET)?,
            decoding: DecodingKey::from_secret(SECRET)?,
        })
    }

    pub(crate) fn rs256() -> anyhow::Result<Self> {
        let private = include_bytes!("../../crates/gatepass/tests/keys/rsa.pem");
        let public = include_bytes!("../../crates/gatepass/tests/keys/rsa.pub.pem");
        Ok(Self {
            algorithm: Algorithm::Rs256,
            ours: SigningKey::from_pem(Algorithm::Rs256, private)?,
            encoding: EncodingKey::from_rsa_pem(private)?,
            decoding: DecodingKey::from_rsa_pem(public)?,
        })
    }

    pub(crate) fn es256() -> anyhow::Result<Self> {
        let private = include_bytes!("../../crates/gatepass/tests/keys/p256.pem");
        let public = include_bytes!("../../crates/gatepass/tests/keys/p256.pub.pem");
        Ok(Self {
            algorithm: Algorithm::Es256,
            ours: SigningKey::from_pem(Algorithm::Es256, private)?,
            encoding: EncodingKey::from_ec_pem(private)?,
            decoding: DecodingKey::from_ec_pem(public)?,
        })
    }

    pub(crate) fn eddsa() -> anyhow::Result<Self> {
        let private = include_bytes!("../../crates/gatepass/tests/keys/ed25519.pem");
        let public = include_bytes!("../../crates/gatepass/tests/keys/ed25519.pub.pem");
        Ok(Self {
            algorithm: Algorithm::EdDsa,
            ours: SigningKey::from_pem(Algorithm::EdDsa, private)?,
            encoding: EncodingKey::from_ed_pem(private)?,
            decoding: DecodingKey::from_ed_pem(public)?,
        })
    }

    fn jwa(&self) -> anyhow::Result<jsonwebtoken::Algorithm> {
        Ok(self.algorithm.name().parse()?)
    }

    /// The header of our tokens.
    pub(crate) fn header(&self) -> anyhow::Result<Header> {
        let mut header = Header::new(self.jwa()?);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.ours.verifying_key().id().to_owned());
        Ok(header)
    }

    /// The checks of ours that jsonwebtoken also has.
    pub(crate) fn validation(&self) -> anyhow::Result<Validation> {
        let mut validation = Validation::new(self.jwa()?);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.leeway = LEEWAY;
        Ok(validation)
    }

    /// An authority that signs with the key. It only issues tokens.
    pub(crate) async fn authority(&self, clock: impl Clock) -> anyhow::Result<Authority> {
        let store = MemoryStore::new();
        let authority = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store)
            .keys(KeySet::signing(self.ours.clone()))
            .clock(clock);
        Ok(authority.build().await?)
    }

    /// A verifier that knows the key's public half, loads `log`, and may keep this many bytes of
    /// verified tokens.
    pub(crate) async fn verifier(&self, log: Log, token_cache: u64) -> anyhow::Result<Verifier> {
        let keys = KeySet::verifying([self.ours.verifying_key().clone()]);
        let hour = Duration::from_secs(3600);
        // No poll may interfere: the log reports when it has grown.
        let verifier = Verifier::builder(ISSUER, AUDIENCE, keys, log)
            .leeway(Duration::from_secs(LEEWAY))
            .token_cache(token_cache)
            .max_staleness(hour);
        Ok(verifier.build().await?)
    }

    /// The same verifier, without revocations and without a cache.
    pub(crate) async fn plain_verifier(&self) -> anyhow::Result<Verifier> {
        self.verifier(Log::new(0, 1), 0).await
    }

    /// Access tokens of this many logins.
    pub(crate) async fn tokens(
        &self,
        count: usize,
        clock: impl Clock,
    ) -> anyhow::Result<Vec<String>> {
        self.tokens_of(count, clock, Ok).await
    }

    /// The same tokens, for identities that `change` completes.
    pub(crate) async fn tokens_of(
        &self,
        count: usize,
        clock: impl Clock,
        change: impl Fn(Identity) -> anyhow::Result<Identity> + Clone + Send + 'static,
    ) -> anyhow::Result<Vec<String>> {
        let logins = self.logins(count, clock, change).await?;
        let token = |issued: Issued| issued.access_token.as_str().to_owned();
        Ok(logins.into_iter().map(token).collect())
    }

    /// Logs this many users in.
    pub(crate) async fn logins(
        &self,
        count: usize,
        clock: impl Clock,
        change: impl Fn(Identity) -> anyhow::Result<Identity> + Clone + Send + 'static,
    ) -> anyhow::Result<Vec<Issued>> {
        let authority = self.authority(clock).await?;
        let mut makers = JoinSet::new();
        // A hundred thousand RS256 signatures take a core most of a minute.
        for maker in 0..MAKERS {
            let (authority, change) = (authority.clone(), change.clone());
            makers.spawn(async move {
                let mut logins = Vec::new();
                for number in (maker..count).step_by(MAKERS) {
                    let identity = change(identity(number)?)?;
                    logins.push(authority.issue(identity, Device::default()).await?);
                }
                anyhow::Ok(logins)
            });
        }
        let mut logins = Vec::new();
        for some in makers.join_all().await {
            logins.extend(some?);
        }
        Ok(logins)
    }
}

/// A usual identity.
pub(crate) fn identity(number: usize) -> anyhow::Result<Identity> {
    let subject = Subject::new(format!("user-{number:012}"))?;
    Ok(Identity::of(subject).scopes(Scopes::parse("orders profile")?))
}

/// The claims as an application declares them to jsonwebtoken.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
    sid: String,
    auth_time: i64,
    client_id: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
}

/// A custom claim.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) id: u32,
    pub(crate) name: String,
}

/// Returns the tokens one after the other, in an order that no processor predicts, and starts
/// again.
pub(crate) fn in_turn<'a>(tokens: &'a [String]) -> impl FnMut() -> &'a str {
    // A prime, so every token has its turn.
    const STEP: usize = 7919;
    let mut turn = 0;
    move || {
        turn = (turn + STEP) % tokens.len().max(1);
        tokens.get(turn).map_or("", String::as_str)
    }
}

/// The clock of a process that ran yesterday.
pub(crate) struct Yesterday;

impl Clock for Yesterday {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now().unix_secs();
        Timestamp::from_unix_secs(now - 86_400)
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}
