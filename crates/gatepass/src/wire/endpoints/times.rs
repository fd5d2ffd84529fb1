//! The times of a session as clients may see them.
//!
//! A thief who has copied a refresh token must replay it within `overlap` of each refresh to stay
//! unseen. The second of a refresh is therefore a secret, and no answer tells it. Both times here
//! depend on the refreshes of earlier periods alone: while a session is used, they change when a
//! period begins, and not when a client refreshes.

use std::time::Duration;

use crate::{env::clock::Timestamp, model::session::Session, wire::endpoints::Endpoints};

const HOUR: Duration = Duration::from_secs(3600);

/// When a session was last used and when it expires, both in whole periods.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// The beginning of the period in which the session was last refreshed. The current period is
    /// never told: for example, at 10:20 a session that was refreshed at 10:05 shows 09:00.
    pub(super) last_seen: Timestamp,
    /// The instant by which the session has expired, unless it is refreshed before.
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
    /// The times of `session`, asked for at `now`.
    ///
    /// A period is an hour, or the lifetime of the session's access tokens where that is longer. A
    /// client refreshes at least once in it, so that a refresh changes nothing that is shown.
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
            // This is as long after the login as it is for every session.
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
