//! The key and the tokens that all guards of one group verify.

use gatepass::{
    Authority, Device, Identity, KeySet, MasterSecret, MemoryStore, Scopes,
    keys::{Algorithm, SigningKey},
};
use serde::{Deserialize, Serialize};

pub(crate) const ISSUER: &str = "https://shop.example";
pub(crate) const AUDIENCE: &str = "shop-api";
/// Seconds, the same for each guard.
pub(crate) const LEEWAY: u64 = 30;
/// At least 32 bytes. It is text, since jwt-authorizer takes a secret only as text.
pub(crate) const SECRET: &str = "a secret of the benchmarks, of 32 bytes and more";
/// The same in base64url.
const SECRET_K: &str = "YSBzZWNyZXQgb2YgdGhlIGJlbmNobWFya3MsIG9mIDMyIGJ5dGVzIGFuZCBtb3Jl";
pub(crate) const PUBLIC: &str = include_str!("../../../crates/gatepass/tests/keys/ed25519.pub.pem");
const PRIVATE: &[u8] = include_bytes!("../../../crates/gatepass/tests/keys/ed25519.pem");

/// The number of clients, each with its own token.
pub(crate) const CONNECTIONS: usize = 16;

/// The claims that a handler reads.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) scope: String,
    pub(crate) exp: u64,
}

/// Only these two, which all peers know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hs256,
    EdDsa,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn key(self) -> anyhow::Result<SigningKey> {
        Ok(match self {
            Self::Hs256 => SigningKey::hs256(SECRET.as_bytes())?,
            Self::EdDsa => SigningKey::from_pem(Algorithm::EdDsa, PRIVATE)?,
        })
    }

    /// The key as a JSON Web Key Set.
    pub(crate) fn jwks(self, authority: &Authority) -> anyhow::Result<String> {
        Ok(match self {
            // gatepass never publishes a secret, so this one is written by hand.
            Self::Hs256 => {
                let kid = self.key()?.verifying_key().id().to_owned();
                let key =
                    serde_json::json!({"kty": "oct", "alg": "HS256", "k": SECRET_K, "kid": kid});
                serde_json::json!({ "keys": [key] }).to_string()
            }
            Self::EdDsa => authority.verifier().jwks(),
        })
    }

    /// An authority that signs with the key, and the access tokens of one login per connection.
    pub(crate) async fn authority(self) -> anyhow::Result<(Authority, Vec<String>)> {
        let secret = MasterSecret::from_bytes(SECRET.as_bytes())?;
        let authority = Authority::builder(ISSUER, AUDIENCE, secret, MemoryStore::new())
            .keys(KeySet::signing(self.key()?))
            .build()
            .await?;
        let tokens = log_in(&authority).await?;
        Ok((authority, tokens))
    }

    /// The key, and the checks of gatepass that jsonwebtoken 12 also has.
    pub(crate) fn by_hand(
        self,
    ) -> anyhow::Result<(jsonwebtoken::DecodingKey, jsonwebtoken::Validation)> {
        use jsonwebtoken::{Algorithm, DecodingKey, Validation};
        let (algorithm, key) = match self {
            Self::Hs256 => (
                Algorithm::HS256,
                DecodingKey::from_secret(SECRET.as_bytes())?,
            ),
            Self::EdDsa => (
                Algorithm::EdDSA,
                DecodingKey::from_ed_pem(PUBLIC.as_bytes())?,
            ),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.leeway = LEEWAY;
        Ok((key, validation))
    }
}

/// The access tokens of one login per connection.
pub(crate) async fn log_in(authority: &Authority) -> anyhow::Result<Vec<String>> {
    let mut tokens = Vec::new();
    for number in 0..CONNECTIONS {
        let identity = Identity::new(format!("user-{number:012}"))?;
        let identity = identity.scopes(Scopes::parse("orders profile")?);
        let issued = authority.issue(identity, Device::default()).await?;
        tokens.push(issued.access_token.as_str().to_owned());
    }
    Ok(tokens)
}
