#![doc = include_str!("../README.md")]
//!
//! # How the gate works
//!
//! [`GateLayer`] puts a [`Gate`] before a service. For each request
//!
//! 1. the gate verifies the one access token and checks the requirements of the route;
//! 2. a request that passes goes on, with the [`AuthState`] in its extensions;
//! 3. the gate answers any other request, as RFC 6750 §3 says, and the request never reaches the
//!    service. If the gate's revocation data is too old, it answers 503.
//!
//! If tokens travel in cookies, the gate adds `Cache-Control: private` to a response that has no
//! `Cache-Control` of its own. It can also refresh the cookies (`auto_refresh`) and send browsers
//! to a login page (`login_page`). A response that sets refreshed cookies has `no-store`.
//!
//! # Deployment caveat
//!
//! A layer guards the service that you put it around, and nothing else. In axum, `Router::layer`
//! also wraps the fallback: a stranger then gets 401 for an unknown path. `route_layer` doesn't.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod convert;
mod error_response;
mod future;
mod layer;
mod service;

/// The core, for everything that this crate doesn't re-export.
pub use gatepass;
pub use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, LocalPath,
    MasterSecret, MemoryStore, Pass, RequiredScopes, Requirements, Scopes, Session, Transport,
    UserUpdate, async_trait,
    wire::{AuthState, Endpoints},
};

pub use self::{
    convert::{PeerAddr, ReadsHead, apply, deliver, head, response},
    error_response::{ErrorResponse, JsonErrors},
    future::ResponseFuture,
    layer::GateLayer,
    service::Gate,
};
