use std::net::SocketAddr;

use axum::{Router, routing::get};
use gatepass::wire::Endpoints;
use gatepass_axum::{Auth, GateLayer, routes};
use tokio::net::TcpListener;

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

async fn serve(
    listener: TcpListener,
    authority: gatepass::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(GateLayer::new(authority.verifier().clone())) // guards the routes above it
        .merge(routes(Endpoints::builder(authority).build()?)); // POST /auth/login, /auth/refresh, …
    let app = app.into_make_service_with_connect_info::<SocketAddr>(); // for the list of sessions
    Ok(axum::serve(listener, app).await?)
}
