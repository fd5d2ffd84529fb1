//! The accounts that may have a cutoff, by the first two bytes of their ids.
//!
//! A session id starts with these bytes, so a look at this table spares most tokens the hash of
//! issuer and subject. A cutoff is kept for as long as a session may live, which is months. The
//! table therefore has a fixed size: 256 KiB, however many cutoffs there are.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::denylist::epoch::Epoch;

/// The seconds between two sweeps, which free the places whose cutoffs have all expired.
const SWEEP: u32 = 3600;

pub(super) struct Prefixes {
    since: Epoch,
    /// For each prefix, until when a cutoff is needed, in seconds since `since`; 0 for none.
    until: Box<[AtomicU32]>,
    swept: AtomicU32,
}

impl Prefixes {
    pub(super) fn new() -> Self {
        Self {
            since: Epoch::new(),
            until: (0..=u16::MAX).map(|_| AtomicU32::new(0)).collect(),
            swept: AtomicU32::new(0),
        }
    }

    pub(super) fn may_contain(&self, prefix: [u8; 2]) -> bool {
        self.place(prefix)
            .is_none_or(|until| until.load(Ordering::Acquire) != 0)
    }

    /// Notes a cutoff of an account with this prefix, for as long as `kept` and somewhat longer.
    pub(super) fn insert(&self, prefix: [u8; 2], kept: Duration, now: Instant) {
        let until = self.since.deadline(now, kept);
        if let Some(place) = self.place(prefix) {
            place.fetch_max(until, Ordering::AcqRel);
        }
    }

    /// Frees the places whose cutoffs have expired, unless the last sweep was a short time ago.
    pub(super) fn sweep(&self, now: Instant) {
        let now = self.since.seconds(now);
        let swept = self.swept.load(Ordering::Relaxed);
        if now.saturating_sub(swept) < SWEEP {
            return;
        }
        self.swept.store(now, Ordering::Relaxed);
        for place in &self.until {
            let until = place.load(Ordering::Acquire);
            if until < now {
                // A cutoff that comes in between stays.
                let _ = place.compare_exchange(until, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }

    fn place(&self, prefix: [u8; 2]) -> Option<&AtomicU32> {
        self.until.get(usize::from(u16::from_le_bytes(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denylist::epoch::MARGIN;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_place_is_taken_until_its_last_cutoff_has_expired() {
        let prefixes = Prefixes::new();
        let start = prefixes.since.0;
        assert!(!prefixes.may_contain([7, 7]));
        prefixes.insert([7, 7], 9 * HOUR, start);
        prefixes.insert([7, 7], HOUR, start);
        for hours in 1..=9 {
            prefixes.sweep(start + hours * HOUR);
            assert!(prefixes.may_contain([7, 7]), "after {hours} hours");
        }
        let others = (0..=u16::MAX).map(u16::to_le_bytes);
        let taken = others.filter(|prefix| prefixes.may_contain(*prefix));
        assert_eq!(taken.count(), 1);
        prefixes.sweep(start + 10 * HOUR + 2 * MARGIN);
        assert!(!prefixes.may_contain([7, 7]));
        prefixes.insert([7, 7], HOUR, start + 10 * HOUR);
        assert!(prefixes.may_contain([7, 7]));
    }
}
