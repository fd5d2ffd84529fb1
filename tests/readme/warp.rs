use std::time::Duration;

use gatepass_warp::{Auth, Endpoints, PeerAddr, gate, gated, routes};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::sleep};
use tower::ServiceExt;
use warp::Filter;

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

async fn serve(
    listener: TcpListener,
    authority: gatepass_warp::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let gate = gate(&authority);
    let me = gated(warp::path!("me").and(warp::get()), gate, me); // refuses, and never rejects
    let app = warp::service(me.or(routes(Endpoints::new(authority))));
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            sleep(Duration::from_secs(1)).await; // too many connections: wait until some are closed
            continue;
        };
        let app = app.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(address)); // for the bounds on logins, and the log
            request
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        tokio::spawn(connection.with_upgrades());
    }
}
