//! Judging access tokens: the verifier, its builder and its description for clients, the
//! requirements of a route, and connections that stay open for as long as a token is good.

pub(crate) mod builder;
pub(crate) mod connection;
pub(crate) mod ended;
pub(crate) mod guarded;
mod opening;
pub(crate) mod protected_resource;
pub(crate) mod requirements;
#[expect(
    clippy::module_inception,
    reason = "the type of that name has a file of that name"
)]
pub(crate) mod verifier;
