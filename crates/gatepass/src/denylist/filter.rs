//! A filter that tells, without a lookup in the cache, that a session or token is not revoked.
//!
//! Nearly every token that is checked is not revoked, and among many entries a cache takes many
//! misses of the processor's to say so. A Bloom filter takes one, and errs to one side only: it may
//! take what is not revoked for what may be, never the other way round.
//!
//! No entry can be taken out of such a filter. It therefore has several parts, which are filled one
//! after the other. Each part goes as a whole when the last of its entries has expired.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use crate::model::revocation::RevocationTarget;

/// Entries of the smallest part. One of that size takes 32 KiB.
const LEAST: usize = 16 * 1024;
/// How many times as many entries as are still needed the next part has room for: few parts are
/// looked into, however fast the number of revocations grows.
const GROWTH: usize = 8;
/// Entries to a word of 64 bits.
const PER_WORD: usize = 4;
/// How much longer than its entry a trace of it stays, so that nothing depends on who reads the
/// time first.
const MARGIN: Duration = Duration::from_secs(60);

/// A set of revocations that is too large rather than too small.
pub(super) struct Filter {
    /// The parts that a lookup reads; the same as in `filled`.
    parts: ArcSwap<Vec<Arc<Part>>>,
    filled: Mutex<Vec<Filled>>,
}

struct Part(Box<[AtomicU64]>);

/// A part, how many entries it has and can have, since when, and until when one of them is needed.
struct Filled {
    part: Arc<Part>,
    entries: usize,
    capacity: usize,
    since: Instant,
    until: Instant,
}

impl Filter {
    pub(super) fn new() -> Self {
        Self {
            parts: ArcSwap::default(),
            filled: Mutex::default(),
        }
    }

    /// Whether the session or the token may be among what was inserted and has not expired.
    pub(super) fn may_contain(&self, target: &RevocationTarget) -> bool {
        let print = fingerprint(target);
        self.parts.load().iter().any(|part| part.may_contain(print))
    }

    /// Puts `target` in, for as long as `kept` and somewhat longer.
    pub(super) fn insert(&self, target: &RevocationTarget, kept: Duration) {
        self.insert_at(target, kept, Instant::now());
    }

    fn insert_at(&self, target: &RevocationTarget, kept: Duration, now: Instant) {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let before = filled.len();
        filled.retain(|part| now < part.until);
        let mut changed = filled.len() != before;
        let until = now + kept + MARGIN;
        if filled.last().is_none_or(Filled::is_full) {
            let needed: usize = filled.iter().map(|part| part.needed(now)).sum();
            filled.push(Filled::new((GROWTH * needed).max(LEAST), now, until));
            changed = true;
        }
        if let Some(last) = filled.last_mut() {
            last.part.insert(fingerprint(target));
            last.entries += 1;
            last.until = last.until.max(until);
        }
        if changed {
            let parts = filled.iter().map(|filled| Arc::clone(&filled.part));
            self.parts.store(Arc::new(parts.collect()));
        }
    }
}

impl Filled {
    fn new(capacity: usize, since: Instant, until: Instant) -> Self {
        Self {
            part: Arc::new(Part::new(capacity)),
            entries: 0,
            capacity,
            since,
            until,
        }
    }

    /// About how many of the entries have not expired, if they came evenly. To count all that ever
    /// came would make each part larger than the last, and the process with every revocation.
    fn needed(&self, now: Instant) -> usize {
        let left = self.until.saturating_duration_since(now).as_nanos();
        let age = now.saturating_duration_since(self.since).as_nanos();
        if left >= age {
            return self.entries;
        }
        let needed = u128::try_from(self.entries).unwrap_or(u128::MAX) * left / age;
        usize::try_from(needed).unwrap_or(self.entries)
    }

    fn is_full(&self) -> bool {
        self.entries >= self.capacity
    }
}

impl Part {
    fn new(capacity: usize) -> Self {
        let words = (0..capacity / PER_WORD).map(|_| AtomicU64::new(0));
        Self(words.collect())
    }

    fn may_contain(&self, print: u64) -> bool {
        let bits = bits(print);
        self.word(print)
            .is_none_or(|word| word.load(Ordering::Acquire) & bits == bits)
    }

