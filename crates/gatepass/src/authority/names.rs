//! User names and addresses in the forms that logs and stores may hold.

use std::{fmt, net::IpAddr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    keys::secret_set::SecretSet,
    model::{
        ids::Issuer,
        throttling::{AttemptKey, CountAttempt, LoginThrottle},
    },
};

/// How many bytes of the tag a log shows. That is enough to keep two names of one service from
/// sharing a hash by chance. Only the holder of the key can find a name with a given hash.
const SHOWN: usize = 9;

/// The key that hashes user names for the log.
///
/// By the hash, an operator sees that attempts were made on one name. The log holds neither the
/// name nor a password that a user has typed into the wrong field. Without the key, an attacker
/// can't check a guess.
pub(crate) struct NameKey {
    log: Zeroizing<[u8; 64]>,
    attempts: Zeroizing<[u8; 64]>,
}

impl NameKey {
    /// The key of the secret that is active.
    pub(crate) fn new(secrets: &SecretSet) -> Self {
        let secret = secrets.active();
        Self {
            log: secret.derive("gatepass user name in a log HMAC-SHA256 v1"),
            attempts: secret.derive("gatepass attempt to log in HMAC-SHA256 v1"),
        }
    }

    /// The hash of a name as it was typed: 12 characters of base64url.
    pub(crate) fn hash(&self, name: &str) -> String {
        let tag = tag(&self.log, [name.as_bytes()]);
        URL_SAFE_NO_PAD.encode(tag.get(..SHOWN).unwrap_or(&tag))
    }

    /// An attempt to log in at this issuer with this name from this address, as a store may hold
    /// it.
    pub(crate) fn attempt(
        &self,
        issuer: &Issuer,
        name: &str,
        address: Option<IpAddr>,
        throttle: LoginThrottle,
    ) -> CountAttempt {
        let key = |kind: &str, network: &[u8], name: &str| {
            // An issuer has no NUL, and the first byte of a network tells its length.
            let parts = [
                kind.as_bytes(),
                issuer.as_str().as_bytes(),
                b"\0",
                network,
                name.as_bytes(),
            ];
            AttemptKey::from_bytes(first(&tag(&self.attempts, parts)))
        };
        let mut attempt = CountAttempt::new(key("name ", &[], name), throttle);
        attempt.address_and_pair = address.map(|address| {
            let network = network(address);
            (key("address ", &network, ""), key("pair ", &network, name))
        });
        attempt
    }
}

fn tag<const N: usize>(key: &[u8; 64], parts: [&[u8]; N]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new(key.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// The addresses that one client can have: in IPv6 the network of 64 bits, the smallest that a
/// client gets. The version comes first, and tells the length.
pub(super) fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => [&[4], address.octets().as_slice()].concat(),
        IpAddr::V6(address) => {
            let network: [u8; 8] = first(&address.octets());
            [&[6], network.as_slice()].concat()
        }
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
        let names = NameKey::new(&secret.into());
        assert_ne!(*names.log, *refresh);
        assert_ne!(*names.attempts, *refresh);
        assert_ne!(*names.attempts, *names.log);
    }

    #[test]
    fn attempts_share_a_key_if_they_count_together_and_else_none() {
        let names = NameKey::new(&secret(1).into());
        let of = |issuer: &str, name: &str, address: &str| {
            let issuer = Issuer::new(issuer).unwrap();
            let address = (!address.is_empty()).then(|| address.parse().unwrap());
            names.attempt(&issuer, name, address, LoginThrottle::default())
        };
        let one = of("shop", "alice", "2001:db8::1");
        assert_eq!(one, of("shop", "alice", "2001:db8::ffff:1"));
        let (address, pair) = one.address_and_pair.unwrap();
        let mut keys = vec![one.name, address, pair];
        for (issuer, name, address) in [
            ("shop", "bob", "2001:db8:0:1::1"),
            ("shop", "alice", "192.0.2.1"),
            ("shop", "", "192.0.2.2"),
            ("shop2", "alice", "192.0.2.1"),
        ] {
            keys.extend(of(issuer, name, address).keys());
        }
        keys.sort_unstable();
        keys.dedup();
        // Only the name "alice" of the shop comes twice.
        assert_eq!(keys.len(), 3 + 4 * 3 - 1);
        let mapped = of("shop", "alice", "::ffff:192.0.2.1");
        assert_eq!(mapped, of("shop", "alice", "192.0.2.1"));
        assert_eq!(
            of("shop", "alice", "").keys().collect::<Vec<_>>(),
            [one.name]
        );
        let other = NameKey::new(&secret(2).into());
        let issuer = Issuer::new("shop").unwrap();
        let other = other.attempt(&issuer, "alice", None, LoginThrottle::default());
        assert_ne!(other.name, one.name);
    }
}
