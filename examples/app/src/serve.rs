//! Serving a tower service so that no client holds a connection for ever.
//!
//! `axum::serve` and `warp::serve` wait without end for the rest of a request's head. A client that
//! sends half of one, on thousands of connections, then takes all file descriptors of the process.

use std::{
    convert::Infallible, error::Error, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};
use tracing::{debug, error};

/// How long a client may take until the head of a request is there, from when it has connected or
/// got its last answer. So an idle connection ends as well.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an HTTP/2 connection may be silent before the server asks whether the client is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait where the machine has no connection to give: it may have some when others are
/// closed.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, and then finishes the requests that are under way. `service_for` makes
/// the service for a connection from this address.
///
/// # Errors
///
/// None: what a connection ends with is logged. The result is that of the other servers.
pub async fn serve<S, B>(
    listener: TcpListener,
    service_for: impl Fn(SocketAddr) -> S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(failed) => {
                error!(%failed, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let begun = Arc::new(Notify::new());
        let first = Arc::clone(&begun);
        let service = service_for(address).map_request(move |request| {
            begun.notify_one();
            request
        });
        let watcher = connections.watcher();
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            let mut http1 = server.http1();
            http1
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            let mut http2 = server.http2();
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE);
            let service = TowerToHyperService::new(service);
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let mut connection = pin!(watcher.watch(connection));
            // Which version the client speaks is also for the client to say, and hyper waits for
            // it. So this time-out is for the first head alone, and the one above for all later
            // ones.
            let ended = tokio::select! {
                ended = &mut connection => ended,
                begun = timeout(HEAD_TIMEOUT, first.notified()) => match begun {
                    Ok(()) => connection.await,
                    Err(_) => return debug!("a client sent no request"),
                },
            };
            if let Err(ended) = ended {
                debug!(%ended, "a connection broke");
            }
        });
    }
    // No more of them are accepted.
    drop(listener);
    connections.shutdown().await;
    Ok(())
}
