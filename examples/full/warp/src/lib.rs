//! The example application in [warp]: what an application of your own would write.

mod middleware;
mod serve;
mod streams;

use std::{future::ready, pin::pin, time::Duration};

use example_app::{Action, Answer, App, Asset, Brought, PASSWORD_BODY_LIMIT};
use futures_util::{Stream, StreamExt};
use gatepass::{RequiredScopes, Requirements, Staleness};
use gatepass_warp::{Auth, ClientDevice, Gate, Scoped, full_path, gate, gate_before, gated};
use hyper::body::Buf;
use tokio::net::TcpListener;
use warp::{
    Filter, Rejection, Reply,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, RETRY_AFTER},
    },
    reject,
    reply::{self, Response},
};

pub use self::{middleware::service, serve::serve};

/// Maximum age of the login for a transfer, or for the deletion of the account.
const RECENT: Duration = Duration::from_secs(300);

/// The scopes of an administrator's token.
struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

/// Runs the application with the settings of the command line, and with the routes that `routes`
/// makes.
///
/// # Errors
///
/// The error says what is wrong with the settings or with the server.
pub async fn run<F>(routes: impl FnOnce(&App) -> F) -> anyhow::Result<()>
where
    F: Filter<Extract: Reply, Error = Rejection> + Clone + Send + Sync + 'static,
{
    let (mut app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce(listener.local_addr()?);
    let service = service(&app, routes(&app));
    let server = serve(listener, service, example_app::shutdown());
    example_app::drained(server).await
}

/// All routes.
pub fn routes(
    app: &App,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let openapi = app.openapi().to_owned();
    let openapi = warp::path!("openapi.json")
        .and(get())
        .map(move || reply::with_header(openapi.clone(), CONTENT_TYPE, "application/json"));
    let health = warp::path!("health").and(get()).map(|| StatusCode::OK);
    let app_to_ask = app.clone();
    let ready = warp::path!("ready")
        .and(get())
        .map(move || match app_to_ask.is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        });

    // Paths and methods come before the gate: unknown ones are still 404 and 405.
    let gate = gate(&app.authority);
    let me_route = gated(warp::path!("me").and(get()), gate.clone(), me);
    let profile = gated(warp::path!("profile").and(warp::post()), gate.clone(), me);
    let admin_route = gated(warp::path!("admin").and(get()), gate.clone(), admin);

    // Routes with other requirements have gates of their own.
    let recently = gate.clone().require(Requirements::new().max_age(RECENT));
    let transfer = gated(
        warp::path!("transfer").and(warp::post()),
        recently.clone(),
        me,
    );
    let strictly = gate
        .clone()
        .require(Requirements::new().staleness(Staleness::Strict));
    let strict_route = gated(warp::path!("strict").and(get()), strictly, strict);
    let anybody = gate.clone().require(Requirements::new().optional());
    let maybe_route = gated(warp::path!("maybe").and(get()), anybody, maybe);

    // A browser shows this page directly. The page runs no script that could refresh the cookies.
    let pages = gate
        .clone()
        .auto_refresh(&app.authority)
        .login_page(app.login_page());
    let account_route = gated(warp::path!("account").and(get()), pages, account);

    let own = page(app)
        .or(streams::routes(&gate))
        .or(demonstrations(app, gate.clone()))
        .or(openapi)
        .or(health)
        .or(ready)
        .or(me_route)
        .or(own_account(app, gate.clone(), recently))
        .or(profile)
        .or(admin_route)
        .or(transfer)
        .or(strict_route)
        .or(maybe_route)
        .or(account_route)
        .or(wrong_method(app));
    to_the_letter()
        .and(own)
        .or(gatepass_warp::routes(app.endpoints.clone()))
}

/// The routes of users who change their own account.
fn own_account(
    app: &App,
    gate: Gate,
    recently: Gate,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let (changing, deleting) = (app.clone(), app.clone());
    let change = move |((Auth(pass), ClientDevice(device)), body): (_, Option<Vec<u8>>)| {
        let app = changing.clone();
        async move { response(app.change_password(&pass, &device, body.as_deref()).await) }
    };
    let delete_user = move |Auth(pass): Auth| {
        let app = deleting.clone();
        async move { response(app.delete_user(&pass).await) }
    };
    let body = warp::body::stream().then(read);
    let password = warp::path!("me" / "password").and(warp::put());
    let me = warp::path!("me").and(warp::delete());
    gated(password, gate_before(gate, body), change).or(gated(me, recently, delete_user))
}

