#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`gate`] makes the layer that guards a service. [`GateLayer`] has its requirements.
//! * [`RequestAuth`] gives a method the user of a call, its scopes and custom claims.
//! * [`PeerAddrLayer`] tells gatepass the addresses of clients.
//! * [`status`] is the gRPC status of an error of the [`Authority`], for methods that call it.
//!
//! Clients send `authorization: Bearer …` as metadata. Login, refresh and logout are HTTP
//! endpoints: tonic's `Routes` is an axum router, so `gatepass_axum::routes` can serve them on the
//! same port.
//!
//! # Refusals
//!
//! A refused call never reaches its service. Its status corresponds to the reply over HTTP:
//!
//! | over HTTP | gRPC |
//! |---|---|
//! | 400, credentials ambiguous or not well-formed | `INVALID_ARGUMENT` |
//! | 401 | `UNAUTHENTICATED` |
//! | 403 | `PERMISSION_DENIED` |
//! | 429 | `RESOURCE_EXHAUSTED` |
//! | 500 | `INTERNAL` |
//! | 503 | `UNAVAILABLE` |
//! | `reason` | metadata [`gatepass-reason`](REASON) |
//! | `WWW-Authenticate`, `Retry-After`, `Cache-Control` | metadata of the same names |
//! | `error_description` | the status's message |
//!
//! The reason is a metadata entry, not a `google.rpc.ErrorInfo`. So a client needs no more protobuf
//! to read one word.
//!
//! # Streams
//!
//! A gate judges a call when it begins. A long stream ends with its session if the method passes it
//! through [`Connection::stream`]. For example, the client of a stream of news gets
//! `UNAUTHENTICATED` with the reason `revoked` after a logout. Any other stream lasts until one
//! side closes it.
//!
//! # Interceptors
//!
//! The gate isn't an `Interceptor`, because an interceptor is synchronous and the gate may have to
//! wait. For example, it waits for the store if a method requires `Staleness::Strict`. An
//! interceptor behind the gate finds the [`AuthState`] in the extensions.
//!
//! # In a test
//!
//! ```
//! # // What tonic-prost-build would make of a .proto, in short.
//! # mod greeter {
//! #     use std::{convert::Infallible, future::Ready, pin::Pin, sync::Arc, task::{Context, Poll}};
//! #     use tonic::{Request, Response, Status, body::Body, codegen::http};
//! #     use tonic_prost::ProstCodec;
//! #     #[tonic::async_trait]
//! #     pub trait Greeter: Send + Sync + 'static {
//! #         async fn hello(&self, request: Request<()>) -> Result<Response<String>, Status>;
//! #     }
//! #     pub struct GreeterServer<T>(Arc<T>);
//! #     impl<T> GreeterServer<T> {
//! #         pub fn new(greeter: T) -> Self { Self(Arc::new(greeter)) }
//! #     }
//! #     impl<T> Clone for GreeterServer<T> {
//! #         fn clone(&self) -> Self { Self(Arc::clone(&self.0)) }
//! #     }
//! #     impl<T> tonic::server::NamedService for GreeterServer<T> {
//! #         const NAME: &'static str = "Greeter";
//! #     }
//! #     struct Hello<T>(Arc<T>);
//! #     impl<T: Greeter> tonic::server::UnaryService<()> for Hello<T> {
//! #         type Response = String;
//! #         type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;
//! #         fn call(&mut self, request: Request<()>) -> Self::Future {
//! #             let greeter = Arc::clone(&self.0);
//! #             Box::pin(async move { greeter.hello(request).await })
//! #         }
//! #     }
//! #     impl<T: Greeter> tower::Service<http::Request<Body>> for GreeterServer<T> {
//! #         type Response = http::Response<Body>;
//! #         type Error = Infallible;
//! #         type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;
//! #         fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
//! #         fn call(&mut self, request: http::Request<Body>) -> Self::Future {
//! #             let hello = Hello(Arc::clone(&self.0));
//! #             let codec = ProstCodec::<String, ()>::default();
//! #             Box::pin(async move { Ok(tonic::server::Grpc::new(codec).unary(hello, request).await) })
//! #         }
//! #     }
//! #     pub async fn hello(routes: tonic::service::Routes, bearer: Option<String>) -> Result<String, Status> {
//! #         let mut request = Request::new(());
//! #         if let Some(bearer) = bearer {
//! #             request.metadata_mut().insert("authorization", bearer.parse().unwrap());
//! #         }
//! #         let path = http::uri::PathAndQuery::from_static("/Greeter/Hello");
//! #         let codec = ProstCodec::<(), String>::default();
//! #         Ok(tonic::client::Grpc::new(routes).unary(request, path, codec).await?.into_inner())
//! #     }
//! # }
//! use gatepass_tonic::{
//!     Authority, Device, Endpoints, Identity, MasterSecret, MemoryStore, PeerAddrLayer,
//!     RequestAuth, gate,
//! };
//! use greeter::{Greeter, GreeterServer};
//! use tonic::{Code, Request, Response, Status, service::{LayerExt, Routes}, transport::Server};
//!
//! struct Shop;
//!
//! #[tonic::async_trait]
//! impl Greeter for Shop {
//!     async fn hello(&self, request: Request<()>) -> Result<Response<String>, Status> {
//!         let pass = request.pass()?;
//!         Ok(Response::new(format!("hello, {}", pass.subject())))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority =
//!     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
//!         .build()
//!         .await?;
//! let guarded = gate(&authority).named_layer(GreeterServer::new(Shop));
//! let endpoints = Endpoints::new(authority.clone());
//! let routes = Routes::from(gatepass_axum::routes(endpoints)).add_service(guarded);
//! // HTTP/1.1 for those who log in; gRPC itself is HTTP/2.
//! let server =
//!     Server::builder().accept_http1(true).layer(PeerAddrLayer).add_routes(routes.clone());
//! # let _ = server;
//!
//! let refused = greeter::hello(routes.clone(), None).await.unwrap_err();
//! assert_eq!(refused.code(), Code::Unauthenticated);
//! assert_eq!(refused.metadata().get(gatepass_tonic::REASON).unwrap(), "missing");
//!
//! let issued = authority.issue(Identity::new("alice")?, Device::default()).await?;
//! let bearer = format!("Bearer {}", issued.access_token.as_str());
//! assert_eq!(greeter::hello(routes, Some(bearer)).await?, "hello, alice");
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod extract;
mod gate;
mod peer_addr;
mod rejection;

/// The core, for everything that this crate doesn't re-export.
pub use gatepass;
pub use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, MasterSecret,
    MemoryStore, Pass, RequiredScopes, Requirements, Scopes, Session, UserUpdate, async_trait,
    wire::{AuthState, Endpoints},
};
pub use gatepass_tower::{ErrorResponse, Gate, PeerAddr};

pub use self::{
    connection::Connection,
    extract::RequestAuth,
    gate::{GateLayer, gate},
    peer_addr::{PeerAddrLayer, WithPeerAddr},
    rejection::{GrpcErrors, REASON, status},
};
