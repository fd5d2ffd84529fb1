//! The master secret, and the keys that gatepass derives from it.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    env::random::{Random, SystemRandom},
    keys::error::KeyError,
    model::ids::{Audience, Issuer},
};

/// The purpose of the key that signs access tokens if you configure no other.
pub(crate) const HS256_LABEL: &str = "gatepass access token HS256 v1";

/// The secret from which gatepass can derive every key of an [`Authority`](crate::Authority): 32
/// random bytes or more. gatepass never hands it out.
///
/// gatepass derives each key with HKDF (RFC 5869) and a label for its purpose. For example, it
/// derives the key that authenticates refresh tokens, the key that hashes user names for the log
/// and, if you configure no other signing key, the HS256 key.
///
/// All nodes need the same master secret. If you change it, every session that began with the old
/// one ends, unless you keep the old one in a [`SecretSet`](crate::keys::SecretSet) as a retired
/// secret.
///
/// ```
/// use gatepass::MasterSecret;
///
/// // As `openssl rand -hex 64` prints it. `MasterSecret::from_file` reads one from a file.
/// let secret = MasterSecret::from_bytes(b"6d5a0f9c52c7a9f1d1e2c3b4a5968778695a4b3c2d1e0f00112233445566778899")?;
/// assert!(MasterSecret::from_bytes(b"hunter2").is_err());
/// assert_eq!(format!("{secret:?}"), "MasterSecret([redacted])");
/// # Ok::<(), gatepass::keys::KeyError>(())
/// ```
#[derive(Clone)]
pub struct MasterSecret(Zeroizing<Vec<u8>>);

impl MasterSecret {
    /// Shortest secret in bytes: as long as the output of the hash, so that the secret isn't the
    /// weakest part.
    pub const MIN_BYTES: usize = 32;

    /// The secret with these bytes. White space around text, for example the last newline of a
    /// file, is not part of the secret.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if fewer than 32 bytes are left.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = trimmed(bytes);
        if bytes.len() < Self::MIN_BYTES {
            return Err(KeyError::ShortSecret {
                bytes: bytes.len(),
                least: Self::MIN_BYTES,
            });
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// A new random secret. Use it for tests, and for services that may forget all sessions at a
    /// restart.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`] if the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new(vec![0; Self::MIN_BYTES]);
        SystemRandom
            .fill(&mut secret)
            .map_err(|_| KeyError::Random)?;
        Ok(Self(secret))
    }

    /// The key for the purpose that `label` names.
    pub(crate) fn derive<const N: usize>(&self, label: &str) -> Zeroizing<[u8; N]> {
        derive(&self.0, label.as_bytes())
    }

    /// The key for the purpose that `label` names, only for this issuer and audience.
    pub(crate) fn derive_for<const N: usize>(
        &self,
        label: &str,
        issuer: &Issuer,
        audience: &Audience,
    ) -> Zeroizing<[u8; N]> {
        let (issuer, audience) = (issuer.as_str(), audience.as_str());
        // The length separates pairs that are equal when joined. No label has a zero byte.
        let length = (issuer.len() as u64).to_be_bytes();
        let info = [
            label.as_bytes(),
            &[0],
            &length,
            issuer.as_bytes(),
            audience.as_bytes(),
        ];
        derive(&self.0, &info.concat())
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret([redacted])")
    }
}

/// The secret in the contents of a file: text without the white space around it, and random bytes
/// as they are.
pub(crate) fn trimmed(secret: &[u8]) -> &[u8] {
    if secret.is_ascii() {
        secret.trim_ascii()
    } else {
        secret
    }
}

/// Derives `N` bytes for the purpose `info` from `secret`, by HKDF-SHA256 without a salt.
pub(crate) fn derive<const N: usize>(secret: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const {
        assert!(
            N <= 255 * 32,
            "HKDF-SHA256 gives at most 255 blocks of output"
        )
    };
    let mut key = Zeroizing::new([0; N]);
    let expanded = Hkdf::<Sha256>::new(None, secret).expand(info, &mut *key);
    // It fails only if the output is too long, which the assertion above rules out.
    debug_assert!(expanded.is_ok());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_gives_another_key_and_the_same_one_again() {
        let secret = MasterSecret::from_bytes(&[7; 32]).unwrap();
        assert_eq!(*secret.derive::<32>("a"), *secret.derive::<32>("a"));
        assert_ne!(*secret.derive::<32>("a"), *secret.derive::<32>("b"));
    }

    #[test]
    fn each_issuer_and_audience_gives_another_key() {
        let secret = MasterSecret::from_bytes(&[7; 32]).unwrap();
        let of = |issuer: &str, audience: &str| {
            let (issuer, audience) = (
                Issuer::new(issuer).unwrap(),
                Audience::new(audience).unwrap(),
            );
            *secret.derive_for::<32>("a", &issuer, &audience)
        };
        assert_eq!(of("shop", "api"), of("shop", "api"));
        assert_ne!(of("shop", "api"), of("shop", "admin"));
        assert_ne!(of("shop", "api"), of("bank", "api"));
        assert_ne!(of("shop", "api"), of("shopa", "pi"));
        assert_ne!(of("shop", "api"), *secret.derive::<32>("a"));
    }

    #[test]
    fn text_is_trimmed_and_random_bytes_are_not() {
        let mut random = [b'\n'; 32];
        random[7] = 0xff;
        assert!(MasterSecret::from_bytes(&random).is_ok());
        assert!(MasterSecret::from_bytes(&[b'\n'; 64]).is_err());
        let (bare, line) = (
            MasterSecret::from_bytes(&[b'x'; 40]),
            [&[b'x'; 40][..], b"\n"].concat(),
        );
        assert_eq!(
            *bare.unwrap().derive::<32>("a"),
            *MasterSecret::from_bytes(&line).unwrap().derive::<32>("a")
        );
    }

    #[test]
    fn the_derivation_is_the_published_one() {
        // RFC 5869, A.3: SHA-256 with neither salt nor info.
        let okm = derive::<42>(&[0x0b; 22], b"");
        let hex: String = okm.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }
}
