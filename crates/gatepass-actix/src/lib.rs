#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`Gate`] guards a route, a resource, a scope or the app. Put it on with `wrap`.
//! * [`Auth`] gives a handler the user of the request. Behind a gate that is
//!   [`optional`](gatepass::Requirements::optional), use [`MaybeAuth`]. [`Scoped`] requires scopes,
//!   and [`Claims`] reads custom claims.
//! * [`Connection`] is for responses that stay open: WebSockets (feature `ws`, with `actix-ws`) and
//!   server-sent events. They end with their session.
//! * [`configure`] mounts login, refresh, logout and the list of sessions. [`issue`] answers a
//!   login that your application has done itself, and [`reauthenticated`] answers a step-up.
//!
//! # In a test
//!
//! ```
//! use actix_web::{App, test, web};
//! use gatepass_actix::{
//!     Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, Gate,
//!     Identity, MasterSecret, MemoryStore, Session, UserUpdate, async_trait, configure,
//! };
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
//! # #[actix_web::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once, outside of the closure that `HttpServer` makes an app with for each of its workers.
//! let authority =
//!     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
//!         .authenticator(Users)
//!         .build()
//!         .await?;
//! let gate = Gate::new(&authority);
//! let endpoints = Endpoints::new(authority);
//! let app = App::new()
//!     .route("/me", web::get().to(me).wrap(gate))
//!     .configure(configure(endpoints));
//!
//! let app = test::init_service(app).await;
//! let login = test::TestRequest::post()
//!     .uri("/auth/login")
//!     .insert_header(("content-type", "application/json"))
//!     .set_payload(r#"{"username":"alice","password":"wonderland"}"#);
//! assert_eq!(test::call_service(&app, login.to_request()).await.status(), 200);
//!
//! let anonymous = test::TestRequest::get().uri("/me");
//! assert_eq!(test::call_service(&app, anonymous.to_request()).await.status(), 401);
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod convert;
mod extract;
mod future;
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

pub use self::{
    connection::Connection,
    extract::{
        Auth, Claims, ClientDevice, MaybeAuth, MaybeUser, PresentedToken, SameSite, Scoped, User,
        auth_request,
    },
    gate::{Gate, GateMiddleware},
    rejection::AuthRejection,
    routes::{
        Delivered, configure, issue, login, reauthenticated, refresh, rejection, resource_metadata,
    },
};
