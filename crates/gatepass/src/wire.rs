//! The HTTP behaviour as plain data, the same in every framework.
//!
//! An adapter turns its framework's request into a [`RequestHead`], asks, and turns the [`Reply`]
//! into its framework's response. It decides nothing. Whoever writes one for another framework needs
//! this module, and the scenarios of `gatepass-testkit` to see that it is right.

mod body;
mod client;
mod cookie;
mod credentials;
mod csrf;
mod endpoints;
mod guard;
mod head;
mod inquiry;
mod refusal;
mod reply;

pub use self::{
    body::RequestBody,
    client::Client,
    endpoints::{Delivery, Endpoints, EndpointsBuilder},
    guard::Admission,
    head::{Field, RequestHead},
    inquiry::{Inquiry, Rejection},
    refusal::{Surface, refuse},
    reply::Reply,
};
