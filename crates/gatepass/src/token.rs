//! Reads and writes tokens, strictly.

pub(crate) mod access;
pub(crate) mod base64url;
pub(crate) mod cache;
pub(crate) mod claims;
pub(crate) mod foreign;
pub(crate) mod inspect;
pub(crate) mod layout;
pub(crate) mod logout;
pub(crate) mod parts;
pub(crate) mod pass;
pub(crate) mod refresh;
