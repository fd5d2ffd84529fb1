//! Serves with the address of each connection, for the list of sessions.

use std::{convert::Infallible, io};

use gatepass_warp::PeerAddr;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};

/// Serves until `shutdown`, and then finishes the requests in progress.
///
/// # Errors
///
/// Never fails: other servers return the same type.
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
    let with_peer = |address| {
        service
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(address));
                request
            })
    };
    example_app::serve(listener, with_peer, shutdown).await
}
