#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`GateLayer`] guards routes. Put it on with `route_layer`: unknown paths then stay 404. You
//!   can put it on a `Router`, for all its routes, or on one `get(…)` or `post(…)`.
//! * [`Auth`] gives a handler the user of the request. Behind a gate that is
//!   [`optional`](gatepass::Requirements::optional), use `Option<Auth>`. [`Scoped`] requires
//!   scopes, and [`Claims`] reads custom claims.
//! * [`Connection`] is for responses that stay open: WebSockets (feature `ws`) and server-sent
//!   events. They end with their session.
//! * [`routes`] has login, refresh, logout and the list of sessions. [`issue`] answers a login that
//!   your application has done itself, and [`reauthenticated`] answers a step-up.
//!
//! # Gates among other layers
//!
//! * Put CORS around the gate: browsers send preflights without credentials, and pages can't read a
//!   refusal without CORS headers. Also put request ids, compression and logging around it. They
//!   treat a refusal like any other response.
//! * tower-http's `CorsLayer` treats each `OPTIONS` as a preflight, and answers 200. Without that
//!   layer, axum answers `OPTIONS` with 405 and `Allow`, like every method that a route doesn't
//!   have.
//! * You can nest gates, for example with `nest`. Each of them can refuse a request, the outer one
//!   first. Extractors see the verdict of the innermost gate. An optional gate doesn't open a route
//!   that another gate around it or inside it keeps closed.
//! * `layer` also guards fallbacks, `route_layer` does not.
//! * If tokens travel in cookies, the gate adds `Cache-Control: private` to a response that has no
//!   `Cache-Control` of its own. It can also refresh the cookies (`auto_refresh`) and send browsers
//!   to a login page (`login_page`). A response that sets refreshed cookies has `no-store`.
//! * If a time-out layer is around the gate, the shorter time-out answers. gatepass waits for its
//!   store as long as [`store_timeout`](gatepass::AuthorityBuilder::store_timeout), and then
//!   answers 503.
//!
//! # In a test
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use gatepass_axum::{
//!     Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints,
//!     GateLayer, Identity, MasterSecret, MemoryStore, Session, UserUpdate, async_trait, routes,
//! };
//! use tower::ServiceExt;
//!
//! struct Users;
//!
//! #[async_trait]
//! impl Authenticator for Users {
//!     async fn authenticate(&self, credentials: &Credentials, _: &Device) -> Result<Identity, AuthenticationError> {
//!         match (credentials.username(), credentials.password()) {
//!             ("alice", Some("wonderland")) => {
//!                 Ok(Identity::new("alice")?)
//!             }
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
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority =
//!     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
//!         .authenticator(Users)
//!         .build()
//!         .await?;
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .route_layer(GateLayer::new(&authority))
//!     .merge(routes(Endpoints::new(authority)));
//!
//! let login = Request::post("/auth/login")
//!     .header("content-type", "application/json")
//!     .body(Body::from(r#"{"username":"alice","password":"wonderland"}"#))?;
//! assert_eq!(app.clone().oneshot(login).await?.status(), 200);
//!
//! let anonymous = Request::get("/me").body(Body::empty())?;
//! assert_eq!(app.oneshot(anonymous).await?.status(), 401);
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod extract;
mod gate;
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
pub use gatepass_tower::{ErrorResponse, Gate, JsonErrors};

pub use self::{
    connection::Connection,
    extract::{Auth, Claims, ClientDevice, PresentedToken, SameSite, Scoped, User, auth_request},
    gate::GateLayer,
    rejection::AuthRejection,
    routes::{
        Delivered, issue, login, reauthenticated, refresh, rejection, resource_metadata, routes,
    },
};
