//! The keys that sign and verify access tokens, and the secrets that others are derived from.
//!
//! A service with one [`MasterSecret`](crate::MasterSecret) needs none of this: its access tokens
//! are signed with an HS256 key that is derived from the secret. Use a [`SigningKey`] in a
//! [`KeySet`](crate::KeySet) if other services verify your tokens, and a [`SecretSet`] to replace
//! the master secret without logging anyone out.

pub(crate) mod algorithm;
pub(crate) mod crypto;
pub(crate) mod der;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod jwk;
pub(crate) mod material;
pub(crate) mod secret;
pub(crate) mod secret_file;
pub(crate) mod secret_set;
pub(crate) mod set;
pub(crate) mod signing;
pub(crate) mod verifying;

pub use self::{
    algorithm::Algorithm, error::KeyError, file::KeyFileError, secret_file::SecretFileError,
    secret_set::SecretSet, set::SkippedKey, signing::SigningKey, verifying::VerifyingKey,
};
