use std::time::Duration;

use axum::{Extension, Router, extract::ConnectInfo, routing::get, serve::Listener};
use gatepass_axum::{Auth, Endpoints, GateLayer, routes};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::Layer;

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

async fn serve(
    mut listener: TcpListener,
    authority: gatepass_axum::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(GateLayer::new(&authority)) // guards the routes above it
        .merge(routes(Endpoints::new(authority))); // POST /auth/login, /auth/refresh, …
    loop {
        let (stream, address) = Listener::accept(&mut listener).await;
        let app = Extension(ConnectInfo(address)).layer(app.clone()); // for the bounds on logins, and the log
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        tokio::spawn(connection.with_upgrades());
    }
}
