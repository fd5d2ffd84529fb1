//! The address of a client, as tonic's server knows it.

use std::{
    mem,
    net::SocketAddr,
    task::{Context, Poll},
};

use gatepass_tower::PeerAddr;
use http::Request;
use tonic::metadata::MetadataMap;
use tower_layer::Layer;
use tower_service::Service;

/// Tells gatepass the address of each client, so that it can bound attempts to log in by address.
/// Put it around all services of tonic's own [`Server`](tonic::transport::Server).
///
/// Behind a proxy, this is the proxy's address: name the proxy by
/// [`trusted_proxies`](gatepass::AuthorityBuilder::trusted_proxies).
///
/// ```
/// use gatepass_tonic::PeerAddrLayer;
/// use tonic::{service::Routes, transport::Server};
///
/// # fn example(routes: Routes) {
/// let server = Server::builder().layer(PeerAddrLayer).add_routes(routes);
/// # let _ = server;
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a unit struct without state to grow"
)]
pub struct PeerAddrLayer;

impl<S> Layer<S> for PeerAddrLayer {
    type Service = WithPeerAddr<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithPeerAddr(inner)
    }
}

/// A service whose requests have the extension [`PeerAddr`]. Made by [`PeerAddrLayer`].
#[derive(Clone, Debug)]
pub struct WithPeerAddr<S>(S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithPeerAddr<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        // Only tonic's own request knows where its server keeps the address of a TLS connection.
        let call = tonic::Request::from_parts(MetadataMap::new(), mem::take(extensions), ());
        let peer = peer_addr(&call);
        (_, *extensions, ()) = call.into_parts();
        if let Some(peer) = peer {
            extensions.insert(PeerAddr(peer));
        }
        self.0.call(request)
    }
}

/// The address that a call came from, if its server tells it.
pub(crate) fn peer_addr<M>(call: &tonic::Request<M>) -> Option<SocketAddr> {
    let told = call.extensions().get().map(|&PeerAddr(peer)| peer);
    told.or_else(|| call.remote_addr())
}
