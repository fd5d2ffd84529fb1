//! The time by which gatepass forgets entries.
//!
//! If a wrong clock makes gatepass forget an entry too early, the entry doesn't come back when the
//! clock is set right. A revoked token would be valid again.

use std::time::Duration;

use crate::env::clock::{Clock, Timestamp};

/// A time that doesn't follow a wall clock that was set forward by mistake, until the clock has
/// stayed ahead for long.
pub(crate) struct Horizon {
    wall: Timestamp,
    monotonic: Duration,
    /// Since when, by the monotonic clock, the wall clock has been ahead.
    ahead_since: Option<Duration>,
    believed_after: Duration,
}

impl Horizon {
    /// How far ahead the wall clock may be before the horizon doubts it. All retention times allow
    /// for this error.
    const TOLERANCE: Duration = Duration::from_secs(300);

    /// A horizon that believes the wall clock as it is now. If the clock is ahead later, the
    /// horizon believes it after `believed_after`. Choose a longer time than access tokens live:
    /// then all tokens that were revoked before have expired.
    pub(crate) fn new(clock: &dyn Clock, believed_after: Duration) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
            ahead_since: None,
            believed_after,
        }
    }

    /// Goes on from the horizon of an earlier process: the wall clock may have been ahead when this
    /// one started.
    pub(crate) fn resume(&mut self, last: Timestamp) {
        self.wall = self.wall.min(last);
    }

    /// The time by which entries may be forgotten.
    pub(crate) fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let expected = self.wall + monotonic.saturating_sub(self.monotonic);
        if wall <= expected + Self::TOLERANCE {
            self.ahead_since = None;
            return wall.min(expected);
        }
        let since = *self.ahead_since.get_or_insert(monotonic);
        if monotonic.saturating_sub(since) >= self.believed_after {
            (self.wall, self.monotonic, self.ahead_since) = (wall, monotonic, None);
            return wall;
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct TwoHands(Mutex<(Timestamp, Duration)>);

    impl Clock for TwoHands {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        fn monotonic(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }

    impl TwoHands {
        fn pass(&self, time: Duration) {
            let mut hands = self.0.lock().unwrap();
            *hands = (hands.0 + time, hands.1 + time);
        }

        fn set(&self, wall: Timestamp) {
            self.0.lock().unwrap().0 = wall;
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_clock_set_forward_is_believed_only_after_a_day() {
        let clock = TwoHands::default();
        let start = clock.now();
        let mut horizon = Horizon::new(&clock, DAY);
        clock.pass(HOUR);
        assert_eq!(horizon.now(&clock), start + HOUR);

        clock.set(start + 1000 * HOUR);
        assert_eq!(horizon.now(&clock), start + HOUR, "not moved by the step");
        clock.pass(HOUR);
        assert_eq!(
            horizon.now(&clock),
            start + 2 * HOUR,
            "goes on with the monotonic clock"
        );
        clock.pass(23 * HOUR);
        assert_eq!(horizon.now(&clock), start + 1024 * HOUR, "a day later");
    }

    #[test]
    fn a_clock_set_back_is_believed_at_once() {
        let clock = TwoHands::default();
        clock.set(Timestamp::from_unix_secs(1_000_000));
        let mut horizon = Horizon::new(&clock, DAY);
        clock.set(Timestamp::from_unix_secs(900_000));
        assert_eq!(horizon.now(&clock), Timestamp::from_unix_secs(900_000));
    }

    #[test]
    fn a_clock_that_is_five_minutes_ahead_is_not_doubted() {
        let clock = TwoHands::default();
        let start = clock.now();
        let mut horizon = Horizon::new(&clock, DAY);
        clock.set(start + 5 * MINUTE);
        assert_eq!(horizon.now(&clock), start, "nor does it move the horizon");
        clock.set(start + 6 * MINUTE);
        clock.pass(DAY);
        assert_eq!(horizon.now(&clock), start + DAY);
        clock.pass(DAY);
        assert_eq!(horizon.now(&clock), start + 2 * DAY + 6 * MINUTE);
    }

    #[test]
    fn a_process_that_starts_with_a_clock_ahead_goes_on_from_the_last_one() {
        let clock = TwoHands::default();
        clock.set(Timestamp::from_unix_secs(1_000_000));
        let last = clock.now();
        clock.set(last + 48 * HOUR);
        let mut horizon = Horizon::new(&clock, HOUR);
        horizon.resume(last);
        assert_eq!(horizon.now(&clock), last);
        clock.pass(59 * MINUTE);
        assert_eq!(horizon.now(&clock), last + 59 * MINUTE);
        clock.pass(MINUTE);
        assert_eq!(horizon.now(&clock), last + 49 * HOUR);
    }
}
