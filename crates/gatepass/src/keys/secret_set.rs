//! The master secrets of an authority at one time.

use crate::{
    env::clock::Timestamp,
    keys::{secret::MasterSecret, set::KeySet, signing::SigningKey},
};

/// The master secrets of an authority at one time: one makes refresh tokens, and all verify them.
///
/// To change the secret without logging users out, take the same steps as for signing keys in a
/// [`KeySet`](crate::KeySet):
///
/// 1. Add the new secret with [`announce`](Self::announce) on every node, and wait until all nodes
///    have it.
/// 2. Make it the active secret, and [`retire`](Self::retire) the old one for an idle lifetime.
///    After that time, every refresh token of the old secret has been used or has expired.
///
/// You swap whole sets while the service runs, with
/// [`Authority::replace_secrets`](crate::Authority::replace_secrets). If a secret has leaked, leave
/// it out at once. Its users must log in again.
///
/// # Attempts to log in
///
/// gatepass counts attempts to log in ([`LoginThrottle`](crate::LoginThrottle)) under hashes that
/// are made with the active secret. So when the active secret changes, the counts begin again, and
/// gatepass no longer knows from which addresses users have logged in. Until a user's next login,
/// strangers who guess at the user's name can delay that login at every address. While some nodes
/// use the old secret and some the new one, a guesser gets the free attempts of each. So take the
/// second step on all nodes within a short time. The field `name_hash` of the log changes as well.
///
/// ```
/// use gatepass::{MasterSecret, Timestamp, keys::SecretSet};
///
/// let (old, new) = (MasterSecret::generate()?, MasterSecret::generate()?);
/// let secrets = SecretSet::new(new).retire(old, Timestamp::from_unix_secs(1_800_000_000));
/// # Ok::<(), gatepass::keys::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SecretSet {
    active: MasterSecret,
    /// The others, each with its end if it has one.
    others: Vec<(MasterSecret, Option<Timestamp>)>,
}

impl SecretSet {
    /// A set that makes refresh tokens with `active`.
    #[must_use]
    pub fn new(active: MasterSecret) -> Self {
        Self {
            active,
            others: Vec::new(),
        }
    }

    /// Accepts refresh tokens of a secret that other nodes may already use.
    #[must_use]
    pub fn announce(mut self, secret: MasterSecret) -> Self {
        self.others.push((secret, None));
        self
    }

    /// Accepts refresh tokens of a former secret until `until`.
    #[must_use]
    pub fn retire(mut self, secret: MasterSecret, until: Timestamp) -> Self {
        self.others.push((secret, Some(until)));
        self
    }

    /// The secret that makes refresh tokens.
    pub(crate) fn active(&self) -> &MasterSecret {
        &self.active
    }

    /// Each secret with its end, if it has one. The active secret comes first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MasterSecret, Option<Timestamp>)> {
        let others = self.others.iter().map(|(secret, until)| (secret, *until));
        std::iter::once((&self.active, None)).chain(others)
    }

    /// The HS256 keys that gatepass derives from the secrets. Each is valid as long as its secret.
    pub(crate) fn derived_keys(&self) -> KeySet {
        let active = KeySet::signing(SigningKey::derived(&self.active));
        self.others.iter().fold(active, |keys, (secret, until)| {
            let key = SigningKey::derived(secret).verifying_key().clone();
            match until {
                Some(until) => keys.retire(key, *until),
                None => keys.announce(key),
            }
        })
    }
}

impl From<MasterSecret> for SecretSet {
    fn from(secret: MasterSecret) -> Self {
        Self::new(secret)
    }
}
