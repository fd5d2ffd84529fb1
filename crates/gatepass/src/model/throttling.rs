//! Attempts to log in, and the delays after too many of them. The rules are pure, and the same for
//! every store.
//!
//! A store keeps one small record for each name, each address, and each pair of the two. Its key is
//! a keyed hash. A record counts attempts, and forgets one attempt per
//! [`LoginThrottle::max_delay`].

use std::{borrow::Cow, time::Duration};

use crate::{
    env::clock::Timestamp,
    model::{ids::InvalidId, session::Session},
};

/// The bounds on attempts to log in: how many are free, and how the delays grow after that.
///
/// gatepass counts an attempt for its user name, for its address (IPv6: the network of 64 bits),
/// and for the pair of both. All nodes count together, in the store. An attempt counts before its
/// password is checked, so parallel guesses can't exceed the bounds. A login that succeeds takes
/// its attempt back, and clears the pair.
///
/// Private addresses, such as 10.0.0.2, count only if you have set
/// [`trusted_proxies`](crate::AuthorityBuilder::trusted_proxies). Without that setting, a private
/// address is probably the address of a proxy.
///
/// After the free attempts, each further attempt has to wait: first for
/// [`first_delay`](Self::first_delay), then twice as long each time, up to
/// [`max_delay`](Self::max_delay). An attempt that comes too early gets 429 with `Retry-After`.
/// gatepass checks no password for it, and it makes no delay longer. gatepass forgets one attempt
/// per `max_delay`.
///
/// Strangers can delay logins with a user's name, up to `max_delay`. They can't delay a user who
/// comes from an address where that user has logged in within [`known_for`](Self::known_for): for
/// such a pair of name and address, only its own attempts count.
///
/// ```
/// use std::time::Duration;
///
/// use gatepass::{Authority, LoginThrottle, MasterSecret, MemoryStore};
///
/// # let secret = MasterSecret::generate().unwrap();
/// // A school with many pupils behind one address.
/// let throttle = LoginThrottle { per_address: 500, ..LoginThrottle::default() };
/// let authority = Authority::builder("https://school.example", "school", secret, MemoryStore::new())
///     .login_throttle(throttle);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "its six knobs are the whole of what can be chosen"
)]
pub struct LoginThrottle {
    /// Free attempts from one address with one name. Default 5.
    pub per_pair: u32,
    /// Free attempts with one name, from all addresses. Default 20.
    pub per_name: u32,
    /// Free attempts from one address, with all names. Default 50.
    pub per_address: u32,
    /// The first delay. Default 1 s.
    pub first_delay: Duration,
    /// The longest delay, and the time after which gatepass forgets one attempt. Default 5 min.
    pub max_delay: Duration,
    /// How long gatepass knows a pair of name and address after a login. Default 30 days.
    pub known_for: Duration,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self {
            per_pair: 5,
            per_name: 20,
            per_address: 50,
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(300),
            known_for: Duration::from_secs(30 * 86_400),
        }
    }
}

impl LoginThrottle {
    /// The most attempts beyond the free ones that a record counts. With any configuration, the
    /// delay has reached `max_delay` by then.
    pub const MOST_BEYOND: u32 = 16;

    /// The most free attempts that you can configure.
    pub(crate) const MOST_FREE: u32 = 1_000_000;

    /// The delay after an attempt that is `beyond` attempts after the last free one.
    fn delay(&self, beyond: u32) -> Duration {
        let doubled = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
        self.first_delay.saturating_mul(doubled).min(self.max_delay)
    }
}

/// The name that gatepass counts attempts by, unless the application chooses another: trimmed, and
/// in lower case.
pub(crate) fn throttle_key(name: &str) -> Cow<'_, str> {
    let trimmed = name.trim();
    match trimmed.chars().any(char::is_uppercase) {
        true => trimmed.to_lowercase().into(),
        false => trimmed.into(),
    }
}

/// The key of a record: a keyed hash of a name, an address or both. Without the master secret, the
/// key reveals neither of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey([u8; 16]);

impl AttemptKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for AttemptKey {
    type Error = InvalidId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
        bytes.try_into().map(Self).map_err(|_| InvalidId)
    }
}

/// The bound that an attempt has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "one, the other, both")]
pub enum ThrottledBy {
    /// The bound on its address with its name.
    Pair,
    /// The bound on its name.
    Name,
    /// The bound on its address.
    Address,
}

