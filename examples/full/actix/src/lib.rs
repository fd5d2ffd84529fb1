//! The example application in [actix-web](actix_web): what an application of your own would write.

mod streams;

use std::{future::ready, io, net::TcpListener, time::Duration};

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, Resource, Responder, Route,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    error::ErrorServiceUnavailable,
    guard::{Any, Get, Head},
    http::{
        StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue,
            RETRY_AFTER,
        },
    },
    middleware::{Next, from_fn},
    rt::{self, time::timeout},
    web::{Bytes, Json, PayloadConfig, ServiceConfig, delete, post, put, resource, route},
};
use example_app::{Answer, Asset, Brought, PASSWORD_BODY_LIMIT};
use gatepass::{RequiredScopes, Requirements, Staleness};
use gatepass_actix::{Auth, ClientDevice, Gate, MaybeAuth, Scoped};
use serde_json::Value;
use tracing::{Span, info, info_span};
use tracing_actix_web::{RequestId, RootSpanBuilder, TracingLogger};

/// Maximum age of the login for a transfer, or for the deletion of the account.
const RECENT: Duration = Duration::from_secs(300);
/// How long a request may take. Longer than gatepass waits for a body or for the users, so that
/// gatepass can answer with the reason.
const TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that Swagger UI adds to its logins.
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The scopes of an administrator's token.
struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

/// The whole application. Each worker of a server makes its own.
pub fn application(
    app: &example_app::App,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    // Each layer wraps the layers before it.
    App::new()
        .configure(|config| routes(app, config))
        .wrap(cors(&app.trusted_origins))
        .wrap(from_fn(cut_off))
        .wrap(from_fn(identified))
        .wrap(TracingLogger::<Logged>::new())
        // Before each layer that could log headers.
        .wrap(from_fn(sensitive))
}

/// Runs the application with the settings of the command line, and with the routes that `more`
/// adds.
///
/// # Errors
///
/// The error says what is wrong with the settings or with the server.
pub async fn run(
    more: impl Fn(&example_app::App, &mut ServiceConfig) + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    app.announce(listener.local_addr()?);
    let server = server(listener, move || {
        application(&app).configure(|config| more(&app, config))
    })?;
    let handle = server.handle();
    rt::spawn(async move {
        example_app::shutdown().await;
        handle.stop(true).await;
    });
    example_app::drained(server).await
}

/// A server on `listener`. Its workers serve the application that `application` makes.
///
/// # Errors
///
/// An error if the system doesn't let it listen.
pub fn server<F, T, B>(listener: TcpListener, application: F) -> io::Result<Server>
where
    F: Fn() -> App<T> + Clone + Send + 'static,
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let server = HttpServer::new(application)
        // By default, actix-web continues with the request of a client that has closed its
        // connection: the client may have closed only one half, and may still read. Logins of
        // clients that are gone would then keep their places in the queue.
        .h1_allow_half_closed(false)
        .listen(listener)?
        .disable_signals();
    Ok(server.run())
}

fn routes(app: &example_app::App, config: &mut ServiceConfig) {
    let openapi = app.openapi().to_owned();
    let openapi = move || {
        let mut json = HttpResponse::Ok();
        ready(json.content_type("application/json").body(openapi.clone()))
    };
    let asked = app.clone();
    let readiness = move || {
        ready(match asked.is_ready() {
            true => HttpResponse::Ok(),
            false => HttpResponse::ServiceUnavailable(),
        })
    };
    // Each route has its own gate, which may have its own requirements. The gate comes after path
    // and method, so clients without a token also get 404 and 405 for unknown ones.
    let gate = Gate::new(&app.authority);
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
    page(app, &gate, config);
    config
        .service(resource("/openapi.json").route(get().to(openapi)))
        .service(resource("/health").route(get().to(HttpResponse::Ok)))
        .service(resource("/ready").route(get().to(readiness)))
        .service(resource("/ws").route(get().to(streams::web_socket).wrap(gate.clone())))
        .service(resource("/events").route(get().to(streams::events).wrap(gate.clone())))
        .service(own_account(app, &gate, &recently))
        .service(password(app, &gate))
        .service(resource("/profile").route(post().to(me).wrap(gate.clone())))
        .service(resource("/admin").route(get().to(admin).wrap(gate)))
        .service(resource("/transfer").route(post().to(me).wrap(recently)))
        .service(resource("/strict").route(get().to(strict).wrap(strictly)))
        .service(resource("/maybe").route(get().to(maybe).wrap(optionally)))
        .service(resource("/account").route(get().to(account).wrap(pages)))
        .configure(gatepass_actix::configure(app.endpoints.clone()));
}

/// `GET /me` and `DELETE /me`.
fn own_account(app: &example_app::App, gate: &Gate, recently: &Gate) -> Resource {
    let app = app.clone();
    let delete_user = move |Auth(pass): Auth| {
        let app = app.clone();
        async move { response(app.delete_user(&pass).await) }
    };
    resource("/me")
        .route(get().to(me).wrap(gate.clone()))
        .route(delete().to(delete_user).wrap(recently.clone()))
}

