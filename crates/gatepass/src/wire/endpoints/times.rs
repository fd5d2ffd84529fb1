//! The times of a session, as clients may see them.
//!
//! A thief who has copied a refresh token must replay it within `overlap` of each refresh to stay
//! undetected. So the exact time of a refresh is a secret, and no answer reveals it. Both times
//! here depend only on the refreshes of earlier periods. While a session is in use, they change
//! when a period begins, and not when a client refreshes.

use std::time::Duration;

use crate::{env::clock::Timestamp, model::session::Session, wire::endpoints::Endpoints};

const HOUR: Duration = Duration::from_secs(3600);

/// When a session was last used and when it expires, both in whole periods.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// The beginning of the period in which the session was last refreshed. It is never the current
    /// period: for example, at 10:20, a session that was refreshed at 10:05 shows 09:00.
    pub(super) last_seen: Timestamp,
    /// The time by which the session expires, unless it is refreshed before.
    pub(super) expires: Timestamp,
}

impl Endpoints {
    /// The times of a session as clients may see them now.
    pub(super) fn times_of(&self, session: &Session) -> Times {
        let authority = &self.inner.authority;
        Times::of(session, authority.access_ttl(), authority.verifier().now())
    }
}

impl Times {
    /// The times of `session` to show at `now`.
    ///
    /// A period is an hour, or the lifetime of the session's access tokens if that is longer. While
    /// a session is in use, its client refreshes at least once per period, so a refresh doesn't
    /// change the shown times.
    pub(super) fn of(session: &Session, access_ttl: Duration, now: Timestamp) -> Self {
        let access_ttl = session.identity.own_access_ttl().unwrap_or(access_ttl);
        let period = hours(access_ttl).max(HOUR);
        let last_seen = session.last_seen_at;
        let shown = beginning(last_seen, period).min(before(beginning(now, period), period));
        let until = session.idle_expires_at.max(session.access_until);
        let expires = if until < session.absolute_expires_at {
            // The last refresh was less than two periods after the shown one.
            let latest = shown + 2 * period + hours(until.since(last_seen));
            latest.min(session.absolute_expires_at)
        } else {
            // The absolute end is the same time after the login for every session, so it reveals
            // nothing.
            session.absolute_expires_at
        };
        Self {
            last_seen: shown.max(beginning(session.created_at, HOUR)),
            expires,
        }
    }
}

/// Whole hours, rounded up.
fn hours(duration: Duration) -> Duration {
    let hours = duration.as_millis().div_ceil(HOUR.as_millis());
    HOUR.saturating_mul(u32::try_from(hours).unwrap_or(u32::MAX))
}

/// The beginning of the period that `at` is in.
fn beginning(at: Timestamp, period: Duration) -> Timestamp {
    let into = at.unix_millis() % i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(at.unix_millis() - into)
}

fn before(at: Timestamp, period: Duration) -> Timestamp {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(at.unix_millis().saturating_sub(period))
}
