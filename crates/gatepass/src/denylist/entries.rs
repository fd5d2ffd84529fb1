//! The revocations that a replica knows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use super::filter::Filter;
use crate::Revoked;

/// The revocations, shared by all clones.
#[derive(Clone)]
pub(super) struct Entries {
    /// A session or token, and for how long the entry is kept. Without a bound on their number: a full
    /// bounded cache would evict the freshest revocations first.
    cache: Cache<Revoked, Duration>,
    /// What spares most tokens the cache.
    filter: Arc<Filter>,
}

impl Entries {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::builder().expire_after(KeptFor).build(),
            filter: Arc::new(Filter::new()),
        }
    }

    pub(super) fn insert(&self, target: Revoked, kept: Duration) {
        let kept = kept.clamp(MIN_KEPT, MAX_KEPT);
        // First, so that nothing is in the cache that the filter knows nothing of.
        self.filter.insert(&target, kept);
        self.cache.insert(target, kept);
    }

    /// About how many there are.
    pub(super) fn len(&self) -> u64 {
        self.cache.entry_count()
    }

    /// Takes what has been inserted and what has expired into account. What is looked up needs no such thing.
    pub(super) fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    pub(super) fn contains(&self, target: &Revoked) -> bool {
        self.filter.may_contain(target) && self.cache.contains_key(target)
    }
}

/// Shortest time that an entry is kept. The wall clock may have been ahead from the start, and be set
/// right later; the entry must still be there then.
const MIN_KEPT: Duration = Duration::from_secs(3600);
/// Longest time that an entry is kept: moka refuses deadlines that are absurdly far away.
const MAX_KEPT: Duration = Duration::from_secs(10 * 366 * 86_400);

struct KeptFor;

impl Expiry<Revoked, Duration> for KeptFor {
    fn expire_after_create(&self, _: &Revoked, kept: &Duration, _: Instant) -> Option<Duration> {
        Some(*kept)
    }

    // By default an updated entry keeps its old deadline, and the new one may be sooner: a log that was
    // restored can have an earlier end of the same session.
    fn expire_after_update(
        &self,
        _: &Revoked,
        kept: &Duration,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        Some((*kept).max(left.unwrap_or_default()))
    }
}
