//! The freshness of revocation data that a check requires.

use std::time::Duration;

/// The freshness of the revocation data that gatepass judges a token by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// At most as old as the configured `max_staleness`. This needs no store call while the lease
    /// holds.
    #[default]
    Bounded,
    /// At most this old, if that is stricter than `max_staleness`.
    Within(Duration),
    /// As new as the store: the node asks it each time, and refuses a session that the store
    /// doesn't know. This is an allow-list.
    Strict,
}

impl Staleness {
    /// The stricter of the two.
    pub(crate) fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Strict, _) | (_, Self::Strict) => Self::Strict,
            (Self::Within(one), Self::Within(other)) => Self::Within(one.min(other)),
            (Self::Bounded, stricter) | (stricter, Self::Bounded) => stricter,
        }
    }
}
