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