    fn insert(&self, print: u64) {
        if let Some(word) = self.word(print) {
            word.fetch_or(bits(print), Ordering::Release);
        }
    }

    /// The word that the upper half of `print` falls into, as if the words divided all its values
    /// evenly.
    fn word(&self, print: u64) -> Option<&AtomicU64> {
        let words = u64::try_from(self.0.len()).ok()?;
        let place = ((print >> 32) * words) >> 32;
        self.0.get(usize::try_from(place).ok()?)
    }
}

/// Four bits of a word, as the lower half of `print` says.
fn bits(print: u64) -> u64 {
    [0, 6, 12, 18]
        .into_iter()
        .fold(0, |bits, shift| bits | 1 << (print >> shift & 63))
}

/// Eight bytes of an id that are random, which is as good as a hash.
fn fingerprint(target: &RevocationTarget) -> u64 {
    let random = match target {
        // Two bytes of the account come first.
        RevocationTarget::Session(id) => id.as_bytes().get(2..),
        RevocationTarget::Token(id) => id.as_bytes().get(..),
        // A cutoff has its place elsewhere: in `Prefixes`.
        RevocationTarget::Sessions(..) => None,
    };
    let print = random.and_then(|random| random.first_chunk());
    print.copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::random::{Random, SystemRandom},
        model::ids::{SessionId, TokenId},
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn random() -> RevocationTarget {
        let mut bytes = [0; 18];
        SystemRandom.fill(&mut bytes).unwrap();
        if bytes[0] < 128 {
            RevocationTarget::Session(SessionId::from_bytes(bytes))
        } else {
            RevocationTarget::Token(TokenId::from_bytes(*bytes.first_chunk().unwrap()))
        }
    }

    fn number_of_parts(filter: &Filter) -> usize {
        filter.parts.load().len()
    }

    #[test]
    fn what_was_put_in_is_always_found_and_little_else() {
        let filter = Filter::new();
        assert!(!filter.may_contain(&random()));
        let inserted: Vec<_> = (0..6 * LEAST).map(|_| random()).collect();
        for target in &inserted {
            filter.insert(target, HOUR);
            assert!(filter.may_contain(target));
        }
        assert!(inserted.iter().all(|target| filter.may_contain(target)));
        let strangers = (0..10_000).map(|_| random());
        let taken = strangers
            .filter(|target| filter.may_contain(target))
            .count();
        assert!(taken < 500, "{taken} of 10000");
        assert_eq!(number_of_parts(&filter), 2);
    }

    #[test]
    fn a_part_stays_until_the_last_of_its_entries_has_expired() {
        let filter = Filter::new();
        let start = Instant::now();
        let fill = |from: Duration| {
            for _ in 0..LEAST {
                filter.insert_at(&random(), HOUR, start + from);
            }
        };
        let long = random();
        filter.insert_at(&long, 10 * HOUR, start);
        fill(Duration::ZERO);
        for hours in 1..=10 {
            fill(hours * HOUR);
            assert!(filter.may_contain(&long), "after {hours} hours");
        }
        filter.insert_at(&random(), HOUR, start + 11 * HOUR);
        assert!(!filter.may_contain(&long));
        filter.insert_at(&random(), HOUR, start + 100 * HOUR);
        assert_eq!(number_of_parts(&filter), 1);
    }

    #[test]
    fn a_steady_stream_takes_no_more_room_with_time() {
        let filter = Filter::new();
        let (start, pause) = (Instant::now(), HOUR / u32::try_from(LEAST).unwrap());
        let room = || {
            let parts = filter.parts.load();
            parts.iter().map(|part| part.0.len()).sum::<usize>() * PER_WORD
        };
        let mut now = start;
        while now < start + 100 * HOUR {
            filter.insert_at(
                &RevocationTarget::Token(TokenId::from_bytes([1; 16])),
                HOUR,
                now,
            );
            now += pause;
        }
        assert!(room() <= 4 * GROWTH * LEAST, "room for {}", room());
        assert!(number_of_parts(&filter) <= 3);
    }
}
