//! Time and randomness, which tests can replace.

pub(crate) mod clock;
pub(crate) mod internal_error;
pub(crate) mod random;
