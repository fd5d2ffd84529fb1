//! The revocations that a replica knows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use crate::{
    denylist::{filter::Filter, prefixes::Prefixes},
    model::{
        ids::{AccountId, Issuer},
        revocation::{Cutoff, RevocationTarget},
    },
    token::pass::Pass,
};

/// The revocations, shared by all clones.
#[derive(Clone)]
pub(super) struct Entries {
    /// A session or token, and for how long the entry is kept. Without a bound on their number: a
    /// full bounded cache would evict the freshest revocations first.
    cache: Cache<RevocationTarget, Duration>,
    /// The cutoff of each account that has one, and for how long it is kept.
    cutoffs: Cache<AccountId, (Cutoff, Duration)>,
    /// Spares most tokens the cache of sessions and tokens.
    filter: Arc<Filter>,
    /// Spares most tokens the cache of cutoffs.
    prefixes: Arc<Prefixes>,
}

impl Entries {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder().expire_after(KeptFor).build(),
            cutoffs: Cache::builder().expire_after(KeptFor).build(),
            filter: Arc::new(Filter::new()),
            prefixes: Arc::new(Prefixes::new()),
        }
    }

    pub(super) fn insert(&self, target: RevocationTarget, kept: Duration) {
        let kept = kept.clamp(MIN_KEPT, MAX_KEPT);
        // Filter and table come first, so that no cache has an entry that they don't know.
        match target {
            RevocationTarget::Session(_) | RevocationTarget::Token(_) => {
                self.filter.insert(&target, kept);
                self.cache.insert(target, kept);
            }
            RevocationTarget::Sessions(account, cutoff) => {
                self.prefixes.insert(account.prefix(), kept);
                // Cutoffs arrive in any order, and from two sides.
                self.cutoffs.entry(account).and_upsert_with(|before| {
                    let before = before.map(moka::Entry::into_value);
                    let both = before.map_or(cutoff, |(before, _)| before.and(cutoff));
                    // The later of the two deadlines stays.
                    (both, kept)
                });
            }
        }
    }

    /// About how many there are.
    pub(super) fn len(&self) -> u64 {
        self.cache.entry_count() + self.cutoffs.entry_count()
    }

    /// Takes what has been inserted and what has expired into account. A lookup does not need it.
    pub(super) fn settle(&self) {
        self.cache.run_pending_tasks();
        self.cutoffs.run_pending_tasks();
        self.prefixes.sweep();
    }

    /// Whether the access token of `pass`, which `issuer` has issued, is revoked.
    pub(super) fn revoke(&self, pass: &Pass, issuer: &Issuer) -> bool {
        self.contains(&RevocationTarget::Session(pass.session_id()))
            || self.contains(&RevocationTarget::Token(pass.token_id()))
            || self.cut_off(pass, issuer)
    }

    fn contains(&self, target: &RevocationTarget) -> bool {
        self.filter.may_contain(target) && self.cache.contains_key(target)
    }

    fn cut_off(&self, pass: &Pass, issuer: &Issuer) -> bool {
        self.prefixes.may_contain(pass.session_id().prefix()) && {
            let account = AccountId::of(issuer, pass.subject());
            let cutoff = self.cutoffs.get(&account);
            cutoff.is_some_and(|(cutoff, _)| cutoff.covers(pass.session_number()))
        }
    }
}

/// Shortest time that an entry is kept. The wall clock may have been ahead from the start, and be
/// set right later; the entry must still be there then.
const MIN_KEPT: Duration = Duration::from_secs(3600);
/// Longest time that an entry is kept: moka refuses deadlines that are absurdly far away.
const MAX_KEPT: Duration = Duration::from_secs(10 * 366 * 86_400);

struct KeptFor;

/// A value that says for how long its entry is kept.
trait Kept {
    fn kept(&self) -> Duration;
}

impl Kept for Duration {
    fn kept(&self) -> Duration {
        *self
    }
}

impl Kept for (Cutoff, Duration) {
    fn kept(&self) -> Duration {
        self.1
    }
}

impl<K, V: Kept> Expiry<K, V> for KeptFor {
    fn expire_after_create(&self, _: &K, value: &V, _: Instant) -> Option<Duration> {
        Some(value.kept())
    }

    // By default an updated entry keeps its old deadline, and the new one may be sooner: a log that
    // was restored can have an earlier end of the same session.
    fn expire_after_update(
        &self,
        _: &K,
        value: &V,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        Some(value.kept().max(left.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::SessionNumber;

    #[test]
    fn an_older_cutoff_that_comes_later_brings_nothing_back() {
        let entries = Entries::new();
        let account = AccountId::from_bytes([7; 16]);
        let cutoff = |number| Cutoff::all(SessionNumber::new(number));
        for up_to in [9, 5] {
            entries.insert(RevocationTarget::Sessions(account, cutoff(up_to)), MIN_KEPT);
        }
        let (known, _) = entries.cutoffs.get(&account).unwrap();
        assert_eq!(known, cutoff(9));
    }
}
