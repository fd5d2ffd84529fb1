//! The seam to jsonwebtoken: it does the cryptography, and nothing else.
//!
//! Called through the backend's own provider. jsonwebtoken's process-wide one panics when a build
//! has both of its backends or neither, and a library cannot know what else is in the build.

use jsonwebtoken::{
    Algorithm as Jwa, EncodingKey,
    crypto::{CryptoProvider, aws_lc::DEFAULT_PROVIDER},
    jwk::EllipticCurve,
};

use crate::{
    Algorithm, InternalError,
    keys::{SigningKey, VerifyingKey},
};

fn provider() -> &'static CryptoProvider {
    &DEFAULT_PROVIDER
}

const fn jwa(algorithm: Algorithm) -> Jwa {
    match algorithm {
        Algorithm::Hs256 => Jwa::HS256,
        Algorithm::EdDsa => Jwa::EdDSA,
    }
}

/// The signature of `message` by `key`.
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, InternalError> {
    let algorithm = jwa(key.verifying_key().algorithm);
    let signer = (provider().signer_factory)(&algorithm, &key.key);
    let signature = signer.ok().and_then(|signer| signer.try_sign(message).ok());
    signature.ok_or(InternalError::new("a token could not be signed"))
}

/// Whether `signature` is one of `message` by `key`. Takes the vector that jsonwebtoken wants.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &Vec<u8>) -> bool {
    let verifier = (provider().verifier_factory)(&jwa(key.algorithm), &key.key);
    verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
}

/// The public half of an Ed25519 private key.
pub(crate) fn ed25519_public_key(key: &EncodingKey) -> Option<[u8; 32]> {
    let components = provider().key_utils.ed_pub_components_from_private_key;
    components(key.as_bytes(), &EllipticCurve::Ed25519)
        .ok()?
        .try_into()
        .ok()
}
