//! Serving a service that is not a filter alone, which `warp::serve` does not.

use std::{convert::Infallible, io, pin::pin, time::Duration};

use gatepass_warp::Peer;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};
use tracing::{debug, error};

/// How long to wait where the machine has no connection to give: it may have some when others are closed.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, and then finishes the requests that are under way.
///
/// # Errors
///
/// None: what a connection ends with is logged. It is as the other servers are.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
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
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // With the address of the connection, which the list of sessions shows.
        let service = service
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(address));
                request
            });
        let watcher = connections.watcher();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            if let Err(ended) = watcher.watch(connection).await {
                debug!(%ended, "a connection broke");
            }
        });
    }
    // No more of them are accepted.
    drop(listener);
    connections.shutdown().await;
    Ok(())
}
