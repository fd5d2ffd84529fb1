//! The layers that any service wants around its routes.

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware::map_request,
};
use example_app::{App, tower as middleware};
use tonic::transport::server::TcpConnectInfo;
use tower::ServiceBuilder;
use tower_http::{
    classify::{GrpcCode, GrpcErrorsAsFailures, SharedClassifier},
    trace::TraceLayer,
};

/// Around all, the outermost first.
pub fn around(app: &App, routes: Router) -> Router {
    routes.layer(
        ServiceBuilder::new()
            .layer(middleware::identify())
            .layer(middleware::hide_credentials())
            .layer(middleware::tell_id())
            // Pages of browsers call the endpoints, and never gRPC.
            .layer(middleware::cors(app)),
    )
}

/// Around the methods of gRPC, whose outcome is not in the HTTP status.
pub(crate) fn of_methods(routes: Router) -> Router {
    // A fault of the client is no failure of ours.
    let failures = GrpcErrorsAsFailures::new()
        .with_success(GrpcCode::InvalidArgument)
        .with_success(GrpcCode::PermissionDenied)
        .with_success(GrpcCode::ResourceExhausted)
        .with_success(GrpcCode::Unauthenticated)
        .with_success(GrpcCode::Unimplemented);
    routes.layer(
        TraceLayer::new(SharedClassifier::new(failures))
            .make_span_with(middleware::span)
            .on_response(middleware::log_response()),
    )
}

/// Around the HTTP endpoints.
pub fn of_endpoints(routes: Router) -> Router {
    let log = TraceLayer::new_for_http()
        .make_span_with(middleware::span)
        .on_response(middleware::log_response());
    routes.layer(
        ServiceBuilder::new()
            .layer(log)
            .layer(middleware::cut_off())
            .layer(map_request(with_peer)),
    )
}

/// Says where axum's own server says it from whose address a request came; the list of sessions
/// shows it.
async fn with_peer(mut request: Request) -> Request {
    let peer = request.extensions().get::<TcpConnectInfo>();
    if let Some(peer) = peer.and_then(TcpConnectInfo::remote_addr) {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}
