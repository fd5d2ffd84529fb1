//! Failed logins, counted for each user name.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gatepass::Clock;

/// Counts failed logins by user name, and says when there were too many.
///
/// A name is counted whether or not there is such a user, so that the answer says nothing about it.
/// The price of counting by name is that any client can lock a user's name for a minute. If you
/// know the address of the client, you may count by both.
pub(crate) struct Attempts {
    clock: Arc<dyn Clock>,
    /// Names are kept as keyed hashes: they may be long, and may be passwords in the wrong field.
    hasher: RandomState,
    names: Mutex<HashMap<u64, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    since: Duration,
    failures: u32,
}

impl Attempts {
    const WINDOW: Duration = Duration::from_secs(60);
    const FAILURES: u32 = 10;
    /// More names than passwords can be hashed within a window: to push a name out of the table
    /// takes longer than to wait.
    const NAMES: usize = 100_000;

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            names: Mutex::default(),
        }
    }

    /// Whether `name` may try; if not, when it may.
    pub(crate) fn check(&self, name: &str) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        match self.names().get(&self.hasher.hash_one(name)) {
            Some(window) if window.is_open(now) && window.failures >= Self::FAILURES => {
                Err((window.since + Self::WINDOW).saturating_sub(now))
            }
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, name: &str) {
        let now = self.clock.monotonic();
        let name = self.hasher.hash_one(name);
        let mut names = self.names();
        if names.len() >= Self::NAMES && !names.contains_key(&name) {
            make_room(&mut names, now);
        }
        let window = names.entry(name).or_insert(Window::new(now));
        if !window.is_open(now) {
            *window = Window::new(now);
        }
        window.failures = window.failures.saturating_add(1);
    }

    /// Forgets the failures of a name that has logged in.
    pub(crate) fn succeeded(&self, name: &str) {
        self.names().remove(&self.hasher.hash_one(name));
    }

    fn names(&self) -> MutexGuard<'_, HashMap<u64, Window>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(names: &mut HashMap<u64, Window>, now: Duration) {
    names.retain(|_, window| window.is_open(now));
    if names.len() >= Attempts::NAMES {
        let oldest = names.iter().min_by_key(|(_, window)| window.since);
        if let Some(oldest) = oldest.map(|(name, _)| *name) {
            names.remove(&oldest);
        }
    }
}

impl Window {
    fn new(since: Duration) -> Self {
        Self { since, failures: 0 }
    }

    fn is_open(&self, now: Duration) -> bool {
        now < self.since + Attempts::WINDOW
    }
}

#[cfg(test)]
mod tests {
    use gatepass_testkit::ManualClock;

    use super::*;

    fn attempts() -> (Attempts, ManualClock) {
        let clock = ManualClock::new();
        (Attempts::new(Arc::new(clock.clone())), clock)
    }

    #[test]
    fn the_eleventh_attempt_within_a_minute_has_to_wait_for_its_end() {
        let (attempts, clock) = attempts();
        for _ in 0..Attempts::FAILURES {
            assert_eq!(attempts.check("alice"), Ok(()));
            attempts.failed("alice");
        }
        clock.advance(Duration::from_secs(20));
        assert_eq!(attempts.check("alice"), Err(Duration::from_secs(40)));
        assert_eq!(attempts.check("bob"), Ok(()));

        clock.advance(Duration::from_secs(40));
        assert_eq!(attempts.check("alice"), Ok(()));
    }

    #[test]
    fn a_login_forgets_the_failures_before_it() {
        let (attempts, _) = attempts();
        for _ in 1..Attempts::FAILURES {
            attempts.failed("alice");
        }
        attempts.succeeded("alice");
        attempts.failed("alice");
        assert_eq!(attempts.check("alice"), Ok(()));
    }

    #[test]
    fn the_table_of_names_has_a_bound_and_the_oldest_goes_first() {
        let (attempts, clock) = attempts();
        for _ in 0..Attempts::FAILURES {
            attempts.failed("oldest");
        }
        clock.advance(Duration::from_millis(1));
        for name in 0..Attempts::NAMES {
            attempts.failed(&name.to_string());
        }
        assert_eq!(attempts.names().len(), Attempts::NAMES);
        assert_eq!(attempts.check("oldest"), Ok(()));
    }
}