/// `PUT /me/password`.
fn password(app: &example_app::App, gate: &Gate) -> Resource {
    let app = app.clone();
    let change =
        move |Auth(pass): Auth, ClientDevice(device): ClientDevice, body: Result<Bytes, Error>| {
            let (app, body) = (app.clone(), body.ok());
            async move { response(app.change_password(&pass, &device, body.as_deref()).await) }
        };
    resource("/me/password")
        .app_data(PayloadConfig::new(PASSWORD_BODY_LIMIT.into()))
        .route(put().to(change).wrap(gate.clone()))
}

/// The page for browsers, and the routes of its demonstrations.
fn page(app: &example_app::App, gate: &Gate, config: &mut ServiceConfig) {
    let settings = app.config().to_owned();
    let settings = move || {
        let mut json = HttpResponse::Ok();
        json.insert_header((CACHE_CONTROL, "no-store"));
        ready(json.content_type("application/json").body(settings.clone()))
    };
    config.service(resource("/demo/config").route(get().to(settings)));
    for asset in app.assets() {
        let file = || {
            let mut answer = HttpResponse::Ok();
            for header in Asset::HEADERS {
                answer.insert_header(header);
            }
            ready(answer.content_type(asset.content_type).body(asset.body))
        };
        config.service(resource(asset.path).route(get().to(file)));
    }
    for action in app.actions() {
        let app = app.clone();
        let act = move |Auth(pass): Auth, request: HttpRequest| {
            let values = |name| request.headers().get_all(name).map(HeaderValue::as_bytes);
            let brought = Brought::new(values(AUTHORIZATION), values(COOKIE));
            let app = app.clone();
            async move { response(app.act(action, &pass, brought).await) }
        };
        config.service(resource(action.path()).route(post().to(act).wrap(gate.clone())));
    }
}

fn response(answer: Answer) -> HttpResponse {
    let Answer {
        status,
        retry_after,
        body,
        ..
    } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = retry_after {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    match body {
        Value::Null => response.finish(),
        body => response.json(body),
    }
}

/// In actix-web, a route for `GET` doesn't include `HEAD`.
fn get() -> Route {
    route().guard(Any(Get()).or(Head()))
}

async fn me(Auth(pass): Auth) -> Json<Value> {
    Json(example_app::me(&pass))
}

async fn admin(admin: Scoped<Admin>) -> Json<Value> {
    Json(example_app::me(admin.pass()))
}

/// Sets its own `Cache-Control`, so the gate adds none.
async fn strict(Auth(pass): Auth) -> impl Responder {
    let answer = Json(example_app::me(&pass)).customize();
    answer.insert_header((CACHE_CONTROL, "no-store"))
}

async fn maybe(MaybeAuth(pass): MaybeAuth) -> Json<Value> {
    Json(example_app::maybe(pass.as_ref()))
}

async fn account(Auth(pass): Auth) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    for header in Asset::HEADERS {
        answer.insert_header(header);
    }
    answer.insert_header((CACHE_CONTROL, "private, no-cache"));
    answer
        .content_type("text/html; charset=utf-8")
        .body(example_app::account(&pass))
}

fn cors(trusted: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "DELETE"])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, X_REQUESTED_WITH]);
    if trusted.is_empty() {
        // Pages of any origin may call. CORS allows no credentials here, so there are no cookies to
        // misuse.
        return cors
            .allow_any_origin()
            .send_wildcard()
            .disable_vary_header();
    }
    let cors = cors.supports_credentials();
    trusted
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Answers 503 to a request that takes too long. Returns an error, because the request no longer
/// exists then. actix-cors also adds its headers to errors.
async fn cut_off(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let answer = timeout(TIMEOUT, next.call(request)).await;
    answer.unwrap_or_else(|_| Err(ErrorServiceUnavailable("")))
}

/// Tells the client the id of its request in the log.
async fn identified(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = HeaderValue::from_str(&id(&request));
    let mut response = next.call(request).await?;
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// The id that the request brought, or the id that this service gave it.
fn id(request: &ServiceRequest) -> String {
    let brought = request.headers().get(REQUEST_ID);
    match brought.and_then(|id| id.to_str().ok()) {
        Some(id) => id.to_owned(),
        None => {
            let given = request.extensions().get::<RequestId>().copied();
            given.map(|id| id.to_string()).unwrap_or_default()
        }
    }
}

/// Marks the headers that must not be in a log.
async fn sensitive(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    for name in [AUTHORIZATION, COOKIE] {
        let values: Vec<_> = request.headers_mut().remove(&name).collect();
        for mut value in values {
            value.set_sensitive(true);
            request.headers_mut().append(name.clone(), value);
        }
    }
    next.call(request).await
}

/// The log's span of a request.
struct Logged;

impl RootSpanBuilder for Logged {
    fn on_request_start(request: &ServiceRequest) -> Span {
        // The path without its query, which may hold secrets.
        let (method, path) = (request.method(), request.uri().path());
        info_span!("request", %method, path, id = id(request))
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        info!(status = status.as_u16(), "finished processing request");
    }
}
