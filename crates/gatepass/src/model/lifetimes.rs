//! The lifetimes of sessions and access tokens, unless the application chooses others.
//! [`docs::defaults`](crate::docs::defaults) has the reasons.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How long an access token lives, unless its identity sets a lifetime.
pub(crate) const ACCESS_TTL: Duration = MINUTE.saturating_mul(15);
/// How long a session may stay unused.
pub(crate) const IDLE_TTL: Duration = DAY.saturating_mul(14);
/// How long a session lasts at most.
pub(crate) const ABSOLUTE_TTL: Duration = DAY.saturating_mul(90);
