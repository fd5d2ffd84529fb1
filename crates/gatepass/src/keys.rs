//! The keys that sign and verify access tokens.

mod algorithm;
mod der;
mod error;
mod file;
mod jwk;
mod material;
mod set;

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};

pub use self::{
    algorithm::Algorithm,
    error::KeyError,
    file::KeyFileError,
    set::{KeySet, SkippedKey},
};

use self::{
    algorithm::Kind,
    jwk::{Jwk, Purpose},
    material::{Material, Private, Public},
};
use crate::{MasterSecret, Refusal, codec, crypto, secret};

/// A key that verifies access tokens.
#[derive(Clone)]
pub struct VerifyingKey {
    id: String,
    algorithm: Algorithm,
    verifier: Arc<crypto::Verifier>,
    /// The base64url text of the header of every token that its other half signs.
    header: String,
    /// Nothing, if the key is a secret.
    public: Option<Public>,
}

/// A key that signs access tokens, and verifies them.
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<crypto::Signer>,
    verifying: VerifyingKey,
}

impl VerifyingKey {
    /// The public key in this PEM text (`openssl pkey -pubout`; PKCS #1 for RSA), used with `algorithm`.
    /// Its id is its RFC 7638 thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it is not exactly one key, [`KeyError::PrivateKey`] if it is a private one,
    /// [`KeyError::WrongKind`] if `algorithm` does not go with it, and what else is wrong with it.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, Self::public_of_pem(pem)?, None)
    }

    /// The public key in this PEM text, of whichever kind, used with the algorithm that is usual for
    /// it, as for a JWK without `alg`: EdDSA for Ed25519, ES256 for P-256, ES384 for P-384, and RS256
    /// for RSA. Its id is its RFC 7638 thumbprint.
    ///
    /// ```
    /// use gatepass::{Algorithm, VerifyingKey};
    ///
    /// let key = VerifyingKey::from_any_pem(b"-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    /// -----END PUBLIC KEY-----")?;
    /// assert_eq!(key.algorithm(), Algorithm::EdDsa);
    /// # Ok::<(), gatepass::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), but for [`KeyError::WrongKind`].
    pub fn from_any_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let public = Self::public_of_pem(pem)?;
        Self::asymmetric(public.kind().usual_algorithm(), public, None)
    }

    fn public_of_pem(pem: &[u8]) -> Result<Public, KeyError> {
        Material::from_pem(pem, "a public key")?.public()
    }

    /// The public key in this DER document (SPKI; PKCS #1 for RSA), used with `algorithm`.
    /// Its id is its RFC 7638 thumbprint.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Der`].
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, Material::from_der(der)?.public()?, None)
    }

    /// The public key in this JSON Web Key (RFC 7517), used with `algorithm`. Its id is its `kid`, or
    /// else its RFC 7638 thumbprint.
    ///
    /// ```
    /// use gatepass::{Algorithm, VerifyingKey};
    ///
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let key = VerifyingKey::from_jwk(Algorithm::EdDsa, jwk)?;
    /// assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    /// # Ok::<(), gatepass::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`] if it is none, [`KeyError::Secret`] or [`KeyError::PrivateKey`] if it is more
    /// than public, [`KeyError::WrongUse`] or [`KeyError::WrongAlgorithm`] if it says so itself,
    /// [`KeyError::WrongKind`] if `algorithm` does not go with it, and what else is wrong with it.
    pub fn from_jwk(algorithm: Algorithm, jwk: &str) -> Result<Self, KeyError> {
        Self::of_jwk(algorithm, &Jwk::parse(jwk, Purpose::Verify)?)
    }

    /// A key of a set, which says itself what it is used with.
    fn of_set(jwk: &str) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk, Purpose::Verify)?;
        Self::of_jwk(jwk.algorithm()?, &jwk)
    }

    fn of_jwk(algorithm: Algorithm, jwk: &Jwk) -> Result<Self, KeyError> {
        jwk.check_algorithm(algorithm)?;
        Self::asymmetric(algorithm, jwk.public()?, jwk.id()?)
    }

    fn asymmetric(
        algorithm: Algorithm,
        public: Public,
        id: Option<&str>,
    ) -> Result<Self, KeyError> {
        public.check(algorithm)?;
        let id = id.map_or_else(|| Ok(public.thumbprint()), checked_id)?;
        let key = public.decoding_key();
        Self::new(algorithm, &key, id, Some(public))
    }

    fn new(
        algorithm: Algorithm,
        key: &DecodingKey,
        id: String,
        public: Option<Public>,
    ) -> Result<Self, KeyError> {
        let verifier = crypto::Verifier::new(algorithm, key).ok_or(KeyError::Inconsistent)?;
        Ok(Self::with(algorithm, verifier, id, public))
    }

    fn with(
        algorithm: Algorithm,
        verifier: crypto::Verifier,
        id: String,
        public: Option<Public>,
    ) -> Self {
        Self {
            header: header(algorithm, &id),
            id,
            algorithm,
            verifier: Arc::new(verifier),
            public,
        }
    }

    /// The same key under another id.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if `id` does not fit into a token's header.
    pub fn with_id(mut self, id: &str) -> Result<Self, KeyError> {
        self.id = checked_id(id)?;
        self.header = header(self.algorithm, &self.id);
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

    /// The key as a JSON Web Key (RFC 7517), or nothing if it is a secret: that is never exported.
    #[must_use]
    pub fn to_jwk(&self) -> Option<String> {
        let members = self.public.as_ref()?.members();
        let (algorithm, id) = (self.algorithm, &self.id);
        Some(format!(
            r#"{{{members},"use":"sig","alg":"{algorithm}","kid":"{id}"}}"#
        ))
    }

    /// The payload of a JWS in compact serialization (RFC 7515 §7.1) that this key has signed, whatever
    /// the payload is.
    ///
    /// For tests and tools: it runs the code that judges the signature of an access token, and nothing
    /// else of what makes a token good. It knows neither issuer nor audience, neither expiry nor
    /// revocation, and does not look at `typ` or `kid`. Guards use [`Verifier`](crate::Verifier).
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if it is too long, not three segments of canonical base64url, or its
    /// header not acceptable; [`Refusal::UnknownKey`] if its `alg` is not the key's;
    /// [`Refusal::BadSignature`].
    pub fn verify_jws(&self, jws: &str) -> Result<Vec<u8>, Refusal> {
        codec::open_jws(jws, self)
    }

    /// Whether `signature` is one of `message` by this key.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(message, signature)
    }

    /// What the backends make a key of, to hold them against each other.
    #[cfg(all(test, feature = "aws_lc_rs", feature = "rust_crypto"))]
    pub(crate) fn decoding_key(&self) -> Option<DecodingKey> {
        self.public.as_ref().map(Public::decoding_key)
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }
}

