//! Time that passes only on your command.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gatepass::{Clock, Timestamp};

/// A clock that you move by hand. Clones show the same time.
///
/// It starts at [`START`](Self::START). Its monotonic reading is an hour by then, so you can
/// subtract durations from either reading.
///
/// ```
/// use std::time::Duration;
/// use gatepass::Clock;
/// use gatepass_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let (wall, monotonic) = (clock.now(), clock.monotonic());
///
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), wall + Duration::from_secs(60));
///
/// clock.step_wall_back(Duration::from_secs(60));
/// assert_eq!(clock.now(), wall);
/// assert_eq!(clock.monotonic(), monotonic + Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    reading: Arc<Mutex<Reading>>,
}

#[derive(Debug)]
struct Reading {
    wall: Timestamp,
    monotonic: Duration,
}

impl ManualClock {
    /// The first reading of the wall clock: 2030-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_unix_secs(1_893_456_000);

    /// A clock at [`START`](Self::START).
    #[must_use]
    pub fn new() -> Self {
        Self {
            reading: Arc::new(Mutex::new(Reading {
                wall: Self::START,
                monotonic: Duration::from_secs(3600),
            })),
        }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let mut reading = self.reading();
        reading.wall = reading.wall + duration;
        reading.monotonic = reading.monotonic.saturating_add(duration);
    }

    /// Sets the wall clock, as an administrator or NTP does. The monotonic clock does not move.
    pub fn set_wall(&self, wall: Timestamp) {
        self.reading().wall = wall;
    }

    /// Sets the wall clock back. The monotonic clock does not move.
    pub fn step_wall_back(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let mut reading = self.reading();
        reading.wall =
            Timestamp::from_unix_millis(reading.wall.unix_millis().saturating_sub(millis));
    }

    /// Suspends the machine: the wall clock moves on, the monotonic clock stands still.
    pub fn suspend(&self, duration: Duration) {
        let mut reading = self.reading();
        reading.wall = reading.wall + duration;
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.reading().wall
    }

    fn monotonic(&self) -> Duration {
        self.reading().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_machine_loses_monotonic_time_only() {
        let clock = ManualClock::new();
        let monotonic = clock.monotonic();
        clock.suspend(Duration::from_secs(90));
        assert_eq!(clock.monotonic(), monotonic);
        assert_eq!(clock.now(), ManualClock::START + Duration::from_secs(90));
    }
}
