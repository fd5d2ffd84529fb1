//! The authority, which issues, refreshes and ends sessions, and its builder. Each of its acts has
//! a file of its own.

pub(crate) mod administering;
pub(crate) mod adopt;
pub(crate) mod adopting;
pub(crate) mod authenticator;
#[expect(
    clippy::module_inception,
    reason = "the type of that name has a file of that name"
)]
pub(crate) mod authority;
pub(crate) mod backchannel;
pub(crate) mod builder;
pub(crate) mod calls;
pub(crate) mod changing;
pub(crate) mod ending;
pub(crate) mod enforcing;
pub(crate) mod events;
pub(crate) mod foreign;
pub(crate) mod introduction;
pub(crate) mod issued;
pub(crate) mod issuing;
pub(crate) mod names;
pub(crate) mod oauth;
pub(crate) mod old_sessions;
pub(crate) mod old_tokens_seen;
pub(crate) mod pace;
pub(crate) mod purge;
pub(crate) mod refreshing;
pub(crate) mod renewals;
pub(crate) mod resuming;
pub(crate) mod signatures;
pub(crate) mod sliding;
pub(crate) mod throttling;
