//! The application in axum.

use std::{net::SocketAddr, thread};

use axum::{Router, routing::get};
use gatepass::Verifier;
use gatepass_axum::{Auth, GateLayer};
use tokio::{net::TcpListener, runtime::Builder};

use super::answers::{HELLO, cpu};

pub(super) fn serve(verifier: Option<Verifier>) -> anyhow::Result<SocketAddr> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let route = match verifier {
        Some(verifier) => get(async |Auth(_): Auth| HELLO).route_layer(GateLayer::new(verifier)),
        None => get(async || HELLO),
    };
    let app = Router::new()
        .route("/", route)
        .route("/cpu", get(async || cpu()));
    thread::spawn(move || runtime.block_on(async { axum::serve(listener, app).await }));
    Ok(address)
}
