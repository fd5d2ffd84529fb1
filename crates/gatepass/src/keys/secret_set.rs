//! The master secrets of an authority at one time.

use crate::{
    env::clock::Timestamp,
    keys::{secret::MasterSecret, set::KeySet, signing::SigningKey},
};

/// The master secrets of an authority at one time: one makes refresh tokens, each verifies them.
///
/// They have the life that signing keys have in a [`KeySet`](crate::KeySet). To change the secret
/// without logging users out, put the new one in with [`announce`](Self::announce) on every node,
/// and wait until all nodes have it. Then make it the active one, with the old one
/// [`retired`](Self::retire) for an idle lifetime. By then the last refresh token that the old one
/// made has been used or has expired. You swap sets as a whole while the service runs
/// ([`Authority::replace_secrets`](crate::Authority::replace_secrets)). If a secret has become
/// known, leave it out at once; its sessions must log in again.
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
    /// A set whose refresh tokens are made with `active`.
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

    /// Accepts refresh tokens of a former secret until the instant `until`.
    #[must_use]
    pub fn retire(mut self, secret: MasterSecret, until: Timestamp) -> Self {
        self.others.push((secret, Some(until)));
        self
    }

    /// The secret that makes refresh tokens.
    pub(crate) fn active(&self) -> &MasterSecret {
        &self.active
    }

    /// Each secret with the instant until which it is good, if it has an end; the active one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MasterSecret, Option<Timestamp>)> {
        let others = self.others.iter().map(|(secret, until)| (secret, *until));
        std::iter::once((&self.active, None)).chain(others)
    }

    /// The HS256 keys that are derived from the secrets, each with the life of its secret.
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