impl SigningKey {
    /// The HS256 key that is this secret; white space around text, as files have it, is not part of it.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if it has fewer than 32 bytes (RFC 7518 §3.2).
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        Self::from_secret(Algorithm::Hs256, secret)
    }

    /// The key of an HMAC algorithm that is this secret; white space around text, as files have it, is
    /// not part of it.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if it is shorter than the hash (RFC 7518 §3.2), [`KeyError::NotASecret`] if
    /// it is the PEM text of a key, and [`KeyError::WrongKind`] if `algorithm` needs a key pair.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Self::hmac(algorithm, secret::trimmed(secret), None)
    }

    /// The HS256 key that belongs to a master secret.
    #[must_use]
    pub fn derived(master: &MasterSecret) -> Self {
        let secret = master.derive::<32>(secret::HS256_LABEL);
        let id = secret_id(Algorithm::Hs256, &*secret);
        let verifier = crypto::Verifier::hs256(&secret);
        Self {
            signer: Arc::new(crypto::Signer::hs256(&secret)),
            verifying: VerifyingKey::with(Algorithm::Hs256, verifier, id, None),
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
        let id = id.map_or_else(|| Ok(secret_id(algorithm, secret)), checked_id)?;
        // jsonwebtoken refuses an empty secret alone.
        let decoding = DecodingKey::from_secret(secret).map_err(|_| KeyError::Inconsistent)?;
        let encoding = EncodingKey::from_secret(secret).map_err(|_| KeyError::Inconsistent)?;
        let verifying = VerifyingKey::new(algorithm, &decoding, id, None)?;
        Self::new(&encoding, verifying)
    }

    /// The private key in this PEM text (PKCS #8, as `openssl genpkey` writes it; PKCS #1 for RSA),
    /// used with `algorithm`. Its id is the RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it is not exactly one key, [`KeyError::PublicKey`] if it is a public one,
    /// [`KeyError::WrongKind`] if `algorithm` does not go with it, and what else is wrong with it.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, &Self::private_of_pem(pem)?, None)
    }

    /// The private key in this PEM text, of whichever kind, used with the algorithm that is usual for
    /// it, as for a JWK without `alg`: EdDSA for Ed25519, ES256 for P-256, ES384 for P-384, and RS256
    /// for RSA. Its id is the RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), but for [`KeyError::WrongKind`].
    pub fn from_any_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let private = Self::private_of_pem(pem)?;
        Self::asymmetric(private.kind.usual_algorithm(), &private, None)
    }

    fn private_of_pem(pem: &[u8]) -> Result<Private, KeyError> {
        Material::from_pem(pem, "a private key (PKCS #8, or PKCS #1 for RSA)")?.private()
    }

    /// The private key in this DER document (PKCS #8; PKCS #1 for RSA), used with `algorithm`. Its id is
    /// the RFC 7638 thumbprint of its public key.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Der`].
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, &Material::from_der(der)?.private()?, None)
    }

    /// The private key or the secret in this JSON Web Key (RFC 7517, RFC 7518 §6), used with
    /// `algorithm`. Its id is its `kid`, or else as if it came from elsewhere.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`] if it is none, [`KeyError::PublicKey`] if it lacks the private part,
    /// [`KeyError::WrongUse`] or [`KeyError::WrongAlgorithm`] if it says so itself,
    /// [`KeyError::WrongKind`] if `algorithm` does not go with it, and what else is wrong with it.
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

    /// The key, if what the one half signs the other one verifies.
    fn new(key: &EncodingKey, verifying: VerifyingKey) -> Result<Self, KeyError> {
        const PROBE: &[u8] = b"gatepass: do these halves belong together?";
        let signer = crypto::Signer::new(verifying.algorithm, key).ok_or(KeyError::Inconsistent)?;
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

    /// The signature of `message`; `None` if the backend fails to make it.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.sign(message)
    }
}

/// The base64url text of the header of every token that a key signs.
fn header(algorithm: Algorithm, id: &str) -> String {
    // Ids hold no character that JSON would have to escape.
    URL_SAFE_NO_PAD.encode(format!(
        r#"{{"typ":"at+jwt","alg":"{algorithm}","kid":"{id}"}}"#
    ))
}

/// The id of a secret: it must tell keys apart and nothing about the secret, and a derived value does
/// both.
fn secret_id(algorithm: Algorithm, secret: &[u8]) -> String {
    let label = format!("gatepass {algorithm} key id v1");
    URL_SAFE_NO_PAD.encode(*secret::derive::<9>(secret, label.as_bytes()))
}

fn checked_id(id: &str) -> Result<String, KeyError> {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if (1..=64).contains(&id.len()) && id.chars().all(plain) {
        Ok(id.to_owned())
    } else {
        Err(KeyError::KeyId)
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

#[cfg(test)]
mod tests {
    use super::*;

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
