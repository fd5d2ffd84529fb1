//! The domain of gatepass, as plain data with pure rules: no I/O, no clock, no key.

pub(crate) mod account;
pub(crate) mod authentication;
pub(crate) mod changes;
pub(crate) mod device;
pub(crate) mod grant;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod ids;
pub(crate) mod json;
pub(crate) mod lifetimes;
pub(crate) mod local_path;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod provider_login;
pub(crate) mod refusal;
pub(crate) mod revocation;
pub(crate) mod rotation;
pub(crate) mod scopes;
pub(crate) mod session;
pub(crate) mod session_cursor;
pub(crate) mod session_filter;
pub(crate) mod text;
pub(crate) mod throttling;
pub(crate) mod transport;
pub(crate) mod trusted_proxies;
