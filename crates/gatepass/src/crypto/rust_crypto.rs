//! Keys for RustCrypto, which jsonwebtoken prepares for every call: what it makes of one cannot be
//! kept, since it is not `Send`.

use jsonwebtoken::{Algorithm as Jwa, DecodingKey, DecodingKeyKind, EncodingKey};

pub(super) use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

use super::jwa;
use crate::Algorithm;

/// Longest modulus that the crate `rsa` verifies with.
#[cfg(not(feature = "aws_lc_rs"))]
pub(crate) const MAX_RSA_BITS: usize = 4096;

/// A key that signs.
pub(crate) struct Signer {
    algorithm: Jwa,
    key: EncodingKey,
}

/// A key that verifies.
pub(crate) struct Verifier {
    algorithm: Jwa,
    key: DecodingKey,
}

impl Signer {
    /// An HS256 secret, which is always taken.
    #[cfg(not(feature = "aws_lc_rs"))]
    pub(crate) fn hs256(secret: &[u8]) -> Self {
        let (algorithm, key) = (Jwa::HS256, EncodingKey::from_secret(secret));
        Self { algorithm, key }
    }

    /// `None` if RustCrypto does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &EncodingKey) -> Option<Self> {
        let algorithm = jwa(algorithm);
        (DEFAULT_PROVIDER.signer_factory)(&algorithm, key).ok()?;
        let key = key.clone();
        Some(Self { algorithm, key })
    }

    /// The signature of `message`; `None` if RustCrypto fails to make it.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).ok()?;
        signer.try_sign(message).ok()
    }
}

impl Verifier {
    /// An HS256 secret, which is always taken.
    #[cfg(not(feature = "aws_lc_rs"))]
    pub(crate) fn hs256(secret: &[u8]) -> Self {
        let (algorithm, key) = (Jwa::HS256, DecodingKey::from_secret(secret));
        Self { algorithm, key }
    }

    /// `None` if RustCrypto does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        let algorithm = jwa(algorithm);
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key).ok()?;
        let key = key.clone();
        Some(Self { algorithm, key })
    }

    /// Whether `signature` is one of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        // RFC 8017 §5.2.2. Under PSS the crate `rsa` would take a number beyond the modulus for what
        // is left of it.
        if let DecodingKeyKind::RsaModulusExponent { n, .. } = self.key.kind()
            && (signature.len() != n.len() || signature >= n.as_slice())
        {
            return false;
        }
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}
