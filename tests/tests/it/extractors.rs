//! The answers of extractors for each result of the gate before them. They are the same in axum,
//! actix-web and warp.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
};

use actix_web::{test, web};
use axum::{Router, body::Body, http::Request, routing::get};
use gatepass::{
    Authority, Device, Identity, MasterSecret, MemoryStore, Pass, RequiredScopes, Requirements,
    Scopes, Verifier,
};
use gatepass_warp::{FromAuthRequest, gate, gate_from_layer, gated};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use warp::{Filter, filters::BoxedFilter, reply::Response};

struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin", "write"];
}

#[derive(Deserialize)]
struct Tenant {
    tenant: u32,
}

fn name(pass: &Pass) -> String {
    pass.subject().to_string()
}

fn name_or(pass: Option<&Pass>) -> String {
    pass.map_or("nobody".to_owned(), name)
}

/// Status, headers and body.
type Answer = (u16, BTreeMap<String, String>, String);

/// The path with extractor and gate, the token, the status, and the body of a 200 or else the
/// reason.
const ROWS: &[(&str, Option<Token>, u16, &str)] = &[
    ("/gated/auth", None, 401, "missing"),
    ("/gated/auth", Some(Token::Plain), 200, "alice"),
    (
        "/gated/scoped",
        Some(Token::Plain),
        403,
        "insufficient_scope",
    ),
    (
        "/gated/scoped",
        Some(Token::Half),
        403,
        "insufficient_scope",
    ),
    ("/gated/scoped", Some(Token::Admin), 200, "alice"),
    ("/gated/claims", Some(Token::Plain), 500, "internal"),
    ("/gated/claims", Some(Token::Unfit), 500, "internal"),
    ("/gated/claims", Some(Token::Admin), 200, "7"),
    ("/optional/auth", None, 401, "missing"),
    ("/optional/auth", Some(Token::Plain), 200, "alice"),
    ("/optional/maybe", None, 200, "nobody"),
    ("/optional/maybe", Some(Token::Plain), 200, "alice"),
    ("/optional/scoped", None, 401, "missing"),
    (
        "/optional/scoped",
        Some(Token::Plain),
        403,
        "insufficient_scope",
    ),
    ("/optional/claims", None, 401, "missing"),
    ("/forgotten/auth", None, 500, "internal"),
    ("/forgotten/auth", Some(Token::Admin), 500, "internal"),
    ("/forgotten/maybe", None, 500, "internal"),
    ("/forgotten/maybe", Some(Token::Admin), 500, "internal"),
    ("/forgotten/scoped", Some(Token::Admin), 500, "internal"),
    ("/forgotten/claims", Some(Token::Admin), 500, "internal"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Plain,
    /// One of the two scopes.
    Half,
    Admin,
    /// A claim of another type than the handler expects.
    Unfit,
}

#[tokio::test]
async fn extractors_answer_alike_in_every_framework() {
    let (verifier, tokens) = issued().await;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let mut axum = Vec::new();
    for (path, token, ..) in ROWS {
        axum.push(through_axum(&verifier, path, token.map(|token| &*tokens[&token])).await);
    }
    for ((path, token, status, told), answer) in ROWS.iter().zip(&axum) {
        let case = format!("{path} {token:?}");
        assert_eq!(answer.0, *status, "{case}: {answer:?}");
        if *status == 200 {
            assert_eq!(answer.2, *told, "{case}");
            continue;
        }
        let body: Value = serde_json::from_str(&answer.2).unwrap();
        assert_eq!(body["reason"], *told, "{case}");
        let challenge = answer.1.get("www-authenticate");
        assert_eq!(challenge.is_some(), *status < 500, "{case}");
        if *told == "insufficient_scope" {
            assert!(
                challenge.unwrap().ends_with(r#"scope="admin write""#),
                "{case}"
            );
        }
    }
    assert_logged(&log.taken(), "gatepass_axum::GateLayer");

    for ((path, token, ..), expected) in ROWS.iter().zip(&axum) {
        let token = token.map(|token| &*tokens[&token]);
        let answer = through_actix(&verifier, path, token).await;
        assert_eq!(
            alike(&answer),
            alike(expected),
            "actix-web: {path} {token:?}"
        );
    }
    assert_logged(&log.taken(), "gatepass_actix::Gate");

    for ((path, token, ..), expected) in ROWS.iter().zip(&axum) {
        let token = token.map(|token| &*tokens[&token]);
        let answer = through_warp(&verifier, path, token).await;
        assert_eq!(alike(&answer), alike(expected), "warp: {path} {token:?}");
    }
    assert_logged(&log.taken(), "gatepass_warp::GateLayer");
}

/// The parts of an answer that come from gatepass. Some frameworks add a length to the body.
fn alike((status, headers, body): &Answer) -> (u16, Vec<(&String, &String)>, &str) {
    let headers = headers.iter();
    let ours = headers.filter(|(name, _)| *status != 200 && *name != "content-length");
    (*status, ours.collect(), body)
}

/// Checks that the log has each mistake of the application: a missing gate with its route, claims
/// of another type with the expected type, and missing claims.
fn assert_logged(log: &str, gate: &str) {
    let forgotten = ["auth", "auth", "maybe", "maybe", "scoped", "claims"];
    let forgotten = forgotten.map(|route| {
        format!(r#"gate.missing gate="{gate}" method="GET" path="/forgotten/{route}""#)
    });
    for expected in &forgotten {
        assert!(
            log.lines().any(|line| in_order(line, expected)),
            "{expected}: {log}"
        );
    }
    let missing = log.lines().filter(|line| line.contains("gate.missing"));
    assert_eq!(missing.count(), forgotten.len(), "{log}");
    let expected = r#"claims.unfit category=Data wanted="it::extractors::Tenant""#;
    let unfit = log.lines().filter(|line| in_order(line, expected));
    assert_eq!(unfit.count(), 2, "{log}");
    assert!(!log.contains("seven") && !log.contains("query"), "{log}");
}

fn in_order(line: &str, words: &str) -> bool {
    words.split(' ').all(|word| line.contains(word))
}

async fn issued() -> (Verifier, BTreeMap<Token, String>) {
    let secret = MasterSecret::generate().unwrap();
    let builder = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    let authority = builder.build().await.unwrap();
    let mut tokens = BTreeMap::new();
    for (token, scopes, claims) in [
        (Token::Plain, "", json!({})),
        (Token::Half, "write", json!({})),
        (Token::Admin, "admin write", json!({ "tenant": 7 })),
        (Token::Unfit, "", json!({ "tenant": "seven" })),
    ] {
        let identity = Identity::new("alice")
            .unwrap()
            .scopes(Scopes::parse(scopes).unwrap())
            .claims(&claims)
            .unwrap();
        let issued = authority.issue(identity, Device::default()).await.unwrap();
        tokens.insert(token, format!("Bearer {}", issued.access_token.as_str()));
    }
    (authority.verifier().clone(), tokens)
}

async fn through_axum(verifier: &Verifier, path: &str, token: Option<&str>) -> Answer {
    use gatepass_axum::{Auth, Claims, GateLayer, Scoped};

    fn routes(start: &str) -> Router {
        let path = |end: &str| format!("/{start}/{end}");
        Router::new()
            .route(&path("auth"), get(async |Auth(pass): Auth| name(&pass)))
            .route(
                &path("maybe"),
                get(async |auth: Option<Auth>| name_or(auth.as_ref().map(|Auth(pass)| pass))),
            )
            .route(
                &path("scoped"),
                get(async |admin: Scoped<Admin>| name(admin.pass())),
            )
            .route(
                &path("claims"),
                get(async |Claims(claims): Claims<Tenant>| claims.tenant.to_string()),
            )
    }

    let gate = GateLayer::new(verifier.clone());
    let app = routes("gated")
        .route_layer(gate.clone())
        .merge(routes("optional").route_layer(gate.require(Requirements::new().optional())))
        .merge(routes("forgotten"));
    let mut request = Request::get(format!("{path}?query"));
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        head.status.as_u16(),
        texts(head.headers.iter()),
        text(&body),
    )
}

async fn through_actix(verifier: &Verifier, path: &str, token: Option<&str>) -> Answer {
    use gatepass_actix::{Auth, Claims, Gate, MaybeAuth, Scoped};

    fn routes(config: &mut web::ServiceConfig) {
        config
            .route("/auth", web::get().to(async |Auth(pass): Auth| name(&pass)))
            .route(
                "/maybe",
                web::get().to(async |MaybeAuth(pass): MaybeAuth| name_or(pass.as_ref())),
            )
            .route(
                "/scoped",
                web::get().to(async |admin: Scoped<Admin>| name(admin.pass())),
            )
            .route(
                "/claims",
                web::get().to(async |Claims(claims): Claims<Tenant>| claims.tenant.to_string()),
            );
    }

    let gate = Gate::new(verifier.clone());
    let app = actix_web::App::new()
        .service(web::scope("/gated").wrap(gate.clone()).configure(routes))
        .service(
            web::scope("/optional")
                .wrap(gate.require(Requirements::new().optional()))
                .configure(routes),
        )
        .service(web::scope("/forgotten").configure(routes));
    let app = test::init_service(app).await;
    let mut request = test::TestRequest::with_uri(&format!("{path}?query"));
    if let Some(token) = token {
        request = request.insert_header(("authorization", token));
    }
    let response = test::call_service(&app, request.to_request()).await;
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())));
    let headers = headers.collect();
    (status, headers, text(&test::read_body(response).await))
}

