//! An exact set of the ids of sessions and tokens that are revoked, and of the sessions whose
//! rights have changed.
//!
//! A request looks into it without a lock and without an allocation, however many revocations come
//! meanwhile. An entry takes 28 to 45 bytes: 16 for its id, 4 for its deadline and 1 for its hash,
//! in a hash table that is half to three quarters full. A cache with a queue of deadlines keeps
//! several hundred bytes for an entry, and writes to a shared log on a hit.
//!
//! The set consists of shards. A writer locks one shard, and rebuilds its table when that is full
//! or when many of its entries have expired. Readers go on with the old table until the new one is
//! there. One rebuild moves only a small part of the set, so it holds no writer and no thread up
//! for long.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use crate::{
    denylist::epoch::Epoch,
    model::ids::{SessionId, TokenId},
};

/// A shard has 40,000 of ten million entries, so that one rebuild is short.
const SHARDS: usize = 256;
/// The number of shards that one sweep looks at. A sweep follows each pull, so an idle node looks
/// at all shards within half a minute. The number is small because shards expire alike, and one
/// sweep may rebuild each shard that it looks at.
const SWEPT: usize = 4;

/// The id of a session, of its grant or of a token, as the set compares it.
///
/// The first two bytes of a session's id are those of its account, and the other sixteen are
/// random. `new` folds in the account and the kind, so that ids that differ only in these stay
/// different.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    low: u64,
    high: u64,
}

impl Id {
    pub(super) fn of_token(id: TokenId) -> Self {
        Self::new(*id.as_bytes(), 0)
    }

    pub(super) fn of_session(id: SessionId) -> Self {
        Self::of(id, 1)
    }

    /// The id of the grant of a session.
    pub(super) fn of_grant(id: SessionId) -> Self {
        Self::of(id, 1 + (1 << 16))
    }

    fn of(id: SessionId, first_kind: u64) -> Self {
        let [first, second, random @ ..] = *id.as_bytes();
        let account = u64::from(u16::from_le_bytes([first, second]));
        Self::new(random, first_kind + account)
    }

    fn new(random: [u8; 16], kind: u64) -> Self {
        let random = u128::from_le_bytes(random);
        // An odd factor keeps different kinds different.
        let low = random as u64 ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let high = (random >> 64) as u64;
        Self { low, high }
    }
}

pub(super) struct IdSet {
    /// The seeds of the hash, which spreads the ids. Ids are random by default, but an application
    /// can inject another source of randomness.
    seeds: [u64; 2],
    since: Epoch,
    shards: Box<[Shard]>,
    entries: AtomicUsize,
    swept: AtomicUsize,
}

impl IdSet {
    pub(super) fn new() -> Self {
        let seeds = RandomState::new();
        Self {
            seeds: [seeds.hash_one(0), seeds.hash_one(1)],
            since: Epoch::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            entries: AtomicUsize::new(0),
            swept: AtomicUsize::new(0),
        }
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        if self.len() == 0 {
            return false;
        }
        let hash = hash(id, self.seeds);
        self.shard(hash)
            .is_some_and(|shard| shard.table.load().contains(id, hash))
    }

    /// Puts `id` in for as long as `kept` and somewhat longer. An id that was there stays until the
    /// later of its two deadlines.
    pub(super) fn insert(&self, id: Id, kept: Duration, now: Instant) {
        let until = self.since.deadline(now, kept);
        let entry = Entry::new(id, until, self.seeds);
        if let Some(shard) = self.shard(entry.hash) {
            self.counted(shard, |deadlines| {
                shard.insert(deadlines, &entry, self.since.seconds(now), self.seeds);
            });
        }
    }

    /// The number of entries, including some that have expired.
    pub(super) fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Frees expired entries in some of the shards. The next call goes on with the next shards.
    pub(super) fn sweep(&self, now: Instant) {
        let first = self.swept.fetch_add(SWEPT, Ordering::Relaxed);
        let now = self.since.seconds(now);
        for shard in self.shards.iter().cycle().skip(first % SHARDS).take(SWEPT) {
            self.counted(shard, |deadlines| shard.sweep(deadlines, now, self.seeds));
        }
    }

