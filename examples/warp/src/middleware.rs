//! What any service wants around its routes.
//!
//! It is tower-http's, around the routes as a [`warp::service`]: warp has nothing that cuts a request off
//! or names it, and its `cors` refuses the pages of the service's own origin as soon as others are listed.

use std::{convert::Infallible, time::Duration};

use example_app::App;
use hyper::{
    Request, Response,
    body::{Body, Bytes},
};
use tower::{Service, ServiceBuilder};
use tower_http::{
    cors::{AllowOrigin, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, info_span};
use warp::{
    Filter, Rejection, Reply,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
    },
};

/// How long a request may take: longer than gatepass waits for a body or for the users, so that it can
/// say what was wrong.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole application, whose routes are `routes`.
pub fn service<B, F>(
    app: &App,
    routes: F,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error = warp::Error> + Send + use<B, F>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<B, F>
where
    B: Body<Error: std::error::Error + Send + Sync> + Send + Sync + 'static,
    F: Filter<Extract: Reply, Error = Rejection> + Clone + Send,
{
    // The path without its query, which may hold what belongs in no log.
    let span = |request: &Request<B>| -> Span {
        let id = request.headers().get(REQUEST_ID);
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        info_span!("request", method = %request.method(), path = request.uri().path(), id)
    };
    // The outermost first.
    ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        // Before all that could log headers.
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            COOKIE,
        ]))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_response(DefaultOnResponse::new().level(Level::INFO)),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        // Outside of the timeout, so that pages can read its answer, too.
        .layer(cors(app))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIMEOUT,
        ))
        .service(warp::service(routes))
}

fn cors(app: &App) -> CorsLayer {
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE]);
    if app.trusted_origins.is_empty() {
        // Any page of any origin may call: without credentials being allowed there are no cookies that
        // it could misuse.
        cors.allow_origin(Any)
    } else {
        let trusted = app.trusted_origins.iter();
        let trusted = trusted.filter_map(|origin| HeaderValue::from_str(origin).ok());
        cors.allow_origin(AllowOrigin::list(trusted))
            .allow_credentials(true)
    }
}
