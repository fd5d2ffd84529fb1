//! The key that verifies access tokens.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use sha2::{Digest, Sha256};

use crate::keys::{
    algorithm::Algorithm,
    crypto,
    error::KeyError,
    jwk::{Jwk, Purpose},
    material::{Material, Public},
};

/// A key that verifies access tokens.
#[derive(Clone)]
pub struct VerifyingKey {
    id: String,
    algorithm: Algorithm,
    verifier: Arc<crypto::Verifier>,
    /// The base64url text of the header of every token that its other half signs.
    header: String,
    /// `None` if the key is a secret.
    public: Option<Public>,
    fingerprint: Option<Fingerprint>,
    /// A value that identifies the key and reveals no secret.
    mark: String,
}

/// A hash of a public key and its algorithm. Two keys with the same fingerprint verify the same
/// signatures, even under different ids. Reloading a key doesn't change it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(algorithm: Algorithm, public: &Public) -> Self {
        // Neither the name nor the thumbprint contains a space.
        let both = format!("{algorithm} {}", public.thumbprint());
        Self(Sha256::digest(both).into())
    }
}

impl VerifyingKey {
    /// Reads a public key in PEM, to use with `algorithm`. `openssl pkey -pubout` writes such a
    /// text. PKCS #1 is also allowed for RSA. The key's id is its RFC 7638 thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if the text isn't exactly one key, [`KeyError::PrivateKey`] if the key is
    /// private, [`KeyError::WrongKind`] if `algorithm` needs another kind of key, and the
    /// [`KeyError`] of any other fault.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, Self::public_of_pem(pem)?, None)
    }

    /// Reads a public key of any kind in PEM, to use with the usual algorithm of its kind. This is
    /// EdDSA for Ed25519, ES256 for P-256, ES384 for P-384, and RS256 for RSA. The key's id is its
    /// RFC 7638 thumbprint.
    ///
    /// ```
    /// use gatepass::keys::{Algorithm, VerifyingKey};
    ///
    /// let key = VerifyingKey::from_any_pem(b"-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    /// -----END PUBLIC KEY-----")?;
    /// assert_eq!(key.algorithm(), Algorithm::EdDsa);
    /// # Ok::<(), gatepass::keys::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), except [`KeyError::WrongKind`].
    pub fn from_any_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let public = Self::public_of_pem(pem)?;
        Self::asymmetric(public.kind().usual_algorithm(), public, None)
    }

    fn public_of_pem(pem: &[u8]) -> Result<Public, KeyError> {
        Material::from_pem(pem, "a public key")?.public()
    }

    /// Reads a public key in DER (SPKI, or PKCS #1 for RSA), to use with `algorithm`. The key's id
    /// is its RFC 7638 thumbprint.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Der`].
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::asymmetric(algorithm, Material::from_der(der)?.public()?, None)
    }

    /// Reads a public key from a JSON Web Key (RFC 7517), to use with `algorithm`. The key's id is
    /// its `kid`, or else its RFC 7638 thumbprint.
    ///
    /// ```
    /// use gatepass::keys::{Algorithm, VerifyingKey};
    ///
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let key = VerifyingKey::from_jwk(Algorithm::EdDsa, jwk)?;
    /// assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    /// # Ok::<(), gatepass::keys::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`] if the text isn't a JWK, [`KeyError::Secret`] or [`KeyError::PrivateKey`]
    /// if it has a secret part, [`KeyError::WrongUse`] or [`KeyError::WrongAlgorithm`] if the JWK
    /// names another use or algorithm, [`KeyError::WrongKind`] if `algorithm` needs another kind of
    /// key, and the [`KeyError`] of any other fault.
    pub fn from_jwk(algorithm: Algorithm, jwk: &str) -> Result<Self, KeyError> {
        Self::of_jwk(algorithm, &Jwk::parse(jwk, Purpose::Verify)?)
    }

    /// A key of a set, with the algorithm that it names, or else the usual one of its kind.
    pub(super) fn of_set(jwk: &str) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk, Purpose::Verify)?;
        Self::of_jwk(jwk.algorithm()?, &jwk)
    }

    /// A key that another issuer publishes, with the algorithm that it names, or else with the
    /// first of the `allowed` algorithms that fits.
    pub(super) fn of_issuer(jwk: &str, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk, Purpose::Verify)?;
        Self::of_jwk(jwk.algorithm_among(allowed)?, &jwk)
    }

    fn of_jwk(algorithm: Algorithm, jwk: &Jwk) -> Result<Self, KeyError> {
        jwk.check_algorithm(algorithm)?;
        Self::asymmetric(algorithm, jwk.public()?, jwk.id()?)
    }

    pub(super) fn asymmetric(
        algorithm: Algorithm,
        public: Public,
        id: Option<&str>,
    ) -> Result<Self, KeyError> {
        public.check(algorithm)?;
        let id = id.map_or_else(|| Ok(public.thumbprint()), checked_id)?;
        let key = public.decoding_key();
        Self::new(algorithm, &key, id, Some(public))
    }

    pub(super) fn new(
        algorithm: Algorithm,
        key: &DecodingKey,
        id: String,
        public: Option<Public>,
    ) -> Result<Self, KeyError> {
        let verifier = crypto::Verifier::new(algorithm, key).ok_or(KeyError::Inconsistent)?;
        Ok(Self::with(algorithm, verifier, id, public))
    }

    pub(super) fn with(
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
            mark: public.as_ref().map_or_else(String::new, Public::thumbprint),
            fingerprint: (public.as_ref()).map(|public| Fingerprint::of(algorithm, public)),
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

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as a JSON Web Key (RFC 7517). `None` if it is a secret, which gatepass never
    /// exports.
    #[must_use]
    pub fn to_jwk(&self) -> Option<String> {
        let members = self.public.as_ref()?.members();
        let (algorithm, id) = (self.algorithm, &self.id);
        Some(format!(
            r#"{{{members},"use":"sig","alg":"{algorithm}","kid":"{id}"}}"#
        ))
    }

    /// Whether `signature` is a signature of `message` by this key.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(message, signature)
    }

    /// The input from which the backends make a key, for tests that compare the backends.
    #[cfg(all(test, feature = "aws_lc_rs", feature = "rust_crypto"))]
    pub(crate) fn decoding_key(&self) -> Option<DecodingKey> {
        self.public.as_ref().map(Public::decoding_key)
    }

    /// `None` if the key is a secret.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The same key with this `mark`.
    pub(super) fn marked(mut self, mark: String) -> Self {
        self.mark = mark;
        self
    }

    /// The text that tells other nodes about this key. Two nodes have the same key if their texts
    /// are equal.
    pub(crate) fn mark(&self) -> String {
        format!("{} {}", self.id, self.mark)
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }
}

/// The base64url text of the header of every token that a key signs.
fn header(algorithm: Algorithm, id: &str) -> String {
    // Ids contain no character that JSON would have to escape.
    URL_SAFE_NO_PAD.encode(format!(
        r#"{{"typ":"at+jwt","alg":"{algorithm}","kid":"{id}"}}"#
    ))
}

pub(super) fn checked_id(id: &str) -> Result<String, KeyError> {
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
