//! The faults that a key can have.

use crate::keys::algorithm::Algorithm;

/// A key, or a set of keys, that cannot be used.
///
/// It is the fault of the person who made or configured the key. No variant holds anything secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that could be guessed: shorter than the hash (RFC 7518 §3.2).
    #[error(
        "the secret has {bytes} bytes and needs at least {least} random ones; make one with: openssl rand -hex 64"
    )]
    ShortSecret {
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        least: usize,
    },
    /// Not the PEM file of one key of this kind.
    #[error("not {0} in PEM")]
    Pem(&'static str),
    /// Not a key in DER. Keys on elliptic curves must be PKCS #8 or SPKI.
    #[error(
        "not a key in DER (PKCS #8, SPKI, or PKCS #1 for RSA); convert one with: openssl pkcs8 -topk8 -nocrypt"
    )]
    Der,
    /// Not a JSON Web Key: this member is missing, mistyped, or not in its one right form.
    #[error("not a JSON Web Key (RFC 7517): {0:?} is missing or malformed")]
    Jwk(&'static str),
    /// Not a JSON Web Key Set.
    #[error("not a JSON Web Key Set (RFC 7517 section 5)")]
    Jwks,
    /// A kind of key, a curve or an algorithm that gatepass does not have.
    #[error("{0:?} is not supported")]
    Unsupported(String),
    /// The algorithm signs with another kind of key, or on another curve.
    #[error("{algorithm} needs {needs}, and this is {is}")]
    WrongKind {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// The kind of key that it needs.
        needs: &'static str,
        /// The kind of the key in question.
        is: &'static str,
    },
    /// The JWK itself says that it is for another algorithm (`alg`).
    #[error("the key is for {says:?}, not for {algorithm}")]
    WrongAlgorithm {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// The one that the key names.
        says: String,
    },
    /// The JWK itself says that it is not for this use (`use` is not `sig`, or `key_ops` lacks it).
    #[error("the key is not for signatures: {0:?} says so")]
    WrongUse(&'static str),
    /// An RSA modulus that could be factored, or that the backend does not compute with.
    #[error("the RSA modulus has {bits} bits, and must have {least} to {most}")]
    RsaModulus {
        /// How long it is.
        bits: usize,
        /// How long it must be.
        least: usize,
        /// How long it may be.
        most: usize,
    },
    /// An RSA public exponent with which there is no signature (1, or an even one), or that no
    /// implementation takes.
    #[error("the RSA public exponent must be odd, at least 3 and below 2^33; 65537 is usual")]
    RsaExponent,
    /// A private key where a public one is due. It may have leaked: nothing that only verifies has
    /// it.
    #[error("this is a private key, and a public one is due")]
    PrivateKey,
    /// A public key where a private one is due.
    #[error("this is a public key, and a private one is due")]
    PublicKey,
    /// A key pair's half where a secret is due. As a secret it would be one that others know: a
    /// public key is the classic one (RFC 8725 §2.1).
    #[error("this is a key in PEM, and a secret is due; read it with from_any_pem()")]
    NotASecret,
    /// A secret among public keys. A party that has read it there can sign.
    #[error("this is a secret, and a public key is due")]
    Secret,
    /// The parts of the key do not fit together: a point off the curve, or halves of two keys.
    #[error("the parts of the key do not belong together")]
    Inconsistent,
    /// A `kid` that does not fit into a token's header.
    #[error("a key id is 1 to 64 printable ASCII characters without quote and backslash")]
    KeyId,
    /// Two keys have the same `kid`, so that a token could not name one of them.
    #[error("two keys have the id {0:?}")]
    DuplicateKeyId(String),
    /// A master secret is in a set of them twice.
    #[error("a master secret is in the set twice")]
    DuplicateSecret,
    /// Nothing to sign with.
    #[error("the key set has no active signing key")]
    NoSigningKey,
    /// Nothing to verify with.
    #[error("the key set has no usable key")]
    NoKey,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Random,
}
