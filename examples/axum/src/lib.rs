//! The example application in [axum]: what an application of your own would write.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
    },
    response::Html,
    routing::{get, post},
};
use example_app::App;
use gatepass::{RequiredScopes, Staleness};
use gatepass_axum::{Auth, GateLayer, Scoped};
use serde_json::Value;
use tower::ServiceBuilder;
use tower_http::{
    cors::{AllowOrigin, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, info_span};

/// How long ago a login may be for a transfer.
const RECENT: Duration = Duration::from_secs(300);
/// How long a request may take: longer than gatepass waits for a body or for the users, so that it can
/// say what was wrong.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What an administrator's token allows.
struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

/// The whole application.
pub fn router(app: &App) -> Router {
    // A gate for each route, which may demand more, or less. It comes after path and method: unknown ones
    // are 404 and 405 to strangers, too.
    let gate = GateLayer::new(app.authority.verifier().clone());
    let recently = gate.clone().max_age(RECENT);
    let strictly = gate.clone().staleness(Staleness::Strict);
    let optionally = gate.clone().optional();
    let page = app.page().to_owned();
    let routes = Router::new()
        .route("/", get(async || Html(page)))
        .route("/health", get(StatusCode::OK))
        .route("/me", get(me).route_layer(gate.clone()))
        .route("/profile", post(me).route_layer(gate.clone()))
        .route("/admin", get(admin).route_layer(gate))
        .route("/transfer", post(me).route_layer(recently))
        .route("/strict", get(me).route_layer(strictly))
        .route("/maybe", get(maybe).route_layer(optionally))
        .merge(gatepass_axum::routes(app.endpoints.clone()));
    with_middleware(app, routes)
}

async fn me(Auth(pass): Auth) -> Json<Value> {
    Json(example_app::me(&pass))
}

async fn admin(admin: Scoped<Admin>) -> Json<Value> {
    Json(example_app::me(admin.pass()))
}

async fn maybe(auth: Option<Auth>) -> Json<Value> {
    Json(example_app::maybe(auth.as_ref().map(|Auth(pass)| pass)))
}

/// What any service wants around its routes, the outermost first.
fn with_middleware(app: &App, routes: Router) -> Router {
    // The path without its query, which may hold what belongs in no log.
    let span = |request: &Request| -> Span {
        let id = request.headers().get(REQUEST_ID);
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        info_span!("request", method = %request.method(), path = request.uri().path(), id)
    };
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
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_response(DefaultOnResponse::new().level(Level::INFO)),
            )
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            // Outside of the timeout, so that pages can read its answer, too.
            .layer(cors)
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                TIMEOUT,
            )),
    )
}