impl ThrottledBy {
    /// The stable name, for the log and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Name => "name",
            Self::Address => "address",
        }
    }
}

/// The record of one key. A key without a record has the default one. A record past its
/// [`purge_at`](Self::purge_at) means the same as none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store must keep all of it")]
pub struct AttemptRecord {
    /// When all of its attempts are forgotten. Each attempt moves this time by `max_delay`.
    pub forgotten_at: Timestamp,
    /// The time of the last attempt.
    pub counted_at: Timestamp,
    /// The earliest time of the next attempt.
    pub next_at: Timestamp,
    /// The time until which gatepass knows the pair.
    pub known_until: Timestamp,
}

impl AttemptRecord {
    /// When the store may remove this record.
    #[must_use]
    pub fn purge_at(&self) -> Timestamp {
        self.forgotten_at.max(self.next_at).max(self.known_until)
    }

    /// The record to decide by at `now`, and the time to use with it.
    ///
    /// A clock that goes back a little makes no delay longer. If it goes back further, the record's
    /// own clock was wrong, and its attempts don't count.
    fn at(self, now: Timestamp) -> (Self, Timestamp) {
        if self.counted_at <= now {
            (self, now)
        } else if self.counted_at.since(now) <= Session::CLOCK_JITTER {
            (self, self.counted_at)
        } else {
            let known_until = self.known_until;
            let unknown = Self {
                known_until,
                ..Self::default()
            };
            (unknown, now)
        }
    }

    /// How long the next attempt has to wait.
    fn wait(self, throttle: &LoginThrottle, now: Timestamp) -> Option<Duration> {
        let (record, now) = self.at(now);
        let wait = record.next_at.since(now);
        // A longer wait comes from another configuration.
        (!wait.is_zero() && wait <= throttle.max_delay).then_some(wait)
    }

    /// How many attempts are not forgotten yet.
    fn attempts(&self, throttle: &LoginThrottle, now: Timestamp) -> u32 {
        let left = self.forgotten_at.since(now).as_millis();
        let each = throttle.max_delay.as_millis().max(1);
        u32::try_from(left.div_ceil(each)).unwrap_or(u32::MAX)
    }

    fn counted(self, free: u32, throttle: &LoginThrottle, now: Timestamp) -> Self {
        let (mut record, now) = self.at(now);
        let most = throttle
            .max_delay
            .saturating_mul(free.saturating_add(LoginThrottle::MOST_BEYOND));
        let before = record.forgotten_at.max(now).min(now + most);
        record.forgotten_at = before + throttle.max_delay;
        record.counted_at = now;
        record.next_at = match record.attempts(throttle, now).checked_sub(free) {
            Some(beyond) => now + throttle.delay(beyond),
            None => now,
        };
        record
    }

    /// The record without one attempt.
    fn taken_back(self, free: u32, throttle: &LoginThrottle, now: Timestamp) -> Self {
        let (mut record, now) = self.at(now);
        let each = i64::try_from(throttle.max_delay.as_millis()).unwrap_or(i64::MAX);
        let earlier = record.forgotten_at.unix_millis().saturating_sub(each);
        record.forgotten_at = Timestamp::from_unix_millis(earlier);
        if record.attempts(throttle, now) < free {
            record.next_at = record.counted_at;
        }
        record
    }
}

/// An attempt to log in, for the store to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountAttempt {
    /// The key of its name.
    pub name: AttemptKey,
    /// The keys of its address, and of its address with its name, if the address is known.
    pub address_and_pair: Option<(AttemptKey, AttemptKey)>,
    /// The bounds.
    pub throttle: LoginThrottle,
}

/// The decision about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it counts, or it does not")]
pub enum AttemptOutcome {
    /// The attempt counts, and gatepass may check its password.
    Counted {
        /// Whether its pair is known, so that the attempt counts only for the pair.
        known: bool,
    },
    /// The attempt comes too early, and doesn't count.
    Refused {
        /// The bound with the longest wait.
        by: ThrottledBy,
        /// How long the client has to wait.
        retry_after: Duration,
    },
}

impl CountAttempt {
    /// The attempt with this name at an unknown address.
    #[must_use]
    pub fn new(name: AttemptKey, throttle: LoginThrottle) -> Self {
        Self {
            name,
            address_and_pair: None,
            throttle,
        }
    }

