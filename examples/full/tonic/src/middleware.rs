//! The layers that every service needs around its routes.

use axum::Router;
use example_app::{App, tower as middleware};
use gatepass_tonic::PeerAddrLayer;
use tower::ServiceBuilder;
use tower_http::{
    classify::{GrpcCode, GrpcErrorsAsFailures, SharedClassifier},
    trace::TraceLayer,
};

/// The layers around all routes, the outermost first.
pub fn around(app: &App, routes: Router) -> Router {
    routes.layer(
        ServiceBuilder::new()
            .layer(middleware::identify())
            .layer(middleware::hide_credentials())
            .layer(middleware::tell_id())
            // Pages of browsers call the endpoints, but never gRPC.
            .layer(middleware::cors(app)),
    )
}

/// The layers around the methods of gRPC. The result of a call is not in its HTTP status.
pub(crate) fn of_methods(routes: Router) -> Router {
    // The log doesn't count these faults of a client as failures.
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

/// The layers around the HTTP endpoints.
pub fn of_endpoints(routes: Router) -> Router {
    let log = TraceLayer::new_for_http()
        .make_span_with(middleware::span)
        .on_response(middleware::log_response());
    routes.layer(
        ServiceBuilder::new()
            .layer(log)
            .layer(middleware::cut_off())
            .layer(PeerAddrLayer),
    )
}
