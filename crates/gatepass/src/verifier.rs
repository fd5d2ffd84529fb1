//! Judging access tokens: the verifier, its builder, and the requirements of a route.

pub(crate) mod builder;
pub(crate) mod requirements;
#[expect(
    clippy::module_inception,
    reason = "the type of that name has a file of that name"
)]
pub(crate) mod verifier;
