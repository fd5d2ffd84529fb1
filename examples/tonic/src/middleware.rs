//! What any service wants around its routes.

use std::time::Duration;

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
    },
    middleware::map_request,
};
use example_app::App;
use tonic::transport::server::TcpConnectInfo;
use tower::ServiceBuilder;
use tower_http::{
    classify::{GrpcCode, GrpcErrorsAsFailures, SharedClassifier},
    cors::{AllowOrigin, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, info_span};

/// How long an endpoint may take: longer than gatepass waits for a body or for the users, so that it can say what was
/// wrong.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Around all, the outermost first.
pub(crate) fn around(app: &App, routes: Router) -> Router {
    // Pages of browsers call the endpoints, and never gRPC.
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE]);
    let cors = if app.trusted_origins.is_empty() {
        // Any page of any origin may call: without credentials being allowed there are no cookies that
        // it could misuse.
        cors.allow_origin(Any)
    } else {
        let trusted = app.trusted_origins.iter();
        let trusted = trusted.filter_map(|origin| HeaderValue::from_str(origin).ok());
        cors.allow_origin(AllowOrigin::list(trusted))
            .allow_credentials(true)
    };
    routes.layer(
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            // Before all that could log headers.
            .layer(SetSensitiveRequestHeadersLayer::new([
                AUTHORIZATION,
                COOKIE,
            ]))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(cors),
    )
}

/// Around the methods of gRPC, whose outcome is not in the HTTP status.
pub(crate) fn of_methods(routes: Router) -> Router {
    // What is the client's fault is no failure of ours.
    let failures = GrpcErrorsAsFailures::new()
        .with_success(GrpcCode::InvalidArgument)
        .with_success(GrpcCode::PermissionDenied)
        .with_success(GrpcCode::ResourceExhausted)
        .with_success(GrpcCode::Unauthenticated)
        .with_success(GrpcCode::Unimplemented);
    routes.layer(
        TraceLayer::new(SharedClassifier::new(failures))
            .make_span_with(span)
            .on_response(DefaultOnResponse::new().level(Level::INFO)),
    )
}

/// Around the HTTP endpoints.
pub(crate) fn of_endpoints(routes: Router) -> Router {
    routes.layer(
        ServiceBuilder::new()
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_response(DefaultOnResponse::new().level(Level::INFO)),
            )
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                TIMEOUT,
            ))
            .layer(map_request(with_peer)),
    )
}

/// Says where axum's own server says it from whose address a request came; the list of sessions shows it.
async fn with_peer(mut request: Request) -> Request {
    let peer = request.extensions().get::<TcpConnectInfo>();
    if let Some(peer) = peer.and_then(TcpConnectInfo::remote_addr) {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}

/// The path without its query, which may hold what belongs in no log.
fn span<B>(request: &axum::http::Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}
