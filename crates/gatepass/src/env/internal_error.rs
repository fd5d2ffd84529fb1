//! The failure that does not happen while the machine is sound.

/// An impossible state. Report it as a bug if the machine is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: {what}")]
#[non_exhaustive]
pub struct InternalError {
    what: &'static str,
}

impl InternalError {
    /// Something failed that does not fail; `what` is fixed text, so that it can hold no secret.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}
