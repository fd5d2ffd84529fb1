//! The application in warp.

use std::{net::SocketAddr, thread};

use gatepass_warp::{Auth, gate, gated};
use tokio::{net::TcpListener, runtime::Builder};
use warp::{Filter, Rejection, Reply, http::StatusCode};

use super::{
    Route,
    answers::{HELLO, cpu, is_good},
};

pub(super) fn serve(which: Route) -> anyhow::Result<SocketAddr> {
    let route = warp::path::end().and(warp::get());
    match which {
        Route::Bare => run(route.then(async || HELLO)),
        Route::Verifying(verifier) => {
            let token = warp::header::value("authorization");
            run(route.and(token).then(move |value| {
                let verifier = verifier.clone();
                async move {
                    match is_good(Some(&value), &verifier).await {
                        true => warp::reply::with_status(HELLO, StatusCode::OK),
                        false => warp::reply::with_status("", StatusCode::UNAUTHORIZED),
                    }
                }
            }))
        }
        Route::Guarded(verifier) => run(gated(route, gate(verifier), async |Auth(_): Auth| HELLO)),
    }
}

fn run<F>(route: F) -> anyhow::Result<SocketAddr>
where
    F: Filter<Extract: Reply, Error = Rejection> + Clone + Send + Sync + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let usage = warp::path!("cpu").then(async || cpu());
    let server = warp::serve(route.or(usage)).incoming(listener);
    thread::spawn(move || runtime.block_on(server.run()));
    Ok(address)
}
