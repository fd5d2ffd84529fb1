//! The gatepass gate as a [tower] layer, for any service over the [`http`] crate: axum, tonic,
//! hyper, `warp::service`.
//!
//! [`GateLayer`] puts a [`Gate`] before a service. For each request
//!
//! 1. the one access token of `Authorization: Bearer` is verified, and what the route requires
//!    of it;
//! 2. a request that passes goes on, with the [`AuthState`] in its extensions;
//! 3. the gate answers any other request, as RFC 6750 §3 says, and it never reaches the service.
//!    The gate also answers a request that it cannot judge because it does not know the revocations
//!    freshly enough: with a 503.
//!
//! If tokens travel in cookies, the gate adds `Cache-Control: private` to a response that has no
//! `Cache-Control` of its own. It can also refresh the cookies (`auto_refresh`) and send browsers
//! to a login page (`login_page`). A response that sets refreshed cookies has `no-store`.
//!
//! # Deployment caveat
//!
//! A layer guards what it is put around, and nothing else. In axum, `Router::layer` also wraps the
//! fallback, so that unknown paths are refused before they are not found; `route_layer` does not.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use gatepass_tower::{
//!     AuthState, Authority, Device, GateLayer, Identity, MasterSecret, MemoryStore, head,
//! };
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{BoxError, Layer, ServiceExt, service_fn};
//!
//! async fn hello(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
//!     let (parts, _) = request.into_parts();
//!     let judged = AuthState::find(parts.extensions.get(), "GateLayer", head(&parts))?;
//!     let name = judged.pass()?.subject().to_string();
//!     Ok(Response::new(Full::from(name)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let authority =
//!     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
//!         .build()
//!         .await?;
//! let service = GateLayer::new(&authority).layer(service_fn(hello));
//!
//! let refused = service.clone().oneshot(Request::new(Full::default())).await?;
//! assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
//!
//! let issued = authority.issue(Identity::new("alice")?, Device::default()).await?;
//! let bearer = format!("Bearer {}", issued.access_token.as_str());
//! let request = Request::builder().header("authorization", bearer).body(Full::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), StatusCode::OK);
//! # Ok(()) }
//! ```
//!
//! [tower]: https://docs.rs/tower

mod convert;
mod error_response;
mod future;
mod layer;
mod service;

/// The core, for everything that is not re-exported here.
pub use gatepass;
pub use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, LocalPath,
    MasterSecret, MemoryStore, Pass, RequiredScopes, Requirements, Scopes, Session, Transport,
    UserUpdate, async_trait,
    wire::{AuthState, Endpoints},
};

pub use self::{
    convert::{ReadsHead, apply, deliver, head, response},
    error_response::{ErrorResponse, JsonErrors},
    future::ResponseFuture,
    layer::GateLayer,
    service::Gate,
};
