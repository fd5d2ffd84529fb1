//! The HTTP behaviour as plain data, the same in every framework.
//!
//! An adapter turns its framework's request into a [`RequestHead`], asks, and turns the [`Reply`]
//! into its framework's response. It decides nothing. To write one for another framework, you need
//! this module, and the scenarios of `gatepass-testkit` to see that it is right.

mod auth_state;
mod body;
mod client;
mod cookie;
mod credentials;
mod csrf;
mod ended;
mod endpoints;
mod gate;
mod head;
mod login_page;
mod outgoing;
mod refreshed_cookies;
mod refusal;
mod reply;

pub use self::{
    auth_state::{AuthRejection, AuthState},
    body::RequestBody,
    client::Client,
    ended::LastEvent,
    endpoints::{Delivery, Endpoints, EndpointsBuilder},
    gate::Gate,
    head::{HeaderField, RequestHead},
    outgoing::{Outgoing, ResponseHeaders},
    refusal::ErrorFormat,
    reply::Reply,
};
