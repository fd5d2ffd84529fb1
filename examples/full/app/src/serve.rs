//! Serves a tower service so that no client holds a connection for ever.
//!
//! `axum::serve` and `warp::serve` have no time limit for the rest of a request's head. If a client
//! sends half a head on thousands of connections, it takes all file descriptors of the process.

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

/// How long a client may take to send the head of a request, after it has connected or received its
/// last answer. So an idle connection also ends.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an HTTP/2 connection may be silent before the server checks that the client is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait after the system couldn't accept a connection. It may have resources again when
/// other connections close.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, and then finishes the requests in progress. `service_for` makes the
/// service for a connection from an address.
///
/// # Errors
///
/// Never fails: it logs the errors of connections. Other servers return the same type.
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
            // hyper waits without a limit until the client's first bytes show the HTTP version. So
            // this timeout is for the first head, and the timeout above is for all later heads.
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
    // The server accepts no more connections.
    drop(listener);
    connections.shutdown().await;
    Ok(())
}
