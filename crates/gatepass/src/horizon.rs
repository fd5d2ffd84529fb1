//! The time by which things are forgotten.
//!
//! What is forgotten too early cannot be brought back when a wrong clock is set right: a revoked token
//! would be valid again.

use std::time::Duration;

use crate::{Clock, Timestamp};

/// A time that a wall clock set forward by mistake does not move.
pub(crate) struct Horizon {
    wall: Timestamp,
    monotonic: Duration,
    /// Since when, by the monotonic clock, the wall clock has been ahead.
    ahead_since: Option<Duration>,
}

impl Horizon {
    /// For how long the wall clock must have been ahead to be believed: longer than anybody leaves
    /// a wrong clock alone, and than most access tokens live.
    const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);
    /// How far ahead it may be without being doubted.
    const TOLERANCE: Duration = Duration::from_secs(60);

    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
            ahead_since: None,
        }
    }

    /// The time by which something may be forgotten.
    pub(crate) fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let expected = self.wall + monotonic.saturating_sub(self.monotonic);
        if wall <= expected + Self::TOLERANCE {
            self.ahead_since = None;
            return wall.min(expected);
        }
        let since = *self.ahead_since.get_or_insert(monotonic);
        if monotonic.saturating_sub(since) >= Self::BELIEVED_AFTER {
            *self = Self {
                wall,
                monotonic,
                ahead_since: None,
            };
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

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_set_forward_is_believed_only_after_a_day() {
        let clock = TwoHands::default();
        let start = clock.now();
        let mut horizon = Horizon::new(&clock);
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
        let mut horizon = Horizon::new(&clock);
        clock.set(Timestamp::from_unix_secs(900_000));
        assert_eq!(horizon.now(&clock), Timestamp::from_unix_secs(900_000));
    }
}
