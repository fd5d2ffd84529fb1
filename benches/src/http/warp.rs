//! The application in warp.

use std::{net::SocketAddr, thread};

use gatepass::Verifier;
use gatepass_warp::{Auth, gate, gated};
use tokio::{net::TcpListener, runtime::Builder};
use warp::{Filter, Rejection, Reply};

use super::answers::{HELLO, cpu};

pub(super) fn serve(verifier: Option<Verifier>) -> anyhow::Result<SocketAddr> {
    let route = warp::path::end().and(warp::get());
    match verifier {
        Some(verifier) => run(gated(route, gate(verifier), async |Auth(_): Auth| HELLO)),
        None => run(route.then(async || HELLO)),
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
