//! Revocable login sessions for [warp]: gate filters, and the routes of gatepass.
//!
//! * [`gate`] makes a [`Gate`], which judges requests. [`Gate::require`] asks more of them.
//! * [`gated`] makes a route of what it matches, a gate and a handler, and answers refusals itself;
//!   [`gate_before`] puts a gate before a filter that may reject, such as one that reads the body.
//! * [`Auth`] in a handler's signature is who is logged in; `Option<Auth>` behind a gate that is
//!   [`optional`](gatepass::Requirements::optional). [`Scoped`] requires scopes, [`Claims`] is the
//!   custom claims.
//! * [`Connection`] is for responses that stay open: WebSockets (feature `ws`) and server-sent
//!   events. They end with their session.
//! * [`routes`] are login, refresh, logout and the list of sessions; [`issue`] answers a login
//!   that the application has done itself, and [`reauthenticated`] a step-up.
//! * [`full_path`] is the path of a request, in place of [`warp::path::full`], by which a client
//!   can make a filter panic.
//!
//! # Nothing falls through
//!
//! In warp, a filter that rejects says that the request is for another filter: in
//! `guarded.or(open)` the open route would be asked next, and a rejection that no filter recovers
//! is a 500 that prints itself. So a refusal is no rejection here. It is a value,
//! [`AuthRejection`], and a reply; it cannot be made a rejection:
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
//! # Example
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
//! # As a tower service
//!
//! If the routes run as a [`warp::service`] among tower's layers, [`GateLayer`] can be around all
//! of them, and [`gate_from_layer`] takes the place of a gate. The layer also guards unknown paths:
//! a stranger gets 401 for every path. Such a server says by [`PeerAddr`] where a request came
//! from.
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
//!
//! # Clients that send half a request
//!
//! `warp::serve` waits without end for the rest of a request's head. A client that opens thousands
//! of connections, and sends half a head on each, exhausts the server's file descriptors. Serve
//! through hyper, with a timeout:
//!
//! ```no_run
//! use std::{convert::Infallible, time::Duration};
//!
//! use gatepass_warp::PeerAddr;
//! use hyper::{Request, body::Incoming, server::conn::http1};
//! use hyper_util::{rt::{TokioIo, TokioTimer}, service::TowerToHyperService};
//! use tokio::{net::TcpListener, time::sleep};
//! use tower::ServiceExt;
//! use warp::{Filter, Rejection, Reply};
//!
//! async fn serve<F>(listener: TcpListener, routes: F) -> Infallible
//! where
//!     F: Filter<Extract: Reply, Error = Rejection> + Clone + Send + Sync + 'static,
//! {
//!     let app = warp::service(routes);
//!     loop {
//!         let Ok((stream, address)) = listener.accept().await else {
//!             sleep(Duration::from_secs(1)).await; // too many connections: wait until some are closed
//!             continue;
//!         };
//!         let app = app.clone().map_request(move |mut request: Request<Incoming>| {
//!             request.extensions_mut().insert(PeerAddr(address)); // for the list of sessions
//!             request
//!         });
//!         let mut server = http1::Builder::new();
//!         server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
//!         let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
//!         tokio::spawn(connection.with_upgrades());
//!     }
//! }
//! ```
//!
//! The time counts from the last answer on, so an idle connection ends as well. Bodies have
//! time-outs of their own: [`Endpoints::BODY_TIMEOUT`](gatepass::wire::Endpoints::BODY_TIMEOUT) for
//! those of the endpoints.
//!
//! [warp]: https://docs.rs/warp

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

/// The core, for everything that is not re-exported here.
pub use gatepass;
pub use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, LocalPath,
    MasterSecret, MemoryStore, Pass, Refusal, RequiredScopes, Requirements, Scopes, Session,
    Transport, UserUpdate, async_trait,
    wire::{AuthState, Endpoints, Users},
};
pub use gatepass_tower::{ErrorResponse, GateLayer, JsonErrors};

pub use self::{
    authorized::Authorized,
    connection::Connection,
    convert::{OwnedRequestHead, PeerAddr, request_head},
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
