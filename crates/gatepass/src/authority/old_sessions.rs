//! The ids of the sessions that old tokens are exchanged for.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    env::clock::Timestamp,
    keys::secret_set::SecretSet,
    model::ids::{AccountId, Audience, Issuer, SessionId},
};

/// The keys that derive the id of a session from an old token, so that all nodes that exchange the
/// token get the same session. Without a key, an attacker could check guesses of a token against a
/// copied database.
pub(crate) struct OldSessionKeys(Vec<Key>);

struct Key {
    until: Option<Timestamp>,
    mac: Zeroizing<[u8; 64]>,
}

impl OldSessionKeys {
    /// The keys of these secrets. A retired secret comes before the active one, so that the id
    /// stays what it is while a secret is replaced, on all nodes alike.
    pub(crate) fn new(secrets: &SecretSet, issuer: &Issuer, audience: &Audience) -> Self {
        let active = secrets.iter().take(1);
        let retired = secrets.iter().filter(|(_, until)| until.is_some());
        let mut keys = Vec::from_iter(retired.chain(active));
        keys.sort_by_key(|(_, until)| until.unwrap_or(Timestamp::MAX));
        let keys = keys.into_iter().map(|(secret, until)| Key {
            until,
            mac: secret.derive_for(
                "gatepass session of an old token HMAC-SHA256 v1",
                issuer,
                audience,
            ),
        });
        Self(keys.collect())
    }

    /// The id of the session of `account` for which the token `name` of `old_system` is exchanged.
    /// `None` if there is no key.
    pub(crate) fn session(
        &self,
        account: AccountId,
        old_system: &Issuer,
        name: &str,
        now: Timestamp,
    ) -> Option<SessionId> {
        let mut keys = self.0.iter();
        let key = keys.find(|key| key.until.is_none_or(|until| now < until))?;
        let mut mac = Hmac::<Sha256>::new((&*key.mac).into());
        mac.update(account.as_bytes());
        // An issuer has no control characters, so that the zero ends it.
        mac.update(old_system.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(name.as_bytes());
        let hash = mac.finalize().into_bytes().into();
        Some(SessionId::of_hash(account, hash))
    }
}

impl fmt::Debug for OldSessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OldSessionKeys([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::secret::MasterSecret, model::ids::Subject};

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn secret(byte: u8) -> MasterSecret {
        MasterSecret::from_bytes(&[byte; 32]).unwrap()
    }

    fn id(secrets: impl Into<SecretSet>, old: &str, name: &str, now: Timestamp) -> SessionId {
        let issuer = Issuer::new("https://shop.example").unwrap();
        let audience = Audience::new("shop-api").unwrap();
        let account = AccountId::of(&issuer, &Subject::new("alice").unwrap());
        let keys = OldSessionKeys::new(&secrets.into(), &issuer, &audience);
        let id = keys.session(account, &Issuer::new(old).unwrap(), name, now);
        assert_eq!(id.unwrap().prefix(), account.prefix());
        id.unwrap()
    }

    #[test]
    fn each_token_has_one_session_that_only_the_secret_tells() {
        let one = id(secret(1), "old", "token", NOW);
        assert_eq!(one, id(secret(1), "old", "token", NOW));
        for other in [
            id(secret(2), "old", "token", NOW),
            id(secret(1), "older", "token", NOW),
            id(secret(1), "old", "tokem", NOW),
            id(secret(1), "oldt", "oken", NOW),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_session_stays_the_same_while_the_secret_is_replaced() {
        let until = NOW + std::time::Duration::from_secs(60);
        let of = |secrets: SecretSet, now| id(secrets, "old", "token", now);
        let old = of(SecretSet::new(secret(1)), NOW);
        let announced = SecretSet::new(secret(1)).announce(secret(2));
        let retired = SecretSet::new(secret(2)).retire(secret(1), until);
        assert_eq!(of(announced, NOW), old);
        assert_eq!(of(retired.clone(), NOW), old);
        let new = of(SecretSet::new(secret(2)), NOW);
        assert_eq!(of(retired, until), new);
        let twice = SecretSet::new(secret(3))
            .retire(secret(2), until)
            .retire(secret(1), NOW);
        assert_eq!(of(twice, NOW), new);
    }
}
