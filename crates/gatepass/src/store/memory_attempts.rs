//! The records of attempts to log in, in memory.

use std::collections::{BTreeSet, HashMap};

use crate::{
    env::clock::Timestamp,
    model::throttling::{AttemptKey, AttemptOutcome, AttemptRecord, CountAttempt, SettleAttempt},
};

/// The most records of each kind, a few megabytes. Only a service without password hashes gets
/// there, because otherwise attempts are slower to make than to forget. Beyond the limit, the store
/// drops the record that would be forgotten first.
const MOST: usize = 100_000;

#[derive(Default)]
pub(super) struct Attempts {
    records: HashMap<AttemptKey, AttemptRecord>,
    /// The records of known pairs, which stay for weeks, sorted by [`AttemptRecord::purge_at`].
    known: BTreeSet<(Timestamp, AttemptKey)>,
    /// All other records, in the same order. Known pairs, however many, never displace them.
    others: BTreeSet<(Timestamp, AttemptKey)>,
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
                self.order(before).remove(&(before.purge_at(), key));
            }
            let order = self.order(record);
            order.insert((record.purge_at(), key));
            let last = (order.len() > MOST).then(|| order.pop_first());
            if let Some((_, key)) = last.flatten() {
                self.records.remove(&key);
            }
        }
    }

    fn order(&mut self, record: AttemptRecord) -> &mut BTreeSet<(Timestamp, AttemptKey)> {
        match record.known_until == Timestamp::default() {
            true => &mut self.others,
            false => &mut self.known,
        }
    }

    /// Removes at most `limit` records that are not needed at `horizon`. Returns how many.
    pub(super) fn purge(&mut self, horizon: Timestamp, limit: usize) -> usize {
        let mut removed = 0;
        for order in [&mut self.others, &mut self.known] {
            while removed < limit
                && let Some((at, key)) = order.first().copied()
                && at <= horizon
            {
                order.pop_first();
                self.records.remove(&key);
                removed += 1;
            }
        }
        removed
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
        assert_eq!(
            (attempts.records.len(), attempts.others.len()),
            (MOST, MOST)
        );
        attempt.name = key(0);
        let outcome = attempts.count(&attempt, now);
        assert!(
            matches!(outcome, AttemptOutcome::Refused { .. }),
            "{outcome:?}"
        );
        assert_eq!(attempts.purge(Timestamp::MAX, usize::MAX), MOST);
        assert!(attempts.records.is_empty() && attempts.others.is_empty());
    }

    #[test]
    fn known_pairs_push_no_failure_out_however_many_they_are() {
        let (mut attempts, now) = (
            Attempts::default(),
            Timestamp::from_unix_secs(1_800_000_000),
        );
        let mut attempt = CountAttempt::new(key(0), LoginThrottle::default());
        for number in 1..=MOST + 10 {
            attempt.address_and_pair = Some((key(0), key(number)));
            let mut settled = SettleAttempt::new(attempt, true);
            settled.succeeded = true;
            attempts.settle(&settled, now);
        }
        assert_eq!(attempts.known.len(), MOST);
        attempt.address_and_pair = None;
        let free = LoginThrottle::default().per_name;
        let outcomes = (0..=free).map(|_| attempts.count(&attempt, now));
        let last = outcomes.last().unwrap();
        assert!(matches!(last, AttemptOutcome::Refused { .. }), "{last:?}");
        // The failures of a known pair also count.
        attempt.address_and_pair = Some((key(0), key(MOST)));
        let outcome = attempts.count(&attempt, now);
        assert_eq!(outcome, AttemptOutcome::Counted { known: true });
        assert_eq!(attempts.purge(Timestamp::MAX, usize::MAX), MOST + 1);
        assert!(attempts.records.is_empty() && attempts.known.is_empty());
    }
}
