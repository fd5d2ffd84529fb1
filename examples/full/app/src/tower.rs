//! The layers around the routes, for frameworks with tower services. Each example shows how to
//! combine them.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, COOKIE},
};
use tower::{layer::util::Stack, util::MapRequestLayer};
use tower_http::{
    cors::{AllowOrigin, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::DefaultOnResponse,
};
use tracing::{Level, Span, info_span};

use crate::app::App;

/// How long a request may take. Longer than gatepass waits for a body or for the users, so that
/// gatepass can answer with the reason.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that Swagger UI adds to its logins.
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Gives an id to each request without one.
pub fn identify() -> SetRequestIdLayer<MakeRequestUuid> {
    SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid)
}

/// Tells the client the id of its request in the log.
pub fn tell_id() -> PropagateRequestIdLayer {
    PropagateRequestIdLayer::new(REQUEST_ID)
}

/// Marks the headers that must not be in a log. Put it outside of each layer that could log
/// headers.
pub fn hide_credentials() -> SetSensitiveRequestHeadersLayer {
    SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, COOKIE])
}

/// The log's span of a request. It has the path without its query, which may hold secrets.
pub fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

/// Logs each response.
pub fn log_response() -> DefaultOnResponse {
    DefaultOnResponse::new().level(Level::INFO)
}

/// A layer that changes requests whose body is a `B`.
type Change<B> = MapRequestLayer<fn(Request<B>) -> Request<B>>;

/// Allows pages of trusted origins to call with cookies. If there are none, allows any page to call
/// without cookies. Put it outside of the timeout, so that pages can also read the timeout's
/// answer.
///
/// tower-http's layer treats each `OPTIONS` as the preflight of a browser, and answers 200. Here it
/// answers only preflights, as actix-cors does. The route answers any other `OPTIONS` like each
/// method that it doesn't have: 405, with `Allow`.
pub fn cors<B>(app: &App) -> Stack<Change<B>, Stack<CorsLayer, Change<B>>> {
    let hide = MapRequestLayer::new(hide_options as fn(Request<B>) -> Request<B>);
    let show = MapRequestLayer::new(show_options as fn(Request<B>) -> Request<B>);
    // The innermost layer first.
    Stack::new(show, Stack::new(cors_layer(app), hide))
}

/// Marks a request whose method is `OPTIONS`. The layer in between sees `GET`.
#[derive(Clone, Copy)]
struct PlainOptions;

fn hide_options<B>(mut request: Request<B>) -> Request<B> {
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
    let is_preflight = asked.is_some_and(|asked| Method::from_bytes(asked.as_bytes()).is_ok());
    if request.method() == Method::OPTIONS && !is_preflight {
        *request.method_mut() = Method::GET;
        request.extensions_mut().insert(PlainOptions);
    }
    request
}

fn show_options<B>(mut request: Request<B>) -> Request<B> {
    if request.extensions_mut().remove::<PlainOptions>().is_some() {
        *request.method_mut() = Method::OPTIONS;
    }
    request
}

fn cors_layer(app: &App) -> CorsLayer {
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, X_REQUESTED_WITH]);
    if app.trusted_origins.is_empty() {
        // Pages of any origin may call. CORS allows no credentials here, so there are no cookies to
        // misuse.
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
