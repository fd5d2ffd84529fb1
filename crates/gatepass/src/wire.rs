//! The HTTP behaviour as plain data, the same in every framework.
//!
//! An adapter turns its framework's request into a [`RequestHead`], asks, and turns the [`Reply`]
//! into its framework's response. It decides nothing. Whoever writes one for another framework
//! needs this module, and the scenarios of `gatepass-testkit` to see that it is right.

mod auth_state;
mod body;
mod client;
mod cookie;
mod credentials;
mod csrf;
mod endpoints;
mod gate;
mod head;
mod refusal;
mod reply;

pub use self::{
    auth_state::{AuthRejection, AuthState},
    body::RequestBody,
    client::Client,
    endpoints::{Delivery, Endpoints, EndpointsBuilder},
    head::{HeaderField, RequestHead},
    refusal::{ErrorFormat, refuse},
    reply::Reply,
};
