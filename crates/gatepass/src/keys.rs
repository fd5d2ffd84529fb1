//! The keys that sign and verify access tokens.

use std::{collections::HashSet, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};

use crate::{MasterSecret, Timestamp, crypto, secret};

/// A key, or a set of keys, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that could be guessed.
    #[error(
        "the secret has {bytes} bytes and needs at least {least} random ones; make one with: openssl rand -hex 64"
    )]
    ShortSecret {
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        least: usize,
    },
    /// Not the PEM file of a key of this kind.
    #[error("not {0} in PEM")]
    Pem(&'static str),
    /// A `kid` that does not fit into a token's header.
    #[error("a key id is 1 to 64 printable ASCII characters without quote and backslash")]
    KeyId,
    /// Two keys have the same `kid`, so that a token could not name one of them.
    #[error("two keys have the id {0:?}")]
    DuplicateKeyId(String),
    /// Nothing to sign with.
    #[error("the key set has no active signing key")]
    NoSigningKey,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Random,
}

/// How a key signs (RFC 7518 §3.1, RFC 8037 §3.1). It belongs to the key; a token only repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: one secret signs and verifies.
    Hs256,
    /// Ed25519: whoever verifies needs the public key alone.
    EdDsa,
}

impl Algorithm {
    /// The name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key that verifies access tokens.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(crate) id: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// A key that signs access tokens, and verifies them.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) key: EncodingKey,
    /// The base64url text of the header of every token that this key signs.
    pub(crate) header: String,
    verifying: VerifyingKey,
}

impl VerifyingKey {
    /// The Ed25519 public key in this PEM text (`openssl pkey -pubout`). Its id is its RFC 7638 thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it is something else.
    pub fn ed25519_pem(pem: &[u8]) -> Result<Self, KeyError> {
        const WHAT: KeyError = KeyError::Pem("an Ed25519 public key");
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| WHAT)?;
        let public = key.try_get_as_bytes().map_err(|_| WHAT)?;
        let public: [u8; 32] = public.try_into().map_err(|_| WHAT)?;
        Ok(Self {
            id: ed25519_thumbprint(&public),
            algorithm: Algorithm::EdDsa,
            key,
        })
    }

    /// The same key under another id.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if `id` does not fit into a token's header.
    pub fn with_id(mut self, id: &str) -> Result<Self, KeyError> {
        self.id = checked_id(id)?;
        Ok(self)
    }

    /// The key's id, as tokens name it (`kid`).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl SigningKey {
    /// The HS256 key that is this secret. White space around text, as files have it, is not part of it.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if it has fewer than 32 bytes (RFC 7518 §3.2).
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        const LEAST: usize = 32;
        let secret = secret::trimmed(secret);
        if secret.len() < LEAST {
            return Err(KeyError::ShortSecret {
                bytes: secret.len(),
                least: LEAST,
            });
        }
        Ok(Self::hmac(secret))
    }

    /// The HS256 key that belongs to a master secret.
    #[must_use]
    pub fn derived(master: &MasterSecret) -> Self {
        Self::hmac(&*master.derive::<32>("gatepass access token HS256 v1"))
    }

    fn hmac(secret: &[u8]) -> Self {
        // The id must tell keys apart and nothing about the secret: a derived value does both.
        let id = URL_SAFE_NO_PAD.encode(*secret::derive::<9>(secret, "gatepass HS256 key id v1"));
        let verifying = VerifyingKey {
            id,
            algorithm: Algorithm::Hs256,
            key: DecodingKey::from_secret(secret),
        };
        Self::new(EncodingKey::from_secret(secret), verifying)
    }

    /// The Ed25519 private key in this PEM text (`openssl genpkey -algorithm ed25519`). Its id is
    /// the RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it is something else.
    pub fn ed25519_pem(pem: &[u8]) -> Result<Self, KeyError> {
        const WHAT: KeyError = KeyError::Pem("an Ed25519 private key (PKCS #8)");
        let key = EncodingKey::from_ed_pem(pem).map_err(|_| WHAT)?;
        let public = crypto::ed25519_public_key(&key).ok_or(WHAT)?;
        let verifying = VerifyingKey {
            id: ed25519_thumbprint(&public),
            algorithm: Algorithm::EdDsa,
            key: DecodingKey::from_ed_der(&public),
        };
        Ok(Self::new(key, verifying))
    }

    fn new(key: EncodingKey, verifying: VerifyingKey) -> Self {
        // Ids hold no character that JSON would have to escape.
        let header = format!(
            r#"{{"typ":"at+jwt","alg":"{}","kid":"{}"}}"#,
            verifying.algorithm.name(),
            verifying.id
        );
        Self {
            key,
            header: URL_SAFE_NO_PAD.encode(header),
            verifying,
        }
    }

    /// The same key under another id.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if `id` does not fit into a token's header.
    pub fn with_id(self, id: &str) -> Result<Self, KeyError> {
        Ok(Self::new(self.key, self.verifying.with_id(id)?))
    }

    /// The half that verifies.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }
}

