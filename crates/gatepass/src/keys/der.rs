//! Just enough DER (X.690) to tell keys apart, to check RSA numbers, and to write a private JWK as
//! the backends read it. Whether the numbers make a key is the backend's to say.

use zeroize::Zeroizing;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The public key inside of an `ECPrivateKey` (RFC 5915).
const EC_PUBLIC: u8 = 0xA1;

const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
pub(super) const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
pub(super) const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];

/// What a DER document is.
pub(super) enum Document<'a> {
    /// RFC 8017, A.1.1.
    RsaPublic(Rsa<'a>),
    /// RFC 8017, A.1.2: of the numbers, the public ones, and the whole of it.
    RsaPrivate(Rsa<'a>, &'a [u8]),
    /// RFC 5480: the curve, and the point.
    EcPublic(&'a [u8], &'a [u8]),
    /// RFC 5958: the curve.
    EcPrivate(&'a [u8]),
    /// RFC 8410.
    Ed25519Public(&'a [u8]),
    /// RFC 8410.
    Ed25519Private,
    /// A key for something else.
    Other,
}

/// Modulus and public exponent, without leading zeros.
pub(super) struct Rsa<'a> {
    pub(super) n: &'a [u8],
    pub(super) e: &'a [u8],
}

impl<'a> Document<'a> {
    /// `None` if it is none that this module knows, or is followed by something.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut body = Reader::sequence(der)?;
        if body.peek() == Some(SEQUENCE) {
            return Self::public(body);
        }
        match (body.unsigned()?, body.peek()?) {
            // PKCS #8, version 1 or 2.
            ([0 | 1], SEQUENCE) => Self::private(body),
            _ => Self::pkcs1(der),
        }
    }

    fn pkcs1(der: &'a [u8]) -> Option<Self> {
        let mut body = Reader::sequence(der)?;
        let first = body.unsigned()?;
        if first == [0] {
            let (n, e) = (body.unsigned()?, body.unsigned()?);
            // Of the six others the backend takes care.
            return Some(Self::RsaPrivate(Rsa { n, e }, der));
        }
        let (n, e) = (first, body.unsigned()?);
        body.end()?;
        Some(Self::RsaPublic(Rsa { n, e }))
    }

    fn public(mut body: Reader<'a>) -> Option<Self> {
        let (algorithm, curve) = body.algorithm()?;
        // No bit of the last byte is unused.
        let bits = body.take(BIT_STRING)?.strip_prefix(&[0])?;
        body.end()?;
        match algorithm {
            RSA => match Self::pkcs1(bits)? {
                rsa @ Self::RsaPublic(_) => Some(rsa),
                _ => None,
            },
            EC => Some(Self::EcPublic(curve?, bits)),
            ED25519 => Some(Self::Ed25519Public(bits)),
            _ => Some(Self::Other),
        }
    }

    fn private(mut body: Reader<'a>) -> Option<Self> {
        let (algorithm, curve) = body.algorithm()?;
        let key = body.take(OCTET_STRING)?;
        match algorithm {
            RSA => match Self::pkcs1(key)? {
                rsa @ Self::RsaPrivate(..) => Some(rsa),
                _ => None,
            },
            EC => Some(Self::EcPrivate(curve?)),
            ED25519 => Some(Self::Ed25519Private),
            _ => Some(Self::Other),
        }
    }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What is in the one sequence that `der` is.
    fn sequence(der: &'a [u8]) -> Option<Self> {
        let mut outer = Self(der);
        let body = outer.take(SEQUENCE)?;
        outer.end()?;
        Some(Self(body))
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// The contents of the next value, which must have this tag and the shortest form of its length.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[is, first], rest) = self.0.split_first_chunk()?;
        if is != tag {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x0F))?;
                let shortest = if length.len() == 1 {
                    *length.first()? > 0x7F
                } else {
                    *length.first()? > 0
                };
                let length = length
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (shortest.then_some(length)?, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(contents)
    }

    /// The next integer, which must not be negative, without the zero that says so.
    fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [] => None,
            [first, ..] if *first > 0x7F => None,
            [0, rest @ ..] if rest.first().is_some_and(|first| *first > 0x7F) => Some(rest),
            [0, _, ..] => None,
            bytes => Some(bytes),
        }
    }

    /// An `AlgorithmIdentifier`: what the key is for, and the curve where there is one by name.
    fn algorithm(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let mut algorithm = Reader(self.take(SEQUENCE)?);
        Some((algorithm.take(OID)?, algorithm.take(OID)))
    }
}

/// The PKCS #1 private key of these numbers: n, e, d, p, q, dp, dq, qi.
pub(super) fn rsa_private(numbers: [&[u8]; 8]) -> Zeroizing<Vec<u8>> {
    let integer = |number: &[u8]| {
        // A set highest bit would make it negative.
        let sign: &[u8] = match number.first() {
            Some(0..=0x7F) => &[],
            _ => &[0],
        };
        value(INTEGER, &[sign, number])
    };
    let numbers = numbers.map(integer);
    let version = value(INTEGER, &[&[0]]);
    let parts: Vec<&[u8]> = [&version]
        .into_iter()
        .chain(&numbers)
        .map(|part| part.as_slice())
        .collect();
    value(SEQUENCE, &parts)
}

/// The PKCS #8 private key of this number and point on a curve (RFC 5915 inside of RFC 5958).
pub(super) fn ec_private(curve: &[u8], d: &[u8], point: &[u8]) -> Zeroizing<Vec<u8>> {
    let public = value(EC_PUBLIC, &[&value(BIT_STRING, &[&[0], point])]);
    let version = value(INTEGER, &[&[1]]);
    let key = value(SEQUENCE, &[&version, &value(OCTET_STRING, &[d]), &public]);
    pkcs8(&[&value(OID, &[EC]), &value(OID, &[curve])], &key)
}

/// The PKCS #8 private key of this seed (RFC 8410).
pub(super) fn ed25519_private(seed: &[u8]) -> Zeroizing<Vec<u8>> {
    pkcs8(&[&value(OID, &[ED25519])], &value(OCTET_STRING, &[seed]))
}

fn pkcs8(algorithm: &[&[u8]], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let version = value(INTEGER, &[&[0]]);
    let algorithm = value(SEQUENCE, algorithm);
    let key = value(OCTET_STRING, &[key]);
    value(SEQUENCE, &[&version, &algorithm, &key])
}

fn value(tag: u8, contents: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    // All of it at once: what outgrows its place would leave a copy of a secret behind.
    let mut der = Zeroizing::new(Vec::with_capacity(length + 2 + significant.len()));
    der.push(tag);
    if length > 0x7F {
        der.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
        der.extend_from_slice(significant);
    } else {
        der.push(u8::try_from(length).unwrap_or_default());
    }
    for part in contents {
        der.extend_from_slice(part);
    }
    der
}
