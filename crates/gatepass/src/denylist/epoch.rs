//! Deadlines in 32 bits.

use std::time::{Duration, Instant};

/// Extra time to keep an entry, so that the order in which threads read the clock doesn't matter.
pub(super) const MARGIN: Duration = Duration::from_secs(60);

/// The time from which a part of the replica counts seconds.
pub(super) struct Epoch(pub(super) Instant);

impl Epoch {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn seconds(&self, time: Instant) -> u32 {
        let seconds = time.saturating_duration_since(self.0).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    /// The second until which to keep an entry that is needed for `kept`. Never zero.
    pub(super) fn deadline(&self, now: Instant, kept: Duration) -> u32 {
        self.seconds(now + kept + MARGIN).max(1)
    }
}
