#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`gate`] makes a [`Gate`], which judges requests. [`Gate::require`] adds requirements.
//! * [`gated`] makes a route of a filter that matches, a gate and a handler. It answers refusals
//!   itself. [`gate_before`] puts a gate before a filter that may reject, such as one that reads
//!   the body.
//! * [`Auth`] gives a handler the user of the request. Behind a gate that is
//!   [`optional`](gatepass::Requirements::optional), use `Option<Auth>`. [`Scoped`] requires
//!   scopes, and [`Claims`] reads custom claims.
//! * [`Connection`] is for responses that stay open: WebSockets (feature `ws`) and server-sent
//!   events. They end with their session.
//! * [`routes`] has login, refresh, logout and the list of sessions. [`issue`] answers a login that
//!   your application has done itself, and [`reauthenticated`] answers a step-up.
//! * [`full_path`] is the path of a request. Use it in place of [`warp::path::full`], which panics
//!   on some requests.
//!
//! # Nothing falls through
//!
//! In warp, a filter that rejects says that the request is for another filter. For example,
//! `guarded.or(open)` would ask the open route next. A rejection that no filter recovers becomes a
//! 500 with the rejection's own text. So a gate refuses with a value, [`AuthRejection`]. It is a
//! reply, and you can't turn it into a rejection:
//!
//! ```compile_fail,E0277
//! fn reject(rejection: gatepass_warp::AuthRejection) -> warp::Rejection {
//!     warp::reject::custom(rejection)
//! }
//! ```
//!
//! Filters for a route's path and method come before the gate, so that unknown paths are still 404.
//! Filters that read the body come after the gate, so that a stranger's bad body is 401, not 400.
//!
//! # In a test
//!
//! ```
//! use gatepass_warp::{
//!     Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints,
//!     Identity, MasterSecret, MemoryStore, Session, UserUpdate, async_trait, gate, gated, routes,
//! };
//! use warp::{Filter, Rejection, Reply};
//!
//! struct Users;
//!
//! #[async_trait]
//! impl Authenticator for Users {
//!     async fn authenticate(&self, login: &Credentials, _: &Device) -> Result<Identity, AuthenticationError> {
//!         match (login.username(), login.password()) {
//!             ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
//!             _ => Err(AuthenticationError::BadCredentials),
//!         }
//!     }
//!
//!     async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
//!         Ok(UserUpdate::Unchanged)
//!     }
//! }
//!
//! async fn me(Auth(pass): Auth) -> String {
//!     format!("you are {}", pass.subject())
//! }
//!
//! fn app(
//!     authority: Authority,
//! ) -> Result<impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone, Box<dyn std::error::Error>> {
//!     let gate = gate(&authority);
//!     Ok(gated(warp::path!("me").and(warp::get()), gate, me)
//!         .or(routes(Endpoints::new(authority)))) // POST /auth/login, /auth/refresh, …
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority =
//!     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
//!         .authenticator(Users)
//!         .build()
//!         .await?;
//! let app = app(authority)?;
//!
//! let login = warp::test::request()
//!     .method("POST")
//!     .path("/auth/login")
//!     .header("content-type", "application/json")
//!     .body(r#"{"username":"alice","password":"wonderland"}"#);
//! assert_eq!(login.reply(&app).await.status(), 200);
//! assert_eq!(warp::test::request().path("/me").reply(&app).await.status(), 401);
//! assert_eq!(warp::test::request().path("/nowhere").reply(&app).await.status(), 404);
//! # Ok(()) }
//! ```
//!
//! # Routes among tower layers
//!
//! If your server isn't `warp::serve`, put the extension [`PeerAddr`] into each request, so that
//! gatepass knows where it came from.
//!
//! If your routes run as a [`warp::service`] among tower's layers, you can put a [`GateLayer`]
//! around all of them. Each route then uses [`gate_from_layer`] in place of a gate. The layer also
//! guards unknown paths: a stranger gets 401 for every path.
//!
//! ```
//! use gatepass_warp::{Auth, GateLayer, gate_from_layer, gated};
//! use tower::Layer;
//! use warp::Filter;
//!
//! async fn me(Auth(pass): Auth) -> String {
//!     pass.subject().to_string()
//! }
//!
//! # fn example(verifier: gatepass::Verifier) {
//! let routes = gated(warp::path!("me").and(warp::get()), gate_from_layer(), me);
//! let service = GateLayer::new(verifier).layer(warp::service(routes));
//! # let _ = service;
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod authorized;
mod connection;
mod convert;
mod extract;
mod full_path;
mod gate;
mod gated;
mod rejection;
mod routes;
#[cfg(feature = "ws")]
mod websocket;

/// The core, for everything that this crate doesn't re-export.
pub use gatepass;
pub use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, LocalPath,
    MasterSecret, MemoryStore, Pass, Refusal, RequiredScopes, Requirements, Scopes, Session,
    StoreError, Transport, UserUpdate, async_trait,
    wire::{AuthState, Endpoints, Users},
};
pub use gatepass_tower::{ErrorResponse, GateLayer, JsonErrors, PeerAddr};

pub use self::{
    authorized::Authorized,
    connection::Connection,
    convert::{OwnedRequestHead, request_head},
    extract::{
        Auth, Claims, ClientDevice, FromAuthRequest, PresentedToken, SameSite, Scoped, User,
    },
    full_path::full_path,
    gate::{AndThen, Gate, IntoGateFilter, gate, gate_before, gate_from_layer},
    gated::{Handler, gated},
    rejection::AuthRejection,
    routes::{
        Delivered, issue, login, reauthenticated, refresh, rejection, resource_metadata, routes,
    },
};
