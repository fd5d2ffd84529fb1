//! The records of attempts to log in, in memory.

use std::collections::{BTreeSet, HashMap};

use crate::{
    env::clock::Timestamp,
    model::throttling::{AttemptKey, AttemptOutcome, AttemptRecord, CountAttempt, SettleAttempt},
};

/// How many records there are at most: some megabytes. An attempt costs a password hash, which
/// takes longer than it takes to be forgotten, so only a service without password hashes gets
/// there. Then the record goes first that is forgotten first.
const MOST: usize = 100_000;

#[derive(Default)]
pub(super) struct Attempts {
    records: HashMap<AttemptKey, AttemptRecord>,
    /// The same by the time from which they are not needed.
    order: BTreeSet<(Timestamp, AttemptKey)>,
}

impl Attempts {
    pub(super) fn count(&mut self, attempt: &CountAttempt, now: Timestamp) -> AttemptOutcome {
        let (outcome, written) = attempt.decide(|key| self.records.get(&key).copied(), now);
        self.write(written);
        outcome
    }

    pub(super) fn settle(&mut self, settled: &SettleAttempt, now: Timestamp) {
        let written = settled.decide(|key| self.records.get(&key).copied(), now);
        self.write(written);
    }

    fn write(&mut self, written: Vec<(AttemptKey, AttemptRecord)>) {
        for (key, record) in written {
            if let Some(before) = self.records.insert(key, record) {
                self.order.remove(&(before.purge_at(), key));
            }
            self.order.insert((record.purge_at(), key));
        }
        while self.order.len() > MOST {
            self.remove_first();
        }
    }

    /// Removes records that nothing needs at `horizon`, `limit` at most. Returns how many.
    pub(super) fn purge(&mut self, horizon: Timestamp, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit && self.order.first().is_some_and(|(at, _)| *at <= horizon) {
            self.remove_first();
            removed += 1;
        }
        removed
    }

    fn remove_first(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.records.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::throttling::LoginThrottle;

    fn key(number: usize) -> AttemptKey {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        AttemptKey::from_bytes(bytes)
    }

    #[test]
    fn a_flood_of_names_fills_no_memory_and_leaves_the_worst_of_them_bound() {
        let (mut attempts, now) = (
            Attempts::default(),
            Timestamp::from_unix_secs(1_800_000_000),
        );
        let mut attempt = CountAttempt::new(key(0), LoginThrottle::default());
        for _ in 0..LoginThrottle::default().per_name {
            attempts.count(&attempt, now);
        }
        for number in 1..=2 * MOST {
            attempt.name = key(number);
            attempts.count(&attempt, now);
        }
        assert_eq!((attempts.records.len(), attempts.order.len()), (MOST, MOST));
        attempt.name = key(0);
        let outcome = attempts.count(&attempt, now);
        assert!(
            matches!(outcome, AttemptOutcome::Refused { .. }),
            "{outcome:?}"
        );
        assert_eq!(attempts.purge(Timestamp::MAX, usize::MAX), MOST);
        assert!(attempts.records.is_empty() && attempts.order.is_empty());
    }
}
