//! Timestamps, and the clock that they come from. Tests can replace the clock.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, between that instant and the end of
/// the year 9999.
///
/// All arithmetic saturates at these two ends, so a clock before 1970 or an absurd lifetime never
/// panics or wraps. `Display` is RFC 3339 in seconds.
///
/// ```
/// use std::time::Duration;
/// use gatepass::Timestamp;
///
/// let start = Timestamp::from_unix_secs(1_795_000_000);
/// assert_eq!((start + Duration::from_secs(90)).to_string(), "2026-11-18T11:08:10Z");
/// assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z, the last second that RFC 3339 can name.
    pub const MAX: Self = Self(253_402_300_799_000);

    /// The instant `millis` milliseconds after the epoch, moved into the supported range.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        if millis < Self::EPOCH.0 {
            Self::EPOCH
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// The instant `secs` seconds after the epoch, moved into the supported range.
    #[must_use]
    pub const fn from_unix_secs(secs: i64) -> Self {
        Self::from_unix_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down, as in a `NumericDate` (RFC 7519 §2).
    #[must_use]
    pub const fn unix_secs(self) -> i64 {
        self.0 / 1000
    }

    /// The time from `earlier` to `self`; zero if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0 - earlier.0).map_or(Duration::ZERO, Duration::from_millis)
    }

    /// The same instant without its fraction of a second.
    #[must_use]
    pub const fn truncated_to_secs(self) -> Self {
        Self(self.0 - self.0 % 1000)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.0.saturating_add(millis))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let Ok(elapsed) = time.duration_since(UNIX_EPOCH) else {
            return Self::EPOCH;
        };
        // Every request comes here, and numbers of 128 bits are slow.
        let secs = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        let millis = secs.saturating_mul(1000);
        Self::from_unix_millis(millis.saturating_add(elapsed.subsec_millis().into()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_millis(self.0.unsigned_abs());
        humantime::format_rfc3339_seconds(time).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_millis(self.0.unsigned_abs());
        // A plain `.fmt(f)` would call `Debug` here, which shows a struct.
        fmt::Display::fmt(&humantime::format_rfc3339_millis(time), f)
    }
}

/// The source of the time.
///
/// It has two readings, because they fail in different ways. An operator can set the wall clock,
/// and the monotonic clock may stand still while a machine is suspended. The lease on the
/// revocations looks at both. Tests pass a clock that they move by hand
/// (`gatepass_testkit::ManualClock`).
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock time.
    fn now(&self) -> Timestamp;

    /// Time since some fixed instant; never decreases within a process.
    fn monotonic(&self) -> Duration;
}

/// A clock that several owners share.
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a unit struct without state to grow"
)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_panicking() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_secs(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_millis(i64::MIN), Timestamp::EPOCH);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(
            format!("{:?}", Timestamp::EPOCH),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn a_clock_before_1970_reads_as_1970() {
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(Timestamp::from(before), Timestamp::EPOCH);
    }
}
