//! Keys of the tests, made by `openssl genpkey`; they guard nothing. `roca.pub.pem` is from primes
//! that were chosen as the faulty chips did (CVE-2017-15361).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Authority, Device, Identity, KeySet, MasterSecret, MemoryStore,
    keys::{Algorithm, SigningKey},
};

pub(crate) const SECRET: &[u8] =
    b"a secret of the tests, long enough for each of the hashes: 64 bytes.";
pub(crate) const RSA: &[u8] = include_bytes!("../../keys/rsa.pem");
pub(crate) const RSA_PUBLIC: &[u8] = include_bytes!("../../keys/rsa.pub.pem");
pub(crate) const P256: &[u8] = include_bytes!("../../keys/p256.pem");
pub(crate) const P256_PUBLIC: &[u8] = include_bytes!("../../keys/p256.pub.pem");
pub(crate) const P384: &[u8] = include_bytes!("../../keys/p384.pem");
pub(crate) const P384_PUBLIC: &[u8] = include_bytes!("../../keys/p384.pub.pem");
pub(crate) const ED25519: &[u8] = include_bytes!("../../keys/ed25519.pem");
pub(crate) const ED25519_PUBLIC: &[u8] = include_bytes!("../../keys/ed25519.pub.pem");

/// The private and the public key in PEM that go with an algorithm of key pairs.
pub(crate) fn pair(algorithm: Algorithm) -> Option<(&'static [u8], &'static [u8])> {
    match algorithm.name() {
        "ES256" => Some((P256, P256_PUBLIC)),
        "ES384" => Some((P384, P384_PUBLIC)),
        "EdDSA" => Some((ED25519, ED25519_PUBLIC)),
        name if name.starts_with("HS") => None,
        _ => Some((RSA, RSA_PUBLIC)),
    }
}

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    match pair(algorithm) {
        Some((private, _)) => SigningKey::from_pem(algorithm, private).unwrap(),
        None => SigningKey::from_secret(algorithm, SECRET).unwrap(),
    }
}

pub(crate) async fn authority(keys: KeySet) -> Authority {
    let master = MasterSecret::from_bytes(&[7; 32]).unwrap();
    Authority::builder(
        "https://shop.example",
        "shop-api",
        master,
        MemoryStore::new(),
    )
    .keys(keys)
    .build()
    .await
    .unwrap()
}

pub(crate) async fn token(authority: &Authority) -> String {
    let identity = Identity::new("alice").unwrap();
    let issued = authority.issue(identity, Device::default()).await.unwrap();
    issued.access_token.as_str().to_owned()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unbase64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
