//! The layers around the routes, for frameworks that are made of tower services. How they are put together, each
//! example shows.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
};
use tower_http::{
    cors::{AllowOrigin, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::DefaultOnResponse,
};
use tracing::{Level, Span, info_span};

use crate::App;

/// How long a request may take: longer than gatepass waits for a body or for the users, so that it can
/// say what was wrong.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What Swagger UI sends along with its logins.
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Gives an id to each request that brings none.
pub fn identify() -> SetRequestIdLayer<MakeRequestUuid> {
    SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid)
}

/// Tells the client under which id its request is in the log.
pub fn tell_id() -> PropagateRequestIdLayer {
    PropagateRequestIdLayer::new(REQUEST_ID)
}

/// Marks what must not be in a log: to be put before all that could log headers.
pub fn hide_credentials() -> SetSensitiveRequestHeadersLayer {
    SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, COOKIE])
}

/// What the log says of a request: the path without its query, which may hold what belongs in no log.
pub fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

/// Says of each response that it was given.
pub fn log_response() -> DefaultOnResponse {
    DefaultOnResponse::new().level(Level::INFO)
}

/// Lets the pages of trusted origins call with cookies, or any page without. To be put outside of the
/// timeout, so that pages can read its answer, too.
pub fn cors(app: &App) -> CorsLayer {
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, X_REQUESTED_WITH]);
    if app.trusted_origins.is_empty() {
        // Any page of any origin may call: without credentials being allowed there are no cookies that
        // it could misuse.
        return cors.allow_origin(Any);
    }
    let trusted = app.trusted_origins.iter();
    let trusted = trusted.filter_map(|origin| HeaderValue::from_str(origin).ok());
    cors.allow_origin(AllowOrigin::list(trusted))
        .allow_credentials(true)
}

/// Answers 503 to a request that takes too long.
pub fn cut_off() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT)
}