async fn through_warp(verifier: &Verifier, path: &str, token: Option<&str>) -> Answer {
    use gatepass_warp::{Auth, AuthRejection, Authorized, Claims, Scoped};

    trait Gates {
        fn gate<A: FromAuthRequest>(&self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)>;
    }

    struct Judging(Verifier, Requirements);
    struct Forgotten;

    impl Gates for Judging {
        fn gate<A: FromAuthRequest>(&self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
            gate(&self.0).require(self.1.clone()).filter()
        }
    }

    impl Gates for Forgotten {
        fn gate<A: FromAuthRequest>(&self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
            gate_from_layer().boxed()
        }
    }

    fn routes(start: &'static str, gates: &impl Gates) -> BoxedFilter<(Response,)> {
        let under = |end: &'static str| {
            warp::path(start)
                .and(warp::path(end))
                .and(warp::path::end())
        };
        gated(under("auth"), gates.gate(), async |Auth(pass): Auth| {
            name(&pass)
        })
        .or(gated(
            under("maybe"),
            gates.gate(),
            async |auth: Option<Auth>| name_or(auth.as_ref().map(|Auth(pass)| pass)),
        ))
        .unify()
        .or(gated(
            under("scoped"),
            gates.gate(),
            async |admin: Scoped<Admin>| name(admin.pass()),
        ))
        .unify()
        .or(gated(
            under("claims"),
            gates.gate(),
            async |Claims(claims): Claims<Tenant>| claims.tenant.to_string(),
        ))
        .unify()
        .boxed()
    }

    let app = routes("gated", &Judging(verifier.clone(), Requirements::new()))
        .or(routes(
            "optional",
            &Judging(verifier.clone(), Requirements::new().optional()),
        ))
        .or(routes("forgotten", &Forgotten));
    let mut request = warp::test::request().path(&format!("{path}?query"));
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let response = request.reply(&app).await;
    (
        response.status().as_u16(),
        texts(response.headers().iter()),
        text(response.body()),
    )
}

fn texts<'a>(
    headers: impl Iterator<Item = (&'a axum::http::HeaderName, &'a axum::http::HeaderValue)>,
) -> BTreeMap<String, String> {
    headers
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let writer = self.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
    }

    fn taken(&self) -> String {
        text(&std::mem::take(&mut *self.0.lock().unwrap()))
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