    /// Changes a shard. It corrects the number of entries before another thread can change the
    /// shard: the number must not be zero while there is an entry.
    fn counted(&self, shard: &Shard, change: impl FnOnce(&mut Deadlines)) {
        let mut deadlines = shard
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = deadlines.entries;
        change(&mut deadlines);
        let after = deadlines.entries;
        if after >= before {
            self.entries.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.entries.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> Option<&Shard> {
        // The lower half of a hash selects the place within a table.
        self.shards.get((hash >> 32) as usize % self.shards.len())
    }
}

/// The folded product: each bit of an id changes about half of the bits of the hash.
fn hash(id: Id, [one, other]: [u64; 2]) -> u64 {
    let product = u128::from(id.low ^ one) * u128::from(id.high ^ other);
    (product >> 64) as u64 ^ product as u64
}

struct Entry {
    id: Id,
    hash: u64,
    /// In seconds of the set.
    until: u32,
}

impl Entry {
    fn new(id: Id, until: u32, seeds: [u64; 2]) -> Self {
        let hash = hash(id, seeds);
        Self { id, hash, until }
    }
}

/// A hash table with open addressing and linear probing. A slot that is taken stays as it is.
#[derive(Default)]
struct Table {
    /// For each slot a byte of the hash of its id, and zero if the slot is free. A search for an id
    /// that isn't there reads hardly anything else. All tags of a million ids fit into the caches
    /// of a processor, but the ids don't.
    tags: Box<[AtomicU8]>,
    ids: Box<[Slot]>,
}

/// The id in a slot that is taken.
#[derive(Default)]
struct Slot {
    low: AtomicU64,
    high: AtomicU64,
}

/// The place of an id in a table.
enum Place {
    Taken(usize),
    Free(usize),
}

#[derive(Default)]
struct Shard {
    table: ArcSwap<Table>,
    deadlines: Mutex<Deadlines>,
}

/// The part of a shard that requests don't look at.
#[derive(Default)]
struct Deadlines {
    /// Until when the entry of each slot is kept, in seconds of the set; zero if the slot is free.
    until: Vec<u32>,
    entries: usize,
}

impl Slot {
    fn id(&self) -> Id {
        Id {
            low: self.low.load(Ordering::Relaxed),
            high: self.high.load(Ordering::Relaxed),
        }
    }
}

impl Table {
    fn with_slots(slots: usize) -> Self {
        Self {
            tags: (0..slots).map(|_| AtomicU8::new(0)).collect(),
            ids: (0..slots).map(|_| Slot::default()).collect(),
        }
    }

    fn slots(&self) -> usize {
        self.tags.len()
    }

    fn contains(&self, id: Id, hash: u64) -> bool {
        matches!(self.find(id, hash), Some(Place::Taken(_)))
    }

    /// `None` if the table neither has the id nor room for it.
    fn find(&self, id: Id, hash: u64) -> Option<Place> {
        let slots = self.slots();
        // Spreads all values of the lower half evenly over the slots.
        let first = ((hash & 0xffff_ffff) * slots as u64) >> 32;
        let (before, after) = self.tags.split_at_checked(first as usize)?;
        let places = (first as usize..slots).chain(0..);
        let tag = tag(hash);
        for (place, found) in places.zip(after.iter().chain(before)) {
            match found.load(Ordering::Acquire) {
                0 => return Some(Place::Free(place)),
                found if found == tag && self.ids.get(place)?.id() == id => {
                    return Some(Place::Taken(place));
                }
                _ => {}
            }
        }
        None
    }

    /// Fills a slot that is free. The tag comes last, so that a reader finds all of an id or none
    /// of it.
    fn take(&self, place: usize, entry: &Entry) {
        if let (Some(slot), Some(taken)) = (self.ids.get(place), self.tags.get(place)) {
            slot.low.store(entry.id.low, Ordering::Relaxed);
            slot.high.store(entry.id.high, Ordering::Relaxed);
            taken.store(tag(entry.hash), Ordering::Release);
        }
    }
}

/// A byte of the hash that selects neither the shard nor the place. Never zero.
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

impl Shard {
    fn insert(&self, deadlines: &mut Deadlines, entry: &Entry, now: u32, seeds: [u64; 2]) {
        if !deadlines.insert(&self.table.load(), entry) {
            self.rebuild(deadlines, now, seeds);
            deadlines.insert(&self.table.load(), entry);
        }
    }

    /// Frees the expired entries, if there are enough of them.
    fn sweep(&self, deadlines: &mut Deadlines, now: u32, seeds: [u64; 2]) {
        let expired = deadlines.until.iter();
        let expired = expired.filter(|until| (1..=now).contains(*until));
        if expired.count() > deadlines.entries / 4 {
            self.rebuild(deadlines, now, seeds);
        }
    }

    /// Puts the entries that have not expired into a table that has room for more.
    fn rebuild(&self, deadlines: &mut Deadlines, now: u32, seeds: [u64; 2]) {
        let old = self.table.load();
        let live: Vec<Entry> = (old.ids.iter().zip(&deadlines.until))
            .filter(|(_, until)| **until > now)
            .map(|(slot, until)| Entry::new(slot.id(), *until, seeds))
            .collect();
        // Without chance, shards that grow alike would all be full at the same time.
        let chance = live.first().map_or(0, |entry| entry.hash % 32) as usize;
        // 47 to 56 % full after a rebuild, so that it grows by a third at least before the next.
        let room = (live.len() + LEAST) * (180 + chance) / 100;
        let table = Table::with_slots(room);
        *deadlines = Deadlines {
            until: vec![0; room],
            entries: 0,
        };
        for entry in &live {
            deadlines.insert(&table, entry);
        }
        self.table.store(Arc::new(table));
    }
}

/// The smallest table has room for this many new entries.
const LEAST: usize = 4;

impl Deadlines {
    /// Puts an entry into `table`. Returns `false` if the table needs more room first.
    fn insert(&mut self, table: &Table, entry: &Entry) -> bool {
        let (place, is_new) = match table.find(entry.id, entry.hash) {
            Some(Place::Taken(place)) => (place, false),
            // Searches take long in a fuller table.
            Some(Place::Free(place)) if (self.entries + 1) * 4 <= table.slots() * 3 => {
                (place, true)
            }
            Some(Place::Free(_)) | None => return false,
        };
        let Some(until) = self.until.get_mut(place) else {
            return false;
        };
        *until = entry.until.max(*until);
        if is_new {
            table.take(place, entry);
            self.entries += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, thread};

    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn id(number: u64) -> Id {
        let mut bytes = [0; 16];
        // Every second one has an upper half of zeros.
        bytes[..8].copy_from_slice(&(number / 2).to_le_bytes());
        bytes[8..].copy_from_slice(&(number % 2).to_le_bytes());
        Id::of_token(TokenId::from_bytes(bytes))
    }

    #[test]
    fn ids_of_another_kind_or_account_are_others() {
        let session = |account: u16| {
            let mut bytes = [7; 18];
            bytes[..2].copy_from_slice(&account.to_le_bytes());
            Id::of_session(SessionId::from_bytes(bytes))
        };
        let set = IdSet::new();
        set.insert(session(1), HOUR, set.since.0);
        assert!(set.contains(session(1)));
        assert!((0..=u16::MAX).all(|other| other == 1 || !set.contains(session(other))));
        assert!(!set.contains(Id::of_token(TokenId::from_bytes([7; 16]))));
    }

    #[test]
    fn an_entry_takes_at_most_45_bytes() {
        for entries in [30_000, 50_000, 70_000] {
            let set = IdSet::new();
            for number in 0..entries {
                set.insert(id(number), HOUR, set.since.0);
            }
            let bytes = |shard: &Shard| {
                let (table, deadlines) = (shard.table.load(), shard.deadlines.lock().unwrap());
                let slot = size_of::<Slot>() + size_of::<AtomicU8>();
                table.slots() * slot + deadlines.until.capacity() * size_of::<u32>()
            };
            let bytes: usize = set.shards.iter().map(bytes).sum();
            assert_eq!(set.len() as u64, entries);
            assert!(bytes as u64 <= 45 * entries, "{bytes} for {entries}");
        }
    }

    #[test]
    fn a_steady_stream_takes_no_more_room_with_time() {
        let set = IdSet::new();
        let mut most = 0;
        for number in 0..150_000 {
            // Always 7,200 that have not expired, and 60 more of the margin.
            let now = set.since.0 + Duration::from_secs(number / 2);
            set.insert(id(number), HOUR, now);
            if number.is_multiple_of(4) {
                set.sweep(now);
                most = most.max(set.len());
            }
        }
        assert!((7_200..12_000).contains(&most), "{most}");
        let late = set.since.0 + 1000 * HOUR;
        (0..SHARDS / SWEPT).for_each(|_| set.sweep(late));
        assert_eq!(set.len(), 0);
    }

    #[test]
    fn readers_find_each_entry_from_its_insert_on_while_tables_are_rebuilt() {
        const ENTRIES: u64 = 40_000;
        let set = IdSet::new();
        let inserted = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..ENTRIES {
                    set.insert(id(number), HOUR, set.since.0);
                    inserted.store(number + 1, Ordering::Release);
                }
            });
            for step in [7_919, 104_729] {
                let (set, inserted) = (&set, &inserted);
                scope.spawn(move || {
                    let mut number = 0;
                    loop {
                        let there = inserted.load(Ordering::Acquire);
                        number = (number + step) % there.max(1);
                        assert!(
                            there == 0 || set.contains(id(number)),
                            "{number} of {there}"
                        );
                        assert!(!set.contains(id(ENTRIES + number)), "a stranger");
                        if there == ENTRIES {
                            break;
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn writers_of_the_same_shards_lose_nothing() {
        let set = IdSet::new();
        thread::scope(|scope| {
            for writer in 0..4 {
                let set = &set;
                scope.spawn(move || {
                    for number in (writer..40_000).step_by(4) {
                        set.insert(id(number), HOUR, set.since.0);
                    }
                });
            }
        });
        assert!((0..40_000).all(|number| set.contains(id(number))));
        assert_eq!(set.len(), 40_000);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert { number: u64, kept: u32 },
        Pass { seconds: u32 },
        Sweep,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let insert =
            (0..100_u64, 0..5000_u32).prop_map(|(number, kept)| Step::Insert { number, kept });
        let pass = (0..2000_u32).prop_map(|seconds| Step::Pass { seconds });
        prop::collection::vec(
            prop_oneof![8 => insert, 1 => pass, 1 => Just(Step::Sweep)],
            1..600,
        )
    }

    proptest! {
        /// One shard holds all, so that it is rebuilt often.
        #[test]
        fn an_entry_is_there_until_its_last_deadline_and_no_other_ever_is(steps in steps()) {
            let mut set = IdSet::new();
            set.shards = Box::new([Shard::default()]);
            let (mut now, mut known) = (0_u32, HashMap::new());
            let at = |seconds: u32| set.since.0 + Duration::from_secs(seconds.into());
            for step in steps {
                match step {
                    Step::Insert { number, kept } => {
                        set.insert(id(number), Duration::from_secs(kept.into()), at(now));
                        let until = known.entry(number).or_insert(0);
                        *until = (now + kept).max(*until);
                    }
                    Step::Pass { seconds } => now += seconds,
                    Step::Sweep => set.sweep(at(now)),
                }
                for number in 0..100 {
                    let until = known.get(&number).copied();
                    let there = set.contains(id(number));
                    prop_assert!(there || until.is_none_or(|until| until < now), "{number} is lost");
                    prop_assert!(!there || until.is_some(), "{number} never was there");
                }
                let live = known.values().filter(|until| **until > now).count();
                prop_assert!(set.len() >= live);
            }
        }
    }
}
