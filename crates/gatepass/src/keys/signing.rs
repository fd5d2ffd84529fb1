//! The key that signs access tokens.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use zeroize::Zeroizing;

use crate::keys::{
    algorithm::{Algorithm, Kind},
    crypto,
    error::KeyError,
    jwk::{Jwk, Purpose},
    material::{Material, Private},
    secret::{self, HS256_LABEL, MasterSecret},
    verifying::{VerifyingKey, checked_id},
};

/// A key that signs access tokens, and verifies them.
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<crypto::Signer>,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The HS256 key with this secret. White space around text, for example the last newline of a
    /// file, is not part of the secret.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if the secret has fewer than 32 bytes (RFC 7518 §3.2).
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        Self::from_secret(Algorithm::Hs256, secret)
    }

    /// The key of an HMAC algorithm with this secret. White space around text, for example the last
    /// newline of a file, is not part of the secret.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if the secret is shorter than the hash (RFC 7518 §3.2),
    /// [`KeyError::NotASecret`] if it is the PEM text of a key, and [`KeyError::WrongKind`] if
    /// `algorithm` needs a key pair.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Self::hmac(algorithm, secret::trimmed(secret), None)
    }

    /// The HS256 key that gatepass derives from a master secret.
    #[must_use]
    pub fn derived(master: &MasterSecret) -> Self {
        let secret = master.derive::<32>(HS256_LABEL);
        let mark = secret_id(Algorithm::Hs256, &*secret);
        let id = mark.clone();
        let verifier = crypto::Verifier::hs256(&secret);
        Self {
            signer: Arc::new(crypto::Signer::hs256(&secret)),
            verifying: VerifyingKey::with(Algorithm::Hs256, verifier, id, None).marked(mark),
        }
    }

    fn hmac(algorithm: Algorithm, secret: &[u8], id: Option<&str>) -> Result<Self, KeyError> {
        algorithm.check_kind(Kind::Secret)?;
        if secret.starts_with(b"-----BEGIN ") {
            return Err(KeyError::NotASecret);
        }
        let (bytes, least) = (secret.len(), algorithm.least_secret());
        if bytes < least {
            return Err(KeyError::ShortSecret { bytes, least });
        }
        let mark = secret_id(algorithm, secret);
        let id = id.map_or_else(|| Ok(mark.clone()), checked_id)?;
        // jsonwebtoken refuses only an empty secret.
        let decoding = DecodingKey::from_secret(secret).map_err(|_| KeyError::Inconsistent)?;
        let encoding = EncodingKey::from_secret(secret).map_err(|_| KeyError::Inconsistent)?;
        let verifying = VerifyingKey::new(algorithm, &decoding, id, None)?;
        Self::new(&encoding, verifying.marked(mark))
    }

    /// Reads a private key in PEM, to use with `algorithm`. The text is PKCS #8, as `openssl
    /// genpkey` writes it, or PKCS #1 for RSA. The key's id is the RFC 7638 thumbprint of its
    /// public key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if the text isn't exactly one key, [`KeyError::PublicKey`] if the key is
    /// public, [`KeyError::WrongKind`] if `algorithm` needs another kind of key, and the
    /// [`KeyError`] of any other fault.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, &Self::private_of_pem(pem)?, None)
    }

    /// Reads a private key of any kind in PEM, to use with the usual algorithm of its kind. This is
    /// EdDSA for Ed25519, ES256 for P-256, ES384 for P-384, and RS256 for RSA. The key's id is the
    /// RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), except [`KeyError::WrongKind`].
    pub fn from_any_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let private = Self::private_of_pem(pem)?;
        Self::asymmetric(private.kind.usual_algorithm(), &private, None)
    }

    fn private_of_pem(pem: &[u8]) -> Result<Private, KeyError> {
        Material::from_pem(pem, "a private key (PKCS #8, or PKCS #1 for RSA)")?.private()
    }

    /// Reads a private key in DER (PKCS #8, or PKCS #1 for RSA), to use with `algorithm`. The key's
    /// id is the RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Der`].
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, &Material::from_der(der)?.private()?, None)
    }

    /// Reads a private key or a secret from a JSON Web Key (RFC 7517, RFC 7518 §6), to use with
    /// `algorithm`. The key's id is its `kid`. Without a `kid`, the id is the RFC 7638 thumbprint
    /// of the public key or, for a secret, a value derived from it.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`] if the text isn't a JWK, [`KeyError::PublicKey`] if it lacks the private
    /// part, [`KeyError::WrongUse`] or [`KeyError::WrongAlgorithm`] if the JWK names another use or
    /// algorithm, [`KeyError::WrongKind`] if `algorithm` needs another kind of key, and the
    /// [`KeyError`] of any other fault.
    pub fn from_jwk(algorithm: Algorithm, jwk: &str) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk, Purpose::Sign)?;
        jwk.check_algorithm(algorithm)?;
        match jwk.secret()? {
            Some(secret) => Self::hmac(algorithm, &secret, jwk.id()?),
            None => Self::asymmetric(algorithm, &jwk.private()?, jwk.id()?),
        }
    }

    fn asymmetric(
        algorithm: Algorithm,
        private: &Private,
        id: Option<&str>,
    ) -> Result<Self, KeyError> {
        algorithm.check_kind(private.kind)?;
        let public = private.public_half(algorithm)?;
        let verifying = VerifyingKey::asymmetric(algorithm, public, id)?;
        Self::new(&private.key, verifying)
    }

    /// The key, if its public half verifies a signature of its private half.
    fn new(key: &EncodingKey, verifying: VerifyingKey) -> Result<Self, KeyError> {
        const PROBE: &[u8] = b"gatepass: do these halves belong together?";
        let signer =
            crypto::Signer::new(verifying.algorithm(), key).ok_or(KeyError::Inconsistent)?;
        let signature = signer.sign(PROBE).ok_or(KeyError::Inconsistent)?;
        if !verifying.verify(PROBE, &signature) {
            return Err(KeyError::Inconsistent);
        }
        Ok(Self {
            signer: Arc::new(signer),
            verifying,
        })
    }

    /// The same key under another id.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if `id` does not fit into a token's header.
    pub fn with_id(mut self, id: &str) -> Result<Self, KeyError> {
        self.verifying = self.verifying.with_id(id)?;
        Ok(self)
    }

    /// The half that verifies.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The signature of `message`. `None` if the backend fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.sign(message)
    }
}

