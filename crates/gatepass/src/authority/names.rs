//! User names in the form that logs may hold.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keys::secret_set::SecretSet;

/// How many bytes of the tag a log shows. Enough that two names of one service don't share a hash
/// by chance; only the holder of the key can find a name that has a given one.
const SHOWN: usize = 9;

/// The key that hashes user names for the log.
///
/// An operator sees with it that attempts were made on one name. The log doesn't hold the name, nor
/// a password that a user has typed into the wrong field: without the key a guess can't be checked.
pub(crate) struct NameKey(Zeroizing<[u8; 64]>);

impl NameKey {
    /// The key of the secret that is active.
    pub(crate) fn new(secrets: &SecretSet) -> Self {
        Self(
            secrets
                .active()
                .derive("gatepass user name in a log HMAC-SHA256 v1"),
        )
    }

    /// The hash of a name as it was typed: 12 characters of base64url.
    pub(crate) fn hash(&self, name: &str) -> String {
        let mut mac = Hmac::<Sha256>::new((&*self.0).into());
        mac.update(name.as_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        URL_SAFE_NO_PAD.encode(tag.get(..SHOWN).unwrap_or(&tag))
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{env::clock::Timestamp, keys::secret::MasterSecret};

    fn secret(byte: u8) -> MasterSecret {
        MasterSecret::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_name_has_one_hash_and_another_one_with_each_secret() {
        let key = NameKey::new(&secret(1).into());
        let hash = key.hash("alice");
        assert_eq!(hash.len(), 12);
        // The old secret still verifies, but does not name.
        let retired = SecretSet::new(secret(1)).retire(secret(2), Timestamp::MAX);
        assert_eq!(NameKey::new(&retired).hash("alice"), hash);
        assert_ne!(NameKey::new(&secret(2).into()).hash("alice"), hash);
        for other in ["Alice", "alice ", "", "bob"] {
            assert_ne!(key.hash(other), hash, "{other:?}");
        }
    }

    #[test]
    fn the_hash_leads_to_no_other_key() {
        // Tokens are made with other labels: the same text gives another tag.
        let secret = secret(1);
        let refresh = secret.derive::<64>("gatepass refresh token HMAC-SHA256 v2");
        assert_ne!(*NameKey::new(&secret.into()).0, *refresh);
    }
}
