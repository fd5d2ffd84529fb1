//! The world outside: time and randomness, injected.

pub(crate) mod clock;
pub(crate) mod internal_error;
pub(crate) mod random;
