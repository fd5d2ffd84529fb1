//! New keys and secrets.

use std::{fs, path::Path};

use anyhow::{Context, anyhow};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::Unspecified,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, RsaKeyPair,
    },
};
use gatepass::{
    MasterSecret,
    keys::{Algorithm, SigningKey},
    store::{Random, SystemRandom},
};
use pkcs8::{LineEnding, SecretDocument};
use zeroize::Zeroizing;

use crate::private_file;

/// A kind of key pair.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyKind {
    Ed25519,
    Es256,
    Es384,
    Rsa(RsaBits),
}

/// The length of an RSA key's modulus. Attackers can factor shorter ones, and longer ones are slow.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum RsaBits {
    /// The least that gatepass accepts (RFC 7518 section 3.3).
    #[value(name = "2048")]
    B2048,
    /// As strong as the curve P-256.
    #[value(name = "3072")]
    B3072,
    #[value(name = "4096")]
    B4096,
}

/// A new key or secret that is not in a file yet.
pub(crate) struct Made {
    secret: Zeroizing<String>,
    public: String,
}

impl Made {
    /// Writes it to a new file.
    pub(crate) fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        private_file::create(path, self.secret.as_bytes())
    }

    /// The lines that you may publish.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }
}

/// Random bytes in hex, as many as the longest hash has.
pub(crate) fn secret() -> anyhow::Result<Made> {
    let mut random = Zeroizing::new([0; 64]);
    SystemRandom.fill(&mut *random)?;
    // Allocated once: a string that grows leaves a copy of the secret behind.
    let mut secret = Zeroizing::new(String::with_capacity(2 * random.len() + 1));
    for byte in *random {
        for digit in [byte >> 4, byte & 15] {
            secret.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    secret.push('\n');
    let key = SigningKey::from_secret(Algorithm::Hs256, secret.as_bytes())?;
    let public = format!("{}\n", key.verifying_key().id());
    Ok(Made { secret, public })
}

/// The HS256 key that belongs to the master secret in a file.
pub(crate) fn derived(from: &Path) -> anyhow::Result<Made> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {from:?}"))?;
    let master = MasterSecret::from_bytes(&Zeroizing::new(bytes));
    let master = master.with_context(|| format!("cannot use {from:?}"))?;
    let secret = master.hs256_jwk();
    let public = format!("{}\n", SigningKey::derived(&master).verifying_key().id());
    Ok(Made { secret, public })
}

/// A private key in PEM (PKCS #8), as `openssl genpkey` writes it.
pub(crate) fn key_pair(kind: KeyKind) -> anyhow::Result<Made> {
    let der = pkcs8(kind).map_err(|Unspecified| anyhow!("the key could not be made"))?;
    let secret = der.to_pem("PRIVATE KEY", LineEnding::LF);
    let secret = secret.map_err(|error| anyhow!("the key cannot be written: {error}"))?;
    // Fails if gatepass would refuse the key.
    let key = SigningKey::from_any_pem(secret.as_bytes())?;
    let key = key.verifying_key();
    let jwk = key.to_jwk().unwrap_or_default();
    let public = format!("{}\n{jwk}\n", key.id());
    Ok(Made { secret, public })
}

fn pkcs8(kind: KeyKind) -> Result<SecretDocument, Unspecified> {
    let ec = |curve| EcdsaKeyPair::generate(curve)?.to_pkcs8v1();
    let der = match kind {
        // Version 1, without the public half: few programs read version 2.
        KeyKind::Ed25519 => document(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref()),
        KeyKind::Es256 => document(ec(&ECDSA_P256_SHA256_FIXED_SIGNING)?.as_ref()),
        KeyKind::Es384 => document(ec(&ECDSA_P384_SHA384_FIXED_SIGNING)?.as_ref()),
        KeyKind::Rsa(bits) => {
            let key = RsaKeyPair::generate(match bits {
                RsaBits::B2048 => KeySize::Rsa2048,
                RsaBits::B3072 => KeySize::Rsa3072,
                RsaBits::B4096 => KeySize::Rsa4096,
            })?;
            let der: Pkcs8V1Der<'_> = key.as_der()?;
            document(der.as_ref())
        }
    };
    der.map_err(|_| Unspecified)
}

/// The document, which is wiped when dropped.
fn document(der: &[u8]) -> pkcs8::der::Result<SecretDocument> {
    SecretDocument::try_from(der)
}

#[cfg(test)]
mod tests {
    use gatepass::MasterSecret;

    use super::*;

    #[test]
    fn a_secret_is_as_openssl_would_give_it_and_another_each_time() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        let hex = one.secret.strip_suffix('\n').unwrap();
        assert_eq!(hex.len(), 128);
        assert!(hex.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        assert_ne!(*one.secret, *two.secret);
        assert_ne!(one.public, two.public);
        assert!(MasterSecret::from_bytes(one.secret.as_bytes()).is_ok());
        for name in ["HS256", "HS384", "HS512"] {
            let key = SigningKey::from_secret(name.parse().unwrap(), one.secret.as_bytes());
            assert!(key.is_ok(), "{name}");
        }
    }

    #[test]
    fn a_key_pair_is_of_its_kind_and_shows_its_public_half_alone() {
        for (kind, algorithm) in [
            (KeyKind::Ed25519, "EdDSA"),
            (KeyKind::Es256, "ES256"),
            (KeyKind::Es384, "ES384"),
            (KeyKind::Rsa(RsaBits::B2048), "RS256"),
        ] {
            let made = key_pair(kind).unwrap();
            let key = SigningKey::from_any_pem(made.secret.as_bytes()).unwrap();
            let key = key.verifying_key();
            assert_eq!(key.algorithm().name(), algorithm);
            let (id, jwk) = made.public().trim_end().split_once('\n').unwrap();
            assert_eq!(id, key.id());
            assert_eq!(jwk, key.to_jwk().unwrap());
            assert!(!jwk.contains(r#""d":"#), "{jwk}");
        }
    }
}
