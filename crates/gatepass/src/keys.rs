//! The keys that sign and verify access tokens, and the master secret that others are derived from.

pub(crate) mod algorithm;
pub(crate) mod crypto;
pub(crate) mod der;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod jwk;
pub(crate) mod material;
pub(crate) mod secret;
pub(crate) mod secret_set;
pub(crate) mod set;
pub(crate) mod signing;
pub(crate) mod verifying;