impl MasterSecret {
    /// The HS256 key that gatepass derives from this secret, as a JSON Web Key (RFC 7518 §6.4). It
    /// is for a service that verifies access tokens with a shared secret. A holder of the key can
    /// also sign access tokens, but can neither make refresh tokens nor find this secret.
    ///
    /// ```
    /// use gatepass::{MasterSecret, keys::{Algorithm, SigningKey}};
    ///
    /// let master = MasterSecret::generate()?;
    /// let elsewhere = SigningKey::from_jwk(Algorithm::Hs256, &master.hs256_jwk())?;
    /// assert_eq!(elsewhere.verifying_key().id(), SigningKey::derived(&master).verifying_key().id());
    /// # Ok::<(), gatepass::keys::KeyError>(())
    /// ```
    #[must_use]
    pub fn hs256_jwk(&self) -> Zeroizing<String> {
        let secret = self.derive::<32>(HS256_LABEL);
        let k = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        let key = SigningKey::derived(self);
        let id = key.verifying_key().id();
        Zeroizing::new(format!(
            r#"{{"kty":"oct","k":"{}","use":"sig","alg":"HS256","kid":"{id}"}}"#,
            *k
        ))
    }
}

/// The id of a secret. It is a derived value, which distinguishes keys and reveals nothing about
/// the secret.
fn secret_id(algorithm: Algorithm, secret: &[u8]) -> String {
    let label = format!("gatepass {algorithm} key id v1");
    URL_SAFE_NO_PAD.encode(*secret::derive::<9>(secret, label.as_bytes()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.verifying.id())
            .field("algorithm", &self.verifying.algorithm())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::set::KeySet;

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
