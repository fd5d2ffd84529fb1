//! The faults that a key can have.

use crate::keys::algorithm::Algorithm;

/// A key, or a set of keys, that gatepass cannot use.
///
/// This is a mistake in the key or the configuration. No variant holds anything secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret is shorter than the hash, so an attacker could guess it (RFC 7518 §3.2).
    #[error(
        "the secret has {bytes} bytes and needs at least {least} random ones; make one with: openssl rand -hex 64"
    )]
    ShortSecret {
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        least: usize,
    },
    /// The text is not PEM with one key of this kind.
    #[error("not {0} in PEM")]
    Pem(&'static str),
    /// The bytes are not a key in DER. Keys on elliptic curves must be PKCS #8 or SPKI.
    #[error(
        "not a key in DER (PKCS #8, SPKI, or PKCS #1 for RSA); convert one with: openssl pkcs8 -topk8 -nocrypt"
    )]
    Der,
    /// The text is not a JSON Web Key: this member is missing, has the wrong type, or isn't in its
    /// one valid form.
    #[error("not a JSON Web Key (RFC 7517): {0:?} is missing or malformed")]
    Jwk(&'static str),
    /// The text is not a JSON Web Key Set.
    #[error("not a JSON Web Key Set (RFC 7517 section 5)")]
    Jwks,
    /// gatepass does not support this kind of key, curve or algorithm.
    #[error("{0:?} is not supported")]
    Unsupported(String),
    /// The algorithm needs another kind of key, or another curve.
    #[error("{algorithm} needs {needs}, and this is {is}")]
    WrongKind {
        /// The algorithm that you asked for.
        algorithm: Algorithm,
        /// The kind of key that it needs.
        needs: &'static str,
        /// The kind of this key.
        is: &'static str,
    },
    /// The JWK names another algorithm (`alg`).
    #[error("the key is for {says:?}, not for {algorithm}")]
    WrongAlgorithm {
        /// The algorithm that you asked for.
        algorithm: Algorithm,
        /// The algorithm that the key names.
        says: String,
    },
    /// The JWK is not for this use: `use` is not `sig`, or `key_ops` lacks the operation.
    #[error("the key is not for signatures: {0:?} says so")]
    WrongUse(&'static str),
    /// The RSA modulus is so short that an attacker could factor it, or too long for the backend.
    #[error("the RSA modulus has {bits} bits, and must have {least} to {most}")]
    RsaModulus {
        /// How long it is.
        bits: usize,
        /// How long it must be.
        least: usize,
        /// How long it may be.
        most: usize,
    },
    /// The RSA public exponent makes no signature (1, or an even number), or is too large for
    /// implementations.
    #[error("the RSA public exponent must be odd, at least 3 and below 2^33; 65537 is usual")]
    RsaExponent,
    /// The RSA key looks like those of a faulty chip, whose private half an attacker can compute
    /// (ROCA, CVE-2017-15361).
    #[error(
        "the RSA key is of a faulty chip and can be factored (ROCA, CVE-2017-15361); replace it"
    )]
    Roca,
    /// The key is private, but must be public. It may have leaked: a service that only verifies
    /// must not have it.
    #[error("this is a private key, but a public key is needed")]
    PrivateKey,
    /// The key is public, but must be private.
    #[error("this is a public key, but a private key is needed")]
    PublicKey,
    /// The key is half of a key pair, but must be a secret. An attacker may know it, above all if
    /// it is a public key (RFC 8725 §2.1).
    #[error("this is a key in PEM, but a secret is needed; read the key with from_any_pem()")]
    NotASecret,
    /// The key is a secret, but must be public. A party that can read it can also sign.
    #[error("this is a secret, but a public key is needed")]
    Secret,
    /// The parts of the key do not fit together: a point off the curve, or halves of two keys.
    #[error("the parts of the key do not belong together")]
    Inconsistent,
    /// The `kid` does not fit into a token's header.
    #[error("a key id is 1 to 64 printable ASCII characters without quote and backslash")]
    KeyId,
    /// Two keys have the same `kid`, so a token could not name one of them.
    #[error("two keys have the id {0:?}")]
    DuplicateKeyId(String),
    /// A master secret is in the set twice.
    #[error("a master secret is in the set twice")]
    DuplicateSecret,
    /// The key set has no key to sign with.
    #[error("the key set has no active signing key")]
    NoSigningKey,
    /// The key set has no key to verify with.
    #[error("the key set has no usable key")]
    NoKey,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Random,
}
