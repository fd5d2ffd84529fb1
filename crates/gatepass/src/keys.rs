//! The keys that sign and verify access tokens, and the secrets from which gatepass derives keys.
//!
//! A service with one [`MasterSecret`](crate::MasterSecret) doesn't need this module: gatepass
//! signs its access tokens with an HS256 key that it derives from the secret. Use a [`SigningKey`]
//! in a [`KeySet`](crate::KeySet) if other services verify your tokens, and a [`SecretSet`] to
//! replace the master secret without logging anyone out.

pub(crate) mod algorithm;
pub(crate) mod crypto;
pub(crate) mod der;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod jwk;
pub(crate) mod material;
mod roca;
pub(crate) mod secret;
pub(crate) mod secret_file;
pub(crate) mod secret_set;
pub(crate) mod set;
pub(crate) mod signing;
#[cfg(test)]
mod vectors;
pub(crate) mod verifying;

pub use self::{
    algorithm::Algorithm, error::KeyError, file::KeyFileError, secret_file::SecretFileError,
    secret_set::SecretSet, set::SkippedKey, signing::SigningKey, verifying::VerifyingKey,
};
