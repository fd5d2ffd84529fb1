//! The application in axum.

use std::{net::SocketAddr, thread};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use gatepass_axum::{Auth, GateLayer};
use tokio::{net::TcpListener, runtime::Builder};

use super::{
    Route,
    answers::{HELLO, cpu, is_good},
};

pub(super) fn serve(route: Route) -> anyhow::Result<SocketAddr> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let route = match route {
        Route::Bare => get(async || HELLO),
        Route::Verifying(verifier) => get(async move |headers: HeaderMap| {
            match is_good(headers.get(AUTHORIZATION), &verifier).await {
                true => Ok(HELLO),
                false => Err(StatusCode::UNAUTHORIZED),
            }
        }),
        Route::Guarded(verifier) => {
            get(async |Auth(_): Auth| HELLO).route_layer(GateLayer::new(verifier))
        }
    };
    let app = Router::new()
        .route("/", route)
        .route("/cpu", get(async || cpu()));
    thread::spawn(move || runtime.block_on(async { axum::serve(listener, app).await }));
    Ok(address)
}
