//! The parts of a key, in one form for all sources, and the check whether gatepass may use it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use pkcs8::{PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::{
    algorithm::{Algorithm, Kind},
    crypto, der,
    error::KeyError,
    roca::is_roca,
};

/// Shortest RSA modulus (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1, 2.3.3).
    P256([u8; 65]),
    /// An uncompressed point (SEC 1, 2.3.3).
    P384([u8; 97]),
    Ed25519([u8; 32]),
}

impl Algorithm {
    pub(super) fn check_kind(self, is: Kind) -> Result<(), KeyError> {
        if self.kind() == is {
            Ok(())
        } else {
            Err(KeyError::WrongKind {
                algorithm: self,
                needs: self.kind().name(),
                is: is.name(),
            })
        }
    }
}

/// A private key as the backends read it: RSA in PKCS #1, others in PKCS #8.
pub(super) struct Private {
    pub(super) kind: Kind,
    pub(super) key: EncodingKey,
    /// The public half, if the source had it.
    pub(super) public: Option<Public>,
}

/// A public or a private key.
pub(super) enum Material {
    Public(Public),
    Private(Private),
}

impl Material {
    /// The key in a PEM text, which must hold exactly one block.
    pub(super) fn from_pem(pem: &[u8], what: &'static str) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(pem).map_err(|_| KeyError::Pem(what))?;
        let [block] = <[pem::Pem; 1]>::try_from(blocks).map_err(|_| KeyError::Pem(what))?;
        let known = [
            "PRIVATE KEY",
            "PUBLIC KEY",
            "RSA PRIVATE KEY",
            "RSA PUBLIC KEY",
        ];
        if !known.contains(&block.tag()) {
            return Err(KeyError::Pem(what));
        }
        let is_private = block.tag().ends_with("PRIVATE KEY");
        let der = Zeroizing::new(block.into_contents());
        let key = Self::from_der(&der).map_err(|error| match error {
            KeyError::Der => KeyError::Pem(what),
            other => other,
        })?;
        // The label must be right about whether the key is private.
        match &key {
            Self::Private(_) if is_private => Ok(key),
            Self::Public(_) if !is_private => Ok(key),
            _ => Err(KeyError::Pem(what)),
        }
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(info) = SubjectPublicKeyInfoRef::try_from(der) {
            Public::from_spki(&info).map(Self::Public)
        } else if let Ok(info) = PrivateKeyInfoRef::try_from(der) {
            Private::from_pkcs8(&info, der).map(Self::Private)
        } else if let Ok(rsa) = RsaPublicKeyRef::try_from(der) {
            Ok(Self::Public(rsa.into()))
        } else {
            Private::from_pkcs1(der).map(Self::Private)
        }
    }

    pub(super) fn public(self) -> Result<Public, KeyError> {
        match self {
            Self::Public(public) => Ok(public),
            Self::Private(_) => Err(KeyError::PrivateKey),
        }
    }

    pub(super) fn private(self) -> Result<Private, KeyError> {
        match self {
            Self::Private(private) => Ok(private),
            Self::Public(_) => Err(KeyError::PublicKey),
        }
    }
}

impl From<RsaPublicKeyRef<'_>> for Public {
    fn from(rsa: RsaPublicKeyRef<'_>) -> Self {
        Self::Rsa {
            n: rsa.modulus.as_bytes().to_vec(),
            e: rsa.public_exponent.as_bytes().to_vec(),
        }
    }
}

impl Public {
    fn from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, KeyError> {
        let kind = der::kind(info.algorithm)?;
        let key = info.subject_public_key.as_bytes().ok_or(KeyError::Der)?;
        let public = match kind {
            Kind::Rsa => RsaPublicKeyRef::try_from(key).ok().map(Self::from),
            Kind::Ed25519 => key.try_into().ok().map(Self::Ed25519),
            kind => Self::point(kind, key),
        };
        public.ok_or(KeyError::Der)
    }

    /// The point on the curve of `kind`, which must be uncompressed.
    pub(super) fn point(kind: Kind, point: &[u8]) -> Option<Self> {
        if point.first() != Some(&4) {
            return None;
        }
        match kind {
            Kind::P256 => point.try_into().ok().map(Self::P256),
            Kind::P384 => point.try_into().ok().map(Self::P384),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Rsa { .. } => Kind::Rsa,
            Self::P256(_) => Kind::P256,
            Self::P384(_) => Kind::P384,
            Self::Ed25519(_) => Kind::Ed25519,
        }
    }

