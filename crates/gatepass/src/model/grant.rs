//! The versions of a session's rights.

use crate::model::ids::GrantVersion;

/// The versions of the rights of a session: its scopes and its custom claims.
///
/// ```
/// use gatepass::store::{Grant, GrantVersion};
///
/// let version = GrantVersion::new;
/// // Version 2 took a role away, and version 3 has added one.
/// let grant = Grant { newest: version(3), valid_from: version(2) };
/// assert!(grant.refuses(version(1)));
/// assert!(!grant.refuses(version(2)) && grant.is_newer_than(version(2)));
/// assert!(!grant.is_newer_than(version(3)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Grant {
    /// The version that new access tokens carry.
    pub newest: GrantVersion,
    /// The first version whose access tokens are valid. Access tokens of earlier versions are
    /// stale.
    pub valid_from: GrantVersion,
}

impl Grant {
    /// Whether an access token of this version is stale, so that its client must refresh it.
    #[must_use]
    pub fn refuses(&self, version: GrantVersion) -> bool {
        version < self.valid_from
    }

    /// Whether a client with this version gets a newer one if it refreshes.
    #[must_use]
    pub fn is_newer_than(&self, version: GrantVersion) -> bool {
        version < self.newest
    }

    /// The later of the two in each field, so the order in which two grants arrive doesn't matter.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            newest: self.newest.max(other.newest),
            valid_from: self.valid_from.max(other.valid_from),
        }
    }
}

/// The consequence of a change of rights for the access tokens that were issued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must be able to do all that is asked"
)]
pub enum GrantEffect {
    /// They stay as they are, since new ones would carry the same rights.
    None,
    /// They stay valid, and nodes tell their clients to refresh.
    Offer,
    /// Every node refuses them within `max_staleness`, and their clients refresh.
    Enforce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_entries_tell_the_same_in_any_order() {
        let all = || {
            (0..4).flat_map(|newest| {
                (0..=newest).map(move |valid_from| Grant {
                    newest: GrantVersion::new(newest),
                    valid_from: GrantVersion::new(valid_from),
                })
            })
        };
        for one in all() {
            for two in all() {
                let both = one.and(two);
                assert_eq!(both, two.and(one));
                for version in (0..5).map(GrantVersion::new) {
                    let either = one.refuses(version) || two.refuses(version);
                    assert_eq!(both.refuses(version), either, "{one:?} and {two:?}");
                }
            }
        }
    }
}
