//! The failure of a store.

use std::{error::Error as StdError, fmt, sync::Arc};

type Source = Arc<dyn StdError + Send + Sync>;

/// The failure of a store. It never says anything about the client.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Source>,
}

/// How a store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, or answered with an error.
    Unavailable,
    /// The store did not answer in time.
    TimedOut,
    /// The store has more to do than it can queue.
    Busy,
    /// The store holds data that gatepass did not write.
    Corrupt,
}

impl StoreError {
    /// An error of `kind` without a source.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The error of a store that failed with `source`. The text of `source` must hold no secret.
    pub fn unavailable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(Arc::new(source)),
        }
    }

    /// The error of a store with unreadable data, which failed with `source`. The text of `source`
    /// must hold no secret.
    pub fn corrupt(source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind: StoreErrorKind::Corrupt,
            source: Some(Arc::new(source)),
        }
    }

    /// How the store failed.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::TimedOut => "the store did not answer in time",
            StoreErrorKind::Busy => "the store is overloaded",
            StoreErrorKind::Corrupt => "the store holds unreadable data",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
