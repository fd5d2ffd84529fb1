//! The guards, with a file for each framework.

pub(crate) mod actix;
pub(crate) mod axum;
pub(crate) mod axum_07;
pub(crate) mod sessions;

/// The work that gatepass does and a hand-written guard doesn't.
pub(crate) const NO_REVOCATION: &str = "no revocation: a logout ends nothing before `exp`";
