//! The error for a state that can't occur while the machine is sound.

/// An impossible state. Report it as a bug if the machine is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: {what}")]
#[non_exhaustive]
pub struct InternalError {
    what: &'static str,
}

impl InternalError {
    /// An error that describes the state as `what`. The text is fixed, so it can't hold a secret.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}