    /// Checks that the key may be used with `algorithm`. The backend checks that a point is on its
    /// curve.
    pub(super) fn check(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        algorithm.check_kind(self.kind())?;
        let Self::Rsa { n, e } = self else {
            return Ok(());
        };
        let bits = bits(n);
        let (least, most) = (MIN_RSA_BITS, crypto::MAX_RSA_BITS);
        if !(least..=most).contains(&bits) {
            return Err(KeyError::RsaModulus { bits, least, most });
        }
        if !odd(n) {
            return Err(KeyError::Inconsistent);
        }
        if is_roca(n) {
            return Err(KeyError::Roca);
        }
        if !odd(e) || !(2..=33).contains(&self::bits(e)) {
            return Err(KeyError::RsaExponent);
        }
        Ok(())
    }

    pub(super) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::P256(point) => DecodingKey::from_ec_der(point),
            Self::P384(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(public) => DecodingKey::from_ed_der(public),
        }
    }

    /// The required members of the JWK, in the order and form of RFC 7638 §3.
    pub(super) fn members(&self) -> String {
        let ec = |curve: &str, point: &[u8]| {
            let coordinates = point.get(1..).unwrap_or_default();
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            format!(r#""crv":"{curve}","kty":"EC","x":"{x}","y":"{y}""#)
        };
        match self {
            Self::Rsa { n, e } => {
                let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
                format!(r#""e":"{e}","kty":"RSA","n":"{n}""#)
            }
            Self::P256(point) => ec("P-256", point),
            Self::P384(point) => ec("P-384", point),
            // RFC 8037 §2.
            Self::Ed25519(public) => {
                let x = URL_SAFE_NO_PAD.encode(public);
                format!(r#""crv":"Ed25519","kty":"OKP","x":"{x}""#)
            }
        }
    }

    /// The thumbprint of the key (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", self.members())))
    }
}

impl Private {
    /// The key in the document `der`, which `info` describes.
    fn from_pkcs8(info: &PrivateKeyInfoRef<'_>, der: &[u8]) -> Result<Self, KeyError> {
        let kind = der::kind(info.algorithm)?;
        let key = match kind {
            Kind::Rsa => return Self::from_pkcs1(info.private_key.as_bytes()),
            Kind::Ed25519 => EncodingKey::from_ed_der(der),
            _ => EncodingKey::from_ec_der(der),
        };
        let public = None;
        Ok(Self { kind, key, public })
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let rsa = RsaPrivateKeyRef::try_from(der).map_err(|_| KeyError::Der)?;
        // A key must have two primes, even if the library is built to read more.
        if rsa.other_prime_infos.is_some() {
            return Err(KeyError::Der);
        }
        Ok(Self {
            kind: Kind::Rsa,
            key: EncodingKey::from_rsa_der(der),
            public: Some(rsa.public_key().into()),
        })
    }

    /// The public half, derived from the private key. If the source had a public half, it must be
    /// the same.
    pub(super) fn public_half(&self, algorithm: Algorithm) -> Result<Public, KeyError> {
        let derived = match self.kind {
            // `SigningKey::new` checks that the halves belong together, by a signature.
            Kind::Rsa => return self.public.clone().ok_or(KeyError::Inconsistent),
            Kind::Ed25519 => crypto::ed25519_public_key(&self.key).map(Public::Ed25519),
            kind => crypto::ec_public_key(algorithm, &self.key)
                .and_then(|point| Public::point(kind, &point)),
        };
        match (derived, &self.public) {
            (Some(derived), None) => Ok(derived),
            (Some(derived), Some(beside)) if derived == *beside => Ok(derived),
            _ => Err(KeyError::Inconsistent),
        }
    }
}

/// How many bits a number without leading zero bytes has.
fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |first| first.leading_zeros());
    number.len() * 8 - zeros as usize
}

fn odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_the_one_of_the_standards() {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        // RFC 7638, section 3.1.
        let rsa = Public::Rsa {
            n: bytes(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            ),
            e: bytes("AQAB"),
        };
        assert_eq!(
            rsa.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        // RFC 8037, appendix A.2 and A.3.
        let x = bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(
            Public::Ed25519(x.try_into().unwrap()).thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn the_size_of_a_number_is_counted_in_bits() {
        for (number, expected) in [(&[][..], 0), (&[1], 1), (&[0x80], 8), (&[1, 0, 1], 17)] {
            assert_eq!(bits(number), expected);
        }
    }
}
