//! The example application in [tonic]: what an application of your own would write.
//!
//! The routes of the other examples are the methods of one gRPC service. Login, refresh and logout
//! are the same HTTP endpoints, on the same port, with their OpenAPI description.

mod middleware;
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_structs,
    reason = "generated"
)]
pub mod proto;
mod service;

use std::{io, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use example_app::App;
use gatepass::{Requirements, Staleness};
use gatepass_tonic::gate;
use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tower::Layer;

pub use self::middleware::{around, of_endpoints};
use self::{
    proto::account_server::{AccountServer, SERVICE_NAME},
    service::Service,
};

/// Maximum age of the login for a transfer.
const RECENT: Duration = Duration::from_secs(300);
/// How long a call may take until its answer begins, unless the client sets a shorter time. Longer
/// than for the HTTP endpoints, which have their own answer for a timeout.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may be silent before the server checks that the client is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The whole application.
pub fn router(app: &App) -> Router {
    around(app, routes(app))
}

/// All methods and endpoints.
pub fn routes(app: &App) -> Router {
    let gate = gate(&app.authority);
    let account = AccountServer::new(Service::new(app));
    let path = |method: &str| format!("/{SERVICE_NAME}/{method}");

    // One gate for all methods, including future ones. Methods with other requirements have gates
    // of their own. If all methods of a service have the same requirements, it needs no paths:
    // `Routes::new(gate.named_layer(account))`.
    let recently = gate.clone().require(Requirements::new().max_age(RECENT));
    let strictly = gate
        .clone()
        .require(Requirements::new().staleness(Staleness::Strict));
    let optionally = gate.clone().require(Requirements::new().optional());
    let methods = Router::new()
        .route_service(&path("Transfer"), recently.layer(account.clone()))
        .route_service(&path("Strict"), strictly.layer(account.clone()))
        .route_service(&path("Maybe"), optionally.layer(account.clone()))
        .route_service(&path("Health"), account.clone())
        .route_service(&path("{*method}"), gate.layer(account));
    let openapi = app.openapi().to_owned();
    let ready = app.clone();
    let json = [(CONTENT_TYPE, "application/json")];
    let endpoints = gatepass_axum::routes(app.endpoints.clone())
        .route("/openapi.json", get(async move || (json, openapi)))
        // For probes. Most of them speak only HTTP.
        .route("/ready", get(async move || readiness(&ready)));
    middleware::of_methods(methods).merge(of_endpoints(endpoints))
}

fn readiness(app: &App) -> StatusCode {
    match app.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Runs the application with the settings of the command line, and with the routes that `router`
/// makes.
///
/// # Errors
///
/// The error says what is wrong with the settings or with the server.
pub async fn run(router: impl FnOnce(&App) -> Router) -> anyhow::Result<()> {
    let (app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce_with(listener.local_addr()?, include_str!("transcript.sh"));
    let server = serve(router(&app), listener, example_app::shutdown());
    example_app::drained(async { server.await.map_err(io::Error::other) }).await
}

/// Serves the clients of `listener`, until `shutdown` resolves and all calls are answered.
///
/// # Errors
///
/// The error with which the server ended.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        // Clients that log in need not speak HTTP/2.
        .accept_http1(true)
        .timeout(TIMEOUT)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown,
        )
        .await
}
