//! Gates among the layers of tower-http: inside them, and around them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, Request, Response, header::AUTHORIZATION},
    routing::get,
};
use gatepass::{Requirements, store::StoreErrorKind, wire::Endpoints};
use gatepass_testkit::StoreFault;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use test_support::world::login;
use tower::{Layer, ServiceExt};
use tower_http::{
    compression::CompressionLayer,
    cors::CorsLayer,
    decompression::DecompressionLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tracing::Span;

use crate::rig::{Answer, Rig, asked, send};

const PAGE: &str = "https://page.example";

/// The statuses of all responses that a trace has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u16>>>);

impl Seen {
    fn taken(&self) -> Vec<u16> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// `routes` inside the layers that services usually have.
fn wrapped(routes: Router, seen: &Seen) -> Router {
    let seen = seen.clone();
    let trace = move |response: &Response<Body>, _: Duration, _: &Span| {
        seen.0.lock().unwrap().push(response.status().as_u16());
    };
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(PAGE))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION]);
    routes
        .layer(CompressionLayer::new())
        .layer(cors)
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().on_response(trace))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

/// Guarded routes, strict ones, and the endpoints of gatepass.
fn routes(rig: &Rig) -> Router {
    let strict = rig
        .gate()
        .require(Requirements::new().staleness(gatepass::Staleness::Strict));
    let endpoints = Endpoints::new(rig.authority.clone());
    Router::new()
        .route("/me", get(rig.handler()).route_layer(rig.gate()))
        .route("/strict", get(rig.handler()).route_layer(strict))
        .route("/forgotten", get(rig.handler()))
        .merge(gatepass_axum::routes(endpoints))
}

/// The same request from a page, in a browser that accepts compressed answers.
fn of_page(mut request: Request<Body>) -> Request<Body> {
    let headers = request.headers_mut();
    headers.insert("origin", HeaderValue::from_static(PAGE));
    headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
    headers.insert("x-request-id", HeaderValue::from_static("from-the-proxy"));
    request
}

fn preflight(path: &str) -> Request<Body> {
    let mut request = of_page(asked("OPTIONS", path, None));
    let headers = request.headers_mut();
    headers.insert(
        "access-control-request-method",
        HeaderValue::from_static("GET"),
    );
    headers.insert(
        "access-control-request-headers",
        HeaderValue::from_static("authorization"),
    );
    request
}

