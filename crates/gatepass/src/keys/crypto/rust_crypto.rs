//! Keys for RustCrypto.
//!
//! This module prepares an HMAC key once. jsonwebtoken prepares the other kinds for every call,
//! because its prepared keys are not `Send`, so a verifier can't keep them.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm as Jwa, DecodingKey, DecodingKeyKind, EncodingKey};
use sha2::{Sha256, Sha384, Sha512};

use crate::keys::{algorithm::Algorithm, crypto::jwa::jwa};

pub(super) use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

/// Longest modulus that the crate `rsa` verifies with.
#[cfg(not(feature = "aws_lc_rs"))]
pub(crate) const MAX_RSA_BITS: usize = 8192;

/// A key that signs.
pub(crate) enum Signer {
    Secret(Box<Secret>),
    Pair(Jwa, EncodingKey),
}

/// A key that verifies.
pub(crate) enum Verifier {
    Secret(Box<Secret>),
    Public(Jwa, DecodingKey),
}

/// A prepared HMAC key.
pub(crate) enum Secret {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Signer {
    /// The HS256 key with this secret.
    #[cfg(not(feature = "aws_lc_rs"))]
    pub(crate) fn hs256(secret: &[u8; 32]) -> Self {
        Self::Secret(Box::new(Secret::hs256(secret)))
    }

    /// `None` if RustCrypto does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &EncodingKey) -> Option<Self> {
        if let Some(secret) = Secret::new(algorithm, key.as_bytes()) {
            return Some(Self::Secret(Box::new(secret)));
        }
        let algorithm = jwa(algorithm);
        (DEFAULT_PROVIDER.signer_factory)(&algorithm, key).ok()?;
        Some(Self::Pair(algorithm, key.clone()))
    }

    /// The signature of `message`. `None` if RustCrypto fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Secret(secret) => Some(secret.sign(message)),
            Self::Pair(algorithm, key) => {
                let signer = (DEFAULT_PROVIDER.signer_factory)(algorithm, key).ok()?;
                signer.try_sign(message).ok()
            }
        }
    }
}

impl Verifier {
    /// The HS256 key with this secret.
    #[cfg(not(feature = "aws_lc_rs"))]
    pub(crate) fn hs256(secret: &[u8; 32]) -> Self {
        Self::Secret(Box::new(Secret::hs256(secret)))
    }

    /// `None` if RustCrypto does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        if let DecodingKeyKind::SecretOrDer(bytes) = key.kind()
            && let Some(secret) = Secret::new(algorithm, bytes)
        {
            return Some(Self::Secret(Box::new(secret)));
        }
        let algorithm = jwa(algorithm);
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key).ok()?;
        Some(Self::Public(algorithm, key.clone()))
    }

    /// Whether `signature` is a signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(secret) => secret.verify(message, signature),
            Self::Public(algorithm, key) => (DEFAULT_PROVIDER.verifier_factory)(algorithm, key)
                .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok()),
        }
    }
}

impl Secret {
    #[cfg(not(feature = "aws_lc_rs"))]
    fn hs256(secret: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to the length of a block (RFC 2104 §2).
        let mut block = zeroize::Zeroizing::new([0; 64]);
        let (head, _) = block.split_at_mut(secret.len());
        head.copy_from_slice(secret);
        Self::Sha256(Hmac::new((&*block).into()))
    }

    /// `None` if `algorithm` isn't an HMAC algorithm.
    fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Hs256 => Self::Sha256(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Hs384 => Self::Sha384(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Hs512 => Self::Sha512(Hmac::new_from_slice(secret).ok()?),
            _ => return None,
        })
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256(key) => tag(key, message).finalize().into_bytes().to_vec(),
            Self::Sha384(key) => tag(key, message).finalize().into_bytes().to_vec(),
            Self::Sha512(key) => tag(key, message).finalize().into_bytes().to_vec(),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Sha256(key) => tag(key, message).verify_slice(signature),
            Self::Sha384(key) => tag(key, message).verify_slice(signature),
            Self::Sha512(key) => tag(key, message).verify_slice(signature),
        };
        verified.is_ok()
    }
}

/// The key's state after `message`.
fn tag<M: Mac + Clone>(key: &M, message: &[u8]) -> M {
    key.clone().chain_update(message)
}
