//! The HTTP behaviour of gatepass as plain data, the same in every framework.
//!
//! An adapter turns its framework's request into a [`RequestHead`], calls a [`Gate`] or
//! [`Endpoints`], and turns the [`Reply`] into its framework's response. It makes no decisions. To
//! write an adapter for another framework, you need this module. The scenarios of
//! `gatepass-testkit` test your adapter.

mod auth_state;
mod body;
mod client;
mod cookie;
mod credentials;
mod csrf;
mod ended;
mod endpoints;
mod gate;
mod login_page;
mod outgoing;
mod refreshed_cookies;
mod refusal;
mod resource_metadata;
mod sliding;
mod users;

pub use crate::http::{
    head::{HeaderField, RequestHead},
    problem::Problem,
    reply::Reply,
};

pub use self::{
    auth_state::{AuthRejection, AuthRequest, AuthState},
    body::RequestBody,
    client::Client,
    ended::LastEvent,
    endpoints::{Delivered, Delivery, Endpoint, Endpoints, EndpointsBuilder},
    gate::Gate,
    outgoing::{Outgoing, ResponseHeaders},
    refusal::{ErrorFormat, ProtectionSpace},
    resource_metadata::ResourceMetadata,
    users::Users,
};