#[tokio::test]
async fn refusals_are_answers_like_any_other_to_all_that_is_around() {
    let rig = Rig::start().await;
    let seen = Seen::default();
    let (bare, app) = (routes(&rig), wrapped(routes(&rig), &seen));
    let bearer = rig.bearer("alice", "").await;
    rig.store
        .inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    for (method, path, bearer, status, runs) in [
        ("GET", "/me", None, 401, 0),
        ("GET", "/me", Some("Bearer a.b.c"), 401, 0),
        ("GET", "/me", Some("Bearer"), 400, 0),
        ("GET", "/me", Some(&*bearer), 200, 1),
        ("POST", "/me", None, 405, 0),
        ("GET", "/strict", None, 401, 0),
        ("GET", "/strict", Some(&*bearer), 503, 0),
        ("GET", "/forgotten", Some(&*bearer), 500, 0),
        ("GET", "/auth/sessions", None, 401, 0),
        ("GET", "/auth/sessions", Some(&*bearer), 503, 0),
        ("PUT", "/auth/refresh", None, 405, 0),
        ("POST", "/auth/refresh", None, 415, 0),
    ] {
        let case = format!("{method} {path} {bearer:?}");
        let request = || of_page(asked(method, path, bearer));
        let answer = send(&app, request()).await;
        assert_eq!(answer.status, status, "{case}");
        assert_eq!(rig.runs(), runs, "{case}");
        assert_eq!(seen.taken(), [status], "{case}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.header("x-request-id"), Some("from-the-proxy"));

        // The answer still has all of gatepass's headers, and decompressing gives gatepass's body.
        let own = send(&bare, asked(method, path, bearer)).await;
        let unpacked = unpacked(&app, request()).await;
        assert_eq!(unpacked.body, own.body, "{case}");
        for (name, value) in own
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
        {
            assert_eq!(answer.headers.get(name), Some(value), "{case}: {name}");
        }
        let encoding = own.reason().map(|_| "gzip");
        assert_eq!(answer.header("content-encoding"), encoding, "{case}");
        let vary = answer.headers.get_all("vary").iter();
        let mut vary = vary.map(|names| names.to_str().unwrap().to_lowercase());
        let told = vary.any(|names| names.contains("accept-encoding"));
        assert_eq!(told, encoding.is_some(), "{case}");
        rig.runs();
        seen.taken();
    }
}

#[tokio::test]
async fn a_refusal_without_an_id_of_its_own_is_given_one() {
    let rig = Rig::start().await;
    let app = wrapped(routes(&rig), &Seen::default());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = send(&app, asked("GET", "/me", None)).await;
        assert_eq!(answer.status, 401);
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_preflight_is_not_asked_for_a_token_where_cors_is_around_the_gate() {
    let rig = Rig::start().await;
    let guarded = || Router::new().route("/me", get(rig.handler()));
    for (app, status) in [
        (
            wrapped(guarded().route_layer(rig.gate()), &Seen::default()),
            200,
        ),
        (wrapped(guarded().layer(rig.gate()), &Seen::default()), 200),
        // With CORS inside the gate, the gate refuses preflights: browsers send no credentials with
        // them.
        (wrapped(guarded(), &Seen::default()).layer(rig.gate()), 401),
    ] {
        let answer = send(&app, preflight("/me")).await;
        assert_eq!(answer.status, status);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed.is_some(), status == 200);
        let allowed = answer.header("access-control-allow-headers");
        assert_eq!(allowed.is_some(), status == 200);
        assert_eq!(rig.runs(), 0);
    }
}

#[tokio::test]
async fn what_is_inside_of_a_gate_sees_only_what_the_gate_admits() {
    let rig = Rig::start().await;
    let seen = Seen::default();
    let routes = Router::new().route("/me", get(rig.handler()));
    let app = wrapped(routes, &seen).layer(rig.gate());
    for (bearer, status, inside) in [
        (None, 401, false),
        (Some("Bearer a.b.c".to_owned()), 401, false),
        (Some(rig.bearer("alice", "").await), 200, true),
    ] {
        let answer = send(&app, of_page(asked("GET", "/me", bearer.as_deref()))).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-request-id").is_some(), inside);
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(seen.taken().len(), usize::from(inside));
        assert_eq!(rig.runs(), usize::from(inside));
    }
}

#[tokio::test]
async fn tokens_arrive_through_compression_and_still_may_not_be_kept() {
    let rig = Rig::start().await;
    let app = wrapped(routes(&rig), &Seen::default());
    let issued = login(&rig.authority, "alice").await;
    let body = json!({ "refresh_token": issued.refresh_token.as_str() }).to_string();
    let refresh = || {
        let mut request =
            of_page(asked("POST", "/auth/refresh", None)).map(|_| body.clone().into());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert("content-type", json);
        request
    };
    let packed = send(&app, refresh()).await;
    assert_eq!(packed.status, 200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("cache-control"), Some("no-store"));
    let unpacked = unpacked(&app, refresh()).await;
    let tokens: Value = serde_json::from_slice(&unpacked.body).unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let answer = send(&app, asked("GET", "/me", Some(&bearer))).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"alice"[..]));
}

/// The answer for a client that decompresses it.
async fn unpacked(app: &Router, request: Request<Body>) -> Answer {
    let client = DecompressionLayer::new().layer(app.clone());
    let (head, body) = client.oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}