    /// The keys of the records that decide, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = AttemptKey> {
        let others = self.address_and_pair;
        let others = others.into_iter().flat_map(|(one, other)| [one, other]);
        [self.name].into_iter().chain(others)
    }

    /// Decides by the records that the store has `found` for the keys. If the attempt counts, this
    /// returns the records to write, each in place of its key's record.
    ///
    /// No other call may write the records between the reads and the writes.
    #[must_use]
    pub fn decide(
        &self,
        found: impl Fn(AttemptKey) -> Option<AttemptRecord>,
        now: Timestamp,
    ) -> (AttemptOutcome, Vec<(AttemptKey, AttemptRecord)>) {
        let throttle = &self.throttle;
        let record = |key| found(key).unwrap_or_default();
        let pair = self.address_and_pair.map(|(_, pair)| pair);
        let known = pair.is_some_and(|pair| record(pair).known_until > now);
        let bounds = self.bounds(known);
        let refused = bounds.clone().filter_map(|(by, key, _)| {
            let retry_after = record(key).wait(throttle, now)?;
            Some((by, retry_after))
        });
        // If two waits are equal, the first one counts: the answer must not depend on the store.
        let longest = refused.reduce(|one, other| if other.1 > one.1 { other } else { one });
        if let Some((by, retry_after)) = longest {
            return (AttemptOutcome::Refused { by, retry_after }, Vec::new());
        }
        let counted = bounds.map(|(_, key, free)| (key, record(key).counted(free, throttle, now)));
        (AttemptOutcome::Counted { known }, counted.collect())
    }

    /// The bounds for an attempt, each with the key of its record and its free attempts.
    fn bounds(
        &self,
        known: bool,
    ) -> impl Iterator<Item = (ThrottledBy, AttemptKey, u32)> + Clone + use<> {
        let Self {
            name,
            address_and_pair,
            throttle,
        } = *self;
        let pair = address_and_pair.map(|(_, key)| (ThrottledBy::Pair, key, throttle.per_pair));
        let address =
            address_and_pair.map(|(key, _)| (ThrottledBy::Address, key, throttle.per_address));
        let strangers = [Some((ThrottledBy::Name, name, throttle.per_name)), address];
        let strangers = strangers.into_iter().flatten().filter(move |_| !known);
        pair.into_iter().chain(strangers)
    }
}

/// The end of an attempt that was counted, if its password was not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettleAttempt {
    /// The attempt.
    pub attempt: CountAttempt,
    /// Whether the attempt counted only for its pair, as [`AttemptOutcome::Counted`] said.
    pub known: bool,
    /// Whether the user has logged in. If so, the store clears the attempt's pair and knows it from
    /// now on. Otherwise it takes the attempt back, since no password was checked.
    pub succeeded: bool,
}

impl SettleAttempt {
    /// The end of `attempt`, which is taken back.
    #[must_use]
    pub fn new(attempt: CountAttempt, known: bool) -> Self {
        Self {
            attempt,
            known,
            succeeded: false,
        }
    }

