//! The kinds of keys in DER, and the DER form of a private JWK for the backends.

use pkcs1::{RsaPrivateKeyRef, UintRef};
use pkcs8::{
    AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef,
    der::{self, Encode, asn1::OctetStringRef},
};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use crate::keys::{algorithm::Kind, error::KeyError};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// The kind of a key for `algorithm`.
pub(super) fn kind(algorithm: AlgorithmIdentifierRef<'_>) -> Result<Kind, KeyError> {
    let curve = || algorithm.parameters_oid().map_err(|_| KeyError::Der);
    match algorithm.oid {
        RSA => Ok(Kind::Rsa),
        ED25519 => Ok(Kind::Ed25519),
        EC if curve()? == P256 => Ok(Kind::P256),
        EC if curve()? == P384 => Ok(Kind::P384),
        _ => Err(KeyError::Unsupported(
            "this kind of key or curve".to_owned(),
        )),
    }
}

/// The PKCS #1 private key of these numbers: n, e, d, p, q, dp, dq, qi.
pub(super) fn rsa_private(numbers: [&[u8]; 8]) -> der::Result<Zeroizing<Vec<u8>>> {
    let [n, e, d, p, q, dp, dq, qi] = numbers.map(UintRef::new);
    encode(&RsaPrivateKeyRef {
        modulus: n?,
        public_exponent: e?,
        private_exponent: d?,
        prime1: p?,
        prime2: q?,
        exponent1: dp?,
        exponent2: dq?,
        coefficient: qi?,
        other_prime_infos: None,
    })
}

/// The PKCS #8 private key of this number and point on a curve (RFC 5915 inside of RFC 5958).
pub(super) fn ec_private(
    curve: ObjectIdentifier,
    d: &[u8],
    point: &[u8],
) -> der::Result<Zeroizing<Vec<u8>>> {
    let key = encode(&EcPrivateKey {
        private_key: d,
        parameters: None,
        public_key: Some(point),
    })?;
    pkcs8(EC, Some(&curve), &key)
}

/// The PKCS #8 private key of this seed (RFC 8410).
pub(super) fn ed25519_private(seed: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    pkcs8(ED25519, None, &encode(&OctetStringRef::new(seed)?)?)
}

fn pkcs8(
    oid: ObjectIdentifier,
    curve: Option<&ObjectIdentifier>,
    key: &[u8],
) -> der::Result<Zeroizing<Vec<u8>>> {
    let parameters = curve.map(Into::into);
    encode(&PrivateKeyInfoRef::new(
        AlgorithmIdentifierRef { oid, parameters },
        OctetStringRef::new(key)?,
    ))
}

/// Allocates once, because a buffer that grows would leave a copy of the secret behind.
fn encode(key: &impl Encode) -> der::Result<Zeroizing<Vec<u8>>> {
    key.to_der().map(Zeroizing::new)
}