/// The body of a request for a new password, unless it is too long. warp's own filters would reject
/// a long body, and warp would then try the next routes.
async fn read(parts: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Option<Vec<u8>> {
    let mut parts = pin!(parts);
    let mut body = Vec::new();
    while let Some(part) = parts.next().await {
        let mut part = part.ok()?;
        body.extend(part.copy_to_bytes(part.remaining()));
        if body.len() > PASSWORD_BODY_LIMIT.into() {
            return None;
        }
    }
    Some(body)
}

/// The page for browsers.
fn page(
    app: &App,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let assets = app.assets();
    let file = full_path()
        .and_then(move |path: String| {
            let asset = assets.iter().find(|asset| asset.path == path);
            ready(asset.ok_or_else(reject::not_found))
        })
        .and(get())
        .map(|asset: &'static Asset| {
            let mut answer = warp::http::Response::builder();
            for (name, value) in Asset::HEADERS {
                answer = answer.header(name, value);
            }
            answer
                .header(CONTENT_TYPE, asset.content_type)
                .body(asset.body)
        });
    let config = app.config().to_owned();
    let config = warp::path!("demo" / "config").and(get()).map(move || {
        let answer = reply::with_header(config.clone(), CONTENT_TYPE, "application/json");
        reply::with_header(answer, CACHE_CONTROL, "no-store")
    });
    file.or(config)
}

/// The routes of the page's demonstrations.
fn demonstrations(
    app: &App,
    gate: Gate,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let actions = app.actions();
    let action = full_path()
        .and_then(move |path: String| {
            let action = actions.iter().find(|action| action.path() == path);
            ready(action.copied().ok_or_else(reject::not_found))
        })
        .and(warp::post())
        .and(warp::header::headers_cloned());
    let app = app.clone();
    let act = move |action: Action, headers: HeaderMap, Auth(pass): Auth| {
        let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let brought = Brought::new(values(AUTHORIZATION), values(COOKIE));
        let app = app.clone();
        async move { response(app.act(action, &pass, brought).await) }
    };
    gated(action, gate, act)
}

fn response(answer: Answer) -> Response {
    let Answer {
        status,
        retry_after,
        body,
        ..
    } = answer;
    let mut response = match body.is_null() {
        true => reply::reply().into_response(),
        false => reply::json(&body).into_response(),
    };
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

async fn account(Auth(pass): Auth) -> impl Reply {
    let mut answer = reply::html(example_app::account(&pass)).into_response();
    for (name, value) in Asset::HEADERS {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    let private = HeaderValue::from_static("private, no-cache");
    answer.headers_mut().insert(CACHE_CONTROL, private);
    answer
}

/// Rejects paths such as `/me/`, which `path!("me")` also matches.
fn to_the_letter() -> impl Filter<Extract = (), Error = Rejection> + Copy + Send + Sync + 'static {
    full_path()
        .and_then(|path: String| {
            // A target without a path is not the home page, although `path::end` matches it.
            let exact = path == "/" || !(path.is_empty() || path.ends_with('/'));
            ready(if exact {
                Ok(())
            } else {
                Err(reject::not_found())
            })
        })
        .untuple_one()
}

/// The 405 with the right `Allow` if no route takes the method. warp's own 405 has no `Allow`.
fn wrong_method(
    app: &App,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let (assets, actions) = (app.assets(), app.actions());
    full_path().and_then(move |path: String| {
        let allowed = match &*path {
            "/me" => Ok("GET, HEAD, DELETE"),
            "/me/password" => Ok("PUT"),
            "/openapi.json" | "/health" | "/ready" | "/admin" | "/strict" | "/maybe"
            | "/account" | "/demo/config" | "/events" => Ok("GET, HEAD"),
            "/ws" => Ok("GET"),
            "/profile" | "/transfer" => Ok("POST"),
            _ if assets.iter().any(|asset| asset.path == path) => Ok("GET, HEAD"),
            _ if actions.iter().any(|action| action.path() == path) => Ok("POST"),
            _ => Err(reject::not_found()),
        };
        let status = StatusCode::METHOD_NOT_ALLOWED;
        ready(allowed.map(|methods| reply::with_header(status, "allow", methods)))
    })
}

/// In warp, `get()` doesn't include `HEAD`.
fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::get().or(warp::head()).unify()
}

async fn me(Auth(pass): Auth) -> impl Reply {
    reply::json(&example_app::me(&pass))
}

async fn admin(admin: Scoped<Admin>) -> impl Reply {
    reply::json(&example_app::me(admin.pass()))
}

/// Sets its own `Cache-Control`, so the gate adds none.
async fn strict(Auth(pass): Auth) -> impl Reply {
    let answer = reply::json(&example_app::me(&pass));
    reply::with_header(answer, CACHE_CONTROL, "no-store")
}

async fn maybe(auth: Option<Auth>) -> impl Reply {
    reply::json(&example_app::maybe(auth.as_ref().map(|Auth(pass)| pass)))
}
