//! The layers around the routes, for frameworks that are made of tower services. Each example shows
//! how they are put together.

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

/// How long a request may take: longer than gatepass waits for a body or for the users, so that it
/// can say what was wrong.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that Swagger UI sends along with its logins.
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

/// The span that the log has of a request: the path without its query, which may hold what belongs
/// in no log.
pub fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

/// Says of each response that it was given.
pub fn log_response() -> DefaultOnResponse {
    DefaultOnResponse::new().level(Level::INFO)
}

/// A layer that changes requests whose body is a `B`.
type Change<B> = MapRequestLayer<fn(Request<B>) -> Request<B>>;

/// Lets the pages of trusted origins call with cookies, or any page without. Put it outside of the
/// timeout, so that pages can read the timeout's answer as well.
///
/// tower-http's layer takes each `OPTIONS` for the preflight of a browser, and answers 200. Here it
/// answers preflights alone, as actix-cors does. The route answers any other `OPTIONS` like each
/// method that it doesn't have: 405, with `Allow`.
pub fn cors<B>(app: &App) -> Stack<Change<B>, Stack<CorsLayer, Change<B>>> {
    let hide = MapRequestLayer::new(hide_options as fn(Request<B>) -> Request<B>);
    let show = MapRequestLayer::new(show_options as fn(Request<B>) -> Request<B>);
    // The innermost first.
    Stack::new(show, Stack::new(cors_layer(app), hide))
}

/// Marks a request whose method is `OPTIONS`, and looks like `GET` to the layer in between.
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
        // Any page of any origin may call: without credentials being allowed there are no cookies
        // that it could misuse.
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
