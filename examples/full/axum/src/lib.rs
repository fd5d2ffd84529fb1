//! The example application in [axum]: what an application of your own would write.

mod streams;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, rejection::BytesRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, RETRY_AFTER},
    },
    response::{AppendHeaders, IntoResponse, Response},
    routing::{delete, get, post, put},
};
use example_app::{Answer, App, Asset, Brought, PASSWORD_BODY_LIMIT, tower as middleware};
use gatepass::{RequiredScopes, Requirements, Staleness};
use gatepass_axum::{Auth, ClientDevice, GateLayer, Scoped};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder};
use tower_http::trace::TraceLayer;

/// Maximum age of the login for a transfer, or for the deletion of the account.
const RECENT: Duration = Duration::from_secs(300);

/// The scopes of an administrator's token.
struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

/// The whole application.
pub fn router(app: &App) -> Router {
    around(app, routes(app))
}

/// All routes.
pub fn routes(app: &App) -> Router {
    // Each route has its own gate, which may have its own requirements. The gate comes after path
    // and method, so clients without a token also get 404 and 405 for unknown ones.
    let gate = GateLayer::new(&app.authority);
    let recently = gate.clone().require(Requirements::new().max_age(RECENT));
    let strictly = gate
        .clone()
        .require(Requirements::new().staleness(Staleness::Strict));
    let optionally = gate.clone().require(Requirements::new().optional());
    // A browser shows this page directly. The page runs no script that could refresh the cookies.
    let pages = gate
        .clone()
        .auto_refresh(&app.authority)
        .login_page(app.login_page());
    let openapi = app.openapi().to_owned();
    let ready = app.clone();
    let json = [(CONTENT_TYPE, "application/json")];
    let stays_open = streams::routes().route_layer(gate.clone());
    page(app, &gate)
        .merge(stays_open)
        .route("/openapi.json", get(async move || (json, openapi)))
        .route("/health", get(StatusCode::OK))
        .route("/ready", get(async move || readiness(&ready)))
        .route("/me", get(me).route_layer(gate.clone()))
        .merge(own_account(app, &gate, &recently))
        .route("/profile", post(me).route_layer(gate.clone()))
        .route("/admin", get(admin).route_layer(gate))
        .route("/transfer", post(me).route_layer(recently))
        .route("/strict", get(strict).route_layer(strictly))
        .route("/maybe", get(maybe).route_layer(optionally))
        .route("/account", get(account).route_layer(pages))
        .merge(gatepass_axum::routes(app.endpoints.clone()))
}

/// The routes of users who change their own account.
fn own_account(app: &App, gate: &GateLayer, recently: &GateLayer) -> Router {
    let (changing, deleting) = (app.clone(), app.clone());
    let change = async move |Auth(pass): Auth,
                             ClientDevice(device): ClientDevice,
                             body: Result<Bytes, BytesRejection>| {
        let body = body.ok();
        response(
            changing
                .change_password(&pass, &device, body.as_deref())
                .await,
        )
    };
    let change = put(change).layer(DefaultBodyLimit::max(PASSWORD_BODY_LIMIT.into()));
    let delete_user = async move |Auth(pass): Auth| response(deleting.delete_user(&pass).await);
    Router::new()
        .route("/me/password", change.route_layer(gate.clone()))
        .route("/me", delete(delete_user).route_layer(recently.clone()))
}

/// The page for browsers, and the routes of its demonstrations.
fn page(app: &App, gate: &GateLayer) -> Router {
    let config = app.config().to_owned();
    let json = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut page = Router::new().route("/demo/config", get(async move || (json, config)));
    for asset in app.assets() {
        let content_type = [(CONTENT_TYPE, asset.content_type)];
        let answer = (AppendHeaders(Asset::HEADERS), content_type, asset.body);
        page = page.route(asset.path, get(async move || answer));
    }
    for action in app.actions() {
        let app = app.clone();
        let act = async move |Auth(pass): Auth, headers: HeaderMap| {
            let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
            let brought = Brought::new(values(AUTHORIZATION), values(COOKIE));
            response(app.act(action, &pass, brought).await)
        };
        page = page.route(action.path(), post(act).route_layer(gate.clone()));
    }
    page
}

fn response(answer: Answer) -> Response {
    let Answer {
        status,
        retry_after,
        body,
        ..
    } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
    match body {
        Value::Null => (status, retry_after, ()).into_response(),
        body => (status, retry_after, Json(body)).into_response(),
    }
}

fn readiness(app: &App) -> StatusCode {
    match app.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn me(Auth(pass): Auth) -> Json<Value> {
    Json(example_app::me(&pass))
}

async fn admin(admin: Scoped<Admin>) -> Json<Value> {
    Json(example_app::me(admin.pass()))
}

/// Sets its own `Cache-Control`, so the gate adds none.
async fn strict(Auth(pass): Auth) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(example_app::me(&pass)))
}

async fn maybe(auth: Option<Auth>) -> Json<Value> {
    Json(example_app::maybe(auth.as_ref().map(|Auth(pass)| pass)))
}

async fn account(Auth(pass): Auth) -> impl IntoResponse {
    let own = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "private, no-cache"),
    ];
    let headers = AppendHeaders(Asset::HEADERS);
    (headers, own, example_app::account(&pass))
}

/// The layers that every service needs around its routes, the outermost first.
pub fn around(app: &App, routes: Router) -> Router {
    let log = TraceLayer::new_for_http()
        .make_span_with(middleware::span)
        .on_response(middleware::log_response());
    routes.layer(
        ServiceBuilder::new()
            .layer(middleware::identify())
            .layer(middleware::hide_credentials())
            .layer(log)
            .layer(middleware::tell_id())
            .layer(middleware::cors(app))
            .layer(middleware::cut_off()),
    )
}

/// Runs the application with the settings of the command line, and with the routes that `router`
/// makes.
///
/// # Errors
///
/// The error says what is wrong with the settings or with the server.
pub async fn run(router: impl FnOnce(&App) -> Router) -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce(listener.local_addr()?);
    let server = serve(router(&app), listener, example_app::shutdown());
    example_app::drained(server).await
}

/// Serves `router` until `shutdown`, and then finishes the requests in progress.
///
/// # Errors
///
/// Never fails: other servers return the same type.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // With the address of the connection, for the list of sessions.
    let with_peer = |address: SocketAddr| Extension(ConnectInfo(address)).layer(router.clone());
    example_app::serve(listener, with_peer, shutdown).await
}
