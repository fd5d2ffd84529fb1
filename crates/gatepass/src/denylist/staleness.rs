//! How fresh the knowledge of revocations must be.

use std::time::Duration;

/// How fresh the knowledge of revocations must be that a token is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// The `max_staleness` that is configured. No store call while the lease holds.
    #[default]
    Bounded,
    /// At most this old, where that is stricter than `max_staleness`.
    Within(Duration),
    /// The store is asked each time, and a session that it does not know is refused: an allow-list.
    Strict,
}

/// What is known of a token's revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Live,
    Revoked,
    Unknown,
}