/// RFC 7638, with the members that RFC 8037 §2 gives an Ed25519 key.
fn ed25519_thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#
    )))
}

fn checked_id(id: &str) -> Result<String, KeyError> {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if (1..=64).contains(&id.len()) && id.chars().all(plain) {
        Ok(id.to_owned())
    } else {
        Err(KeyError::KeyId)
    }
}

/// The keys of an issuer at one time: at most one signs, each verifies.
///
/// To change the signing key without refusing anybody: put the new one in with
/// [`announce`](Self::announce) on every node, wait until all have it, make it the active one with
/// the old one [`retired`](Self::retire) until its last token has expired. Sets are swapped whole
/// while running ([`Authority::replace_keys`](crate::Authority::replace_keys)).
///
/// ```
/// use gatepass::{KeySet, SigningKey, Timestamp};
///
/// let old = SigningKey::hs256(b"an old secret of thirty-two bytes and some")?;
/// let new = SigningKey::hs256(b"a new secret of thirty-two bytes and more")?;
/// let keys = KeySet::signing(new).retire(old.verifying_key().clone(), Timestamp::from_unix_secs(1_800_000_000));
/// # Ok::<(), gatepass::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeySet {
    active: Option<SigningKey>,
    verifying: Vec<(VerifyingKey, Timestamp)>,
}

impl KeySet {
    /// A set whose tokens are signed by `active`.
    #[must_use]
    pub fn signing(active: SigningKey) -> Self {
        let verifying = vec![(active.verifying.clone(), Timestamp::MAX)];
        Self {
            active: Some(active),
            verifying,
        }
    }

    /// A set that verifies and cannot sign.
    #[must_use]
    pub fn verifying(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self {
            active: None,
            verifying: keys.into_iter().map(|key| (key, Timestamp::MAX)).collect(),
        }
    }

    /// Accepts tokens of a key that other nodes may already sign with.
    #[must_use]
    pub fn announce(self, key: VerifyingKey) -> Self {
        self.retire(key, Timestamp::MAX)
    }

    /// Accepts tokens of a key that no longer signs until the instant `until`: when the last one that
    /// it signed has expired, and the leeway is over.
    #[must_use]
    pub fn retire(mut self, key: VerifyingKey, until: Timestamp) -> Self {
        self.verifying.push((key, until));
        self
    }

    /// The ids of the keys, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.verifying.iter().map(|(key, _)| key.id())
    }

    pub(crate) fn active(&self) -> Option<&SigningKey> {
        self.active.as_ref()
    }

    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<&VerifyingKey> {
        let (key, until) = self.verifying.iter().find(|(key, _)| key.id == id)?;
        (now < *until).then_some(key)
    }

    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let mut seen = HashSet::new();
        match self.ids().find(|id| !seen.insert(*id)) {
            Some(twice) => Err(KeyError::DuplicateKeyId(twice.to_owned())),
            None => Ok(()),
        }
    }

    pub(crate) fn check_signing(&self) -> Result<(), KeyError> {
        self.active
            .as_ref()
            .map(|_| ())
            .ok_or(KeyError::NoSigningKey)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.verifying.id)
            .field("algorithm", &self.verifying.algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field(
                "active",
                &self.active.as_ref().map(|key| key.verifying.id()),
            )
            .field("verifying", &self.verifying)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_ed25519_key_is_its_thumbprint() {
        // RFC 8037, appendix A.2 and A.3.
        let x = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        let thumbprint = ed25519_thumbprint(&x.try_into().unwrap());
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn short_secrets_and_doubled_ids_are_refused() {
        assert!(matches!(
            SigningKey::hs256(b"short"),
            Err(KeyError::ShortSecret {
                bytes: 5,
                least: 32
            })
        ));
        assert!(
            SigningKey::hs256(&[b' '; 64]).is_err(),
            "white space is no secret"
        );
        let key = SigningKey::hs256(&[7; 32]).unwrap();
        let twice = KeySet::signing(key.clone()).announce(key.verifying_key().clone());
        assert_eq!(
            twice.check(),
            Err(KeyError::DuplicateKeyId(
                key.verifying_key().id().to_owned()
            ))
        );
        assert_eq!(key.with_id("a\"b").map(drop), Err(KeyError::KeyId));
    }

    #[test]
    fn a_debug_shows_no_key() {
        let secret = "correct horse battery staple, said the admin";
        let key = SigningKey::hs256(secret.as_bytes()).unwrap();
        let shown = format!(
            "{key:?} {:?} {:?}",
            key.verifying_key(),
            KeySet::signing(key.clone())
        );
        assert!(
            !shown.contains("horse") && !shown.contains("99, 111, 114"),
            "{shown}"
        );
    }
}
