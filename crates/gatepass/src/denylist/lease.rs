//! The age of revocation data, by clocks that an operator can move.

use std::time::Duration;

use crate::env::clock::{Clock, Timestamp};

/// An instant by both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) wall: Timestamp,
    monotonic: Duration,
}

impl Reading {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// The age of this reading at `now`: the larger of its ages by the two clocks. The wall clock
    /// runs on while a machine is suspended, and the monotonic clock runs on when the wall clock is
    /// set back. `None` if one of them is negative: a clock was moved, and the age is unknown.
    pub(super) fn age(self, now: Self) -> Option<Duration> {
        let monotonic = now.monotonic.checked_sub(self.monotonic)?;
        (now.wall >= self.wall).then(|| monotonic.max(now.wall.since(self.wall)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_age_counts_and_a_negative_one_is_none() {
        let at = |wall, monotonic| Reading {
            wall: Timestamp::from_unix_secs(wall),
            monotonic: Duration::from_secs(monotonic),
        };
        let table = [
            ("at once", at(100, 100), Some(0)),
            ("both", at(102, 102), Some(2)),
            ("suspended", at(107, 100), Some(7)),
            ("set back, but not by as much", at(101, 105), Some(5)),
            ("set back", at(99, 105), None),
            ("another boot", at(105, 99), None),
        ];
        for (name, now, age) in table {
            let expected = age.map(Duration::from_secs);
            assert_eq!(at(100, 100).age(now), expected, "{name}");
        }
    }
}
