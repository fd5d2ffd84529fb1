//! Keys that AWS-LC has prepared once.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        self as aws, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair,
        RsaParameters, RsaPublicKeyComponents,
    },
};
use jsonwebtoken::{DecodingKey, DecodingKeyKind, EncodingKey};

use crate::keys::algorithm::Algorithm;

pub(super) use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// Longest modulus that AWS-LC verifies with.
pub(crate) const MAX_RSA_BITS: usize = 8192;

/// A key that signs.
#[expect(
    clippy::large_enum_variant,
    reason = "each is behind an `Arc`, and a box in it would be one hop more"
)]
pub(crate) enum Signer {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that verifies.
#[expect(
    clippy::large_enum_variant,
    reason = "each is behind an `Arc`, and a box in it would be one hop more"
)]
pub(crate) enum Verifier {
    Hmac(hmac::Key),
    Public(ParsedPublicKey),
}

/// AWS-LC's names for an algorithm.
enum Scheme {
    Hmac(hmac::Algorithm),
    Rsa(&'static dyn RsaEncoding, &'static RsaParameters),
    Ec(
        &'static aws::EcdsaSigningAlgorithm,
        &'static aws::EcdsaVerificationAlgorithm,
    ),
    Ed25519,
}

fn scheme(algorithm: Algorithm) -> Scheme {
    use Algorithm as A;
    match algorithm {
        A::Hs256 => Scheme::Hmac(hmac::HMAC_SHA256),
        A::Hs384 => Scheme::Hmac(hmac::HMAC_SHA384),
        A::Hs512 => Scheme::Hmac(hmac::HMAC_SHA512),
        A::Rs256 => Scheme::Rsa(&aws::RSA_PKCS1_SHA256, &aws::RSA_PKCS1_2048_8192_SHA256),
        A::Rs384 => Scheme::Rsa(&aws::RSA_PKCS1_SHA384, &aws::RSA_PKCS1_2048_8192_SHA384),
        A::Rs512 => Scheme::Rsa(&aws::RSA_PKCS1_SHA512, &aws::RSA_PKCS1_2048_8192_SHA512),
        A::Ps256 => Scheme::Rsa(&aws::RSA_PSS_SHA256, &aws::RSA_PSS_2048_8192_SHA256),
        A::Ps384 => Scheme::Rsa(&aws::RSA_PSS_SHA384, &aws::RSA_PSS_2048_8192_SHA384),
        A::Ps512 => Scheme::Rsa(&aws::RSA_PSS_SHA512, &aws::RSA_PSS_2048_8192_SHA512),
        A::Es256 => Scheme::Ec(
            &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
            &aws::ECDSA_P256_SHA256_FIXED,
        ),
        A::Es384 => Scheme::Ec(
            &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
            &aws::ECDSA_P384_SHA384_FIXED,
        ),
        A::EdDsa => Scheme::Ed25519,
    }
}

impl Signer {
    /// The HS256 key with this secret.
    pub(crate) fn hs256(secret: &[u8; 32]) -> Self {
        Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// `None` if AWS-LC does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &EncodingKey) -> Option<Self> {
        let bytes = key.as_bytes();
        Some(match scheme(algorithm) {
            Scheme::Hmac(hash) => Self::Hmac(hmac::Key::new(hash, bytes)),
            Scheme::Rsa(encoding, _) => Self::Rsa(RsaKeyPair::from_der(bytes).ok()?, encoding),
            Scheme::Ec(signing, _) => Self::Ec(EcdsaKeyPair::from_pkcs8(signing, bytes).ok()?),
            Scheme::Ed25519 => Self::Ed25519(Ed25519KeyPair::from_pkcs8(bytes).ok()?),
        })
    }

    /// The signature of `message`. `None` if AWS-LC fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        // AWS-LC uses its own randomness and ignores this argument.
        let random = SystemRandom::new();
        Some(match self {
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).ok()?;
                signature
            }
            Self::Ec(key) => key.sign(&random, message).ok()?.as_ref().to_vec(),
            Self::Ed25519(key) => key.try_sign(message).ok()?.as_ref().to_vec(),
        })
    }
}

impl Verifier {
    /// The HS256 key with this secret.
    pub(crate) fn hs256(secret: &[u8; 32]) -> Self {
        Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// `None` if AWS-LC does not take the key.
    pub(crate) fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        let parsed = match (scheme(algorithm), key.kind()) {
            (Scheme::Hmac(hash), DecodingKeyKind::SecretOrDer(secret)) => {
                return Some(Self::Hmac(hmac::Key::new(hash, secret)));
            }
            (Scheme::Rsa(_, parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            (Scheme::Ec(_, verification), DecodingKeyKind::SecretOrDer(point)) => {
                ParsedPublicKey::new(verification, point)
            }
            (Scheme::Ed25519, DecodingKeyKind::SecretOrDer(public)) => {
                ParsedPublicKey::new(&aws::ED25519, public)
            }
            _ => return None,
        };
        parsed.ok().map(Self::Public)
    }

    /// Whether `signature` is a signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}