    /// The records to write, given the records that the store has `found`. Each replaces its key's
    /// record. No other call may write the records between the reads and the writes.
    #[must_use]
    pub fn decide(
        &self,
        found: impl Fn(AttemptKey) -> Option<AttemptRecord>,
        now: Timestamp,
    ) -> Vec<(AttemptKey, AttemptRecord)> {
        let throttle = &self.attempt.throttle;
        let settled = self
            .attempt
            .bounds(self.known)
            .filter_map(|(by, key, free)| {
                if self.succeeded && by == ThrottledBy::Pair {
                    let known_until = now + throttle.known_for;
                    let cleared = AttemptRecord {
                        known_until,
                        ..AttemptRecord::default()
                    };
                    return Some((key, cleared));
                }
                // A record that the store has forgotten meanwhile counts no attempts any more.
                Some((key, found(key)?.taken_back(free, throttle, now)))
            });
        settled.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const START: Timestamp = Timestamp::from_unix_secs(1_800_000_000);
    const NAME: AttemptKey = AttemptKey::from_bytes([1; 16]);

    #[derive(Default)]
    struct Records(HashMap<AttemptKey, AttemptRecord>);

    impl Records {
        fn count(&mut self, attempt: &CountAttempt, now: Timestamp) -> AttemptOutcome {
            let (outcome, written) = attempt.decide(|key| self.0.get(&key).copied(), now);
            self.0.extend(written);
            outcome
        }
    }

    #[test]
    fn the_delays_of_the_defaults_double_from_a_second_to_five_minutes() {
        let attempt = CountAttempt::new(NAME, LoginThrottle::default());
        let (mut records, mut now) = (Records::default(), START);
        let mut delays = Vec::new();
        for _ in 0..35 {
            match records.count(&attempt, now) {
                AttemptOutcome::Counted { known } => assert!(!known),
                AttemptOutcome::Refused { .. } => panic!("too early"),
            }
            let delay = records.0[&NAME].next_at.since(now);
            delays.push(delay.as_secs());
            now = now + delay;
        }
        assert_eq!(delays[..19], [0; 19]);
        assert_eq!(delays[19..29], [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
        assert!(
            delays[29..].iter().all(|delay| (256..=300).contains(delay)),
            "{delays:?}"
        );
    }

    /// The figures of `docs/defaults.md`.
    #[test]
    fn a_botnet_gets_40_guesses_at_a_name_in_an_hour_and_316_in_a_day() {
        let attempt = CountAttempt::new(NAME, LoginThrottle::default());
        let (mut records, mut now) = (Records::default(), START);
        let (mut in_an_hour, mut in_a_day) = (0, 0);
        while now.since(START).as_secs() < 86_400 {
            let outcome = records.count(&attempt, now);
            assert_eq!(outcome, AttemptOutcome::Counted { known: false });
            in_a_day += 1;
            in_an_hour += u32::from(now.since(START).as_secs() < 3600);
            now = records.0[&NAME].next_at;
        }
        assert_eq!((in_an_hour, in_a_day), (40, 316));
    }

    #[test]
    fn names_that_people_take_for_one_count_together() {
        for (one, other) in [
            ("Alice", "alice"),
            (" alice\t", "alice"),
            ("ÉMILE", "émile"),
        ] {
            assert_eq!(throttle_key(one), throttle_key(other), "{one:?}");
        }
        assert_ne!(throttle_key("alice"), throttle_key("alic e"));
    }

    proptest! {
        /// However long a guesser waits, they get no more than the free attempts, one per longest
        /// delay, and the attempts whose delays are still growing.
        #[test]
        fn the_guesses_in_any_time_are_bounded(
            pauses in vec(prop_oneof![Just(0_u64), 0..2000_u64, 0..400_000_u64], 1..400),
            free in 1..30_u32,
        ) {
            let throttle = LoginThrottle { per_name: free, ..LoginThrottle::default() };
            let attempt = CountAttempt::new(NAME, throttle);
            let (mut records, mut now) = (Records::default(), START);
            let mut counted = 0_u64;
            for pause in pauses {
                now = now + Duration::from_millis(pause);
                match records.count(&attempt, now) {
                    AttemptOutcome::Counted { .. } => counted += 1,
                    AttemptOutcome::Refused { retry_after, .. } => {
                        prop_assert!(retry_after <= throttle.max_delay);
                    }
                }
                let passed = now.since(START).as_secs() / throttle.max_delay.as_secs();
                prop_assert!(counted <= u64::from(free) + passed + 10);
            }
        }

        /// An attempt waits for the longest delay at most, even if the store's record comes from
        /// another clock or configuration. Nothing panics.
        #[test]
        fn no_record_delays_an_attempt_for_longer_than_the_longest_delay(
            times in any::<[i64; 4]>(),
            now in any::<i64>(),
            pass in 0..400_000_u64,
        ) {
            let [forgotten_at, counted_at, next_at, known_until] =
                times.map(Timestamp::from_unix_millis);
            let record = AttemptRecord { forgotten_at, counted_at, next_at, known_until };
            let attempt = CountAttempt::new(NAME, LoginThrottle::default());
            let now = Timestamp::from_unix_millis(now);
            let (outcome, _) = attempt.decide(|_| Some(record), now);
            if let AttemptOutcome::Refused { retry_after, .. } = outcome {
                prop_assert!(retry_after <= attempt.throttle.max_delay);
                let later = now + Duration::from_millis(pass).max(retry_after);
                let (outcome, written) = attempt.decide(|_| Some(record), later);
                let counts = matches!(outcome, AttemptOutcome::Counted { .. });
                // Unless the timestamp is near its maximum.
                prop_assert!(counts || later == Timestamp::MAX || counted_at > now);
                let _ = SettleAttempt::new(attempt, false).decide(|_| Some(record), later);
                prop_assert!(written.iter().all(|(_, one)| one.next_at >= one.counted_at));
            }
        }
    }
}
