//! The pace at which one call changes or ends many sessions.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::env::{
    internal_error::InternalError,
    random::{self, Random},
};

/// How far a call may fall behind its pace and still catch up. A timer has whole milliseconds.
const CATCHES_UP: Duration = Duration::from_millis(100);

/// The most sessions that one call changes or ends in a second. Default 1,000.
///
/// ```
/// use std::num::NonZeroU32;
/// use gatepass::Pace;
///
/// let slow = NonZeroU32::new(50).map_or(Pace::default(), Pace::sessions_per_second);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// At most this many sessions a second.
    #[must_use]
    pub const fn sessions_per_second(sessions: NonZeroU32) -> Self {
        Self(sessions)
    }

    /// The pause between two sessions. It varies at random by a quarter, so that several nodes
    /// don't keep step.
    fn pause(self, random: u8) -> Duration {
        let seconds = 1.0 / f64::from(self.0.get());
        Duration::from_secs_f64(seconds * (0.75 + 0.5 * f64::from(random) / 255.0))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self(NonZeroU32::MIN.saturating_add(999))
    }
}

/// Keeps one call to its pace.
pub(super) struct Pacer<'a> {
    pace: Pace,
    random: &'a dyn Random,
    due: Instant,
}

impl<'a> Pacer<'a> {
    pub(super) fn start(pace: Pace, random: &'a dyn Random) -> Self {
        let due = Instant::now();
        Self { pace, random, due }
    }

    /// Waits until the next session may follow.
    pub(super) async fn wait(&mut self) -> Result<(), InternalError> {
        let [chance] = random::bytes(self.random)?;
        self.due += self.pace.pause(chance);
        sleep_until(self.due).await;
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(CATCHES_UP).unwrap_or(now));
        Ok(())
    }
}
