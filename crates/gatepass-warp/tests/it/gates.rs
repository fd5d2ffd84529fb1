//! Requests that get past a gate, and the routes that they reach.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatepass::{
    Authority, AuthorityBuilder, Device, Identity, MasterSecret, MemoryStore, Pass, Refusal,
    RequiredScopes, Requirements, Scopes, Staleness, Transport, store::StoreErrorKind,
};
use gatepass_testkit::{ManualClock, StoreFault, TestService, TestStore};
use gatepass_warp::{
    Auth, AuthRejection, AuthState, Authorized, Claims, FromAuthRequest, GateLayer,
    OwnedRequestHead, Scoped, gate, gate_before, gate_from_layer, gated,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use warp::{
    Filter, Rejection, Reply, filters::BoxedFilter, http::Response, reply, test::RequestBuilder,
};

struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

#[derive(Deserialize)]
struct Tenant {
    tenant: u32,
}

/// An authority, and a count of the requests that its gates let through.
struct Service {
    authority: Authority,
    clock: ManualClock,
    store: TestStore,
    calls: Arc<AtomicUsize>,
}

impl Service {
    async fn start() -> Self {
        Self::over(Transport::Bearer).await
    }

    async fn over(transport: Transport) -> Self {
        let secret = MasterSecret::generate().unwrap();
        let clock = ManualClock::new();
        let faulty = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let store = faulty.clone();
        let builder = Authority::builder("https://issuer.test", "api", secret, faulty);
        let builder = builder.transport(transport);
        Self {
            authority: builder.clock(clock.clone()).build().await.unwrap(),
            clock,
            store,
            calls: Arc::default(),
        }
    }

    fn gate<A: FromAuthRequest>(&self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
        gate(&self.authority).filter()
    }

    async fn bearer(&self, scope: &str) -> String {
        let identity = Identity::new("alice").unwrap();
        self.bearer_of(identity.scopes(Scopes::parse(scope).unwrap()))
            .await
    }

    async fn bearer_of(&self, identity: Identity) -> String {
        let issued = self.authority.issue(identity, Device::default()).await;
        format!("Bearer {}", issued.unwrap().access_token.as_str())
    }

    /// A handler that counts its runs.
    fn handler<A: Send + 'static>(
        &self,
    ) -> impl Fn(A) -> std::future::Ready<&'static str> + Clone + Send + Sync + use<A> + 'static
    {
        let calls = Arc::clone(&self.calls);
        move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            ready("handled")
        }
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

fn get(path: &str) -> RequestBuilder {
    warp::test::request().path(path)
}

fn reason(response: &Response<impl AsRef<[u8]>>) -> String {
    let body: Value = serde_json::from_slice(response.body().as_ref()).unwrap();
    body["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refused_request_reaches_neither_its_handler_nor_an_open_route() {
    let service = Service::start().await;
    let open = warp::any().map(|| "open to all");
    let one = gated(
        warp::path!("one"),
        service.gate(),
        service.handler::<Auth>(),
    );
    let scoped = service.handler::<Scoped<Admin>>();
    let scoped = gated(warp::path!("scoped"), service.gate(), scoped);
    let body = gate_before(service.gate::<Auth>(), warp::body::json::<Value>());
    let body = gated(warp::path!("body"), body, service.handler());
    let wants = Requirements::new().scopes(Scopes::parse("admin").unwrap());
    let requiring = gate(&service.authority).require(wants);
    let requiring = gated(
        warp::path!("requiring"),
        requiring,
        service.handler::<Auth>(),
    );
    let app = one.or(scoped).or(body).or(requiring).or(open);

    let profile = service.bearer("profile").await;
    for (path, bearer, status) in [
        ("/one", None, 401),
        ("/one", Some("Bearer a.b.c"), 401),
        ("/one", Some("Bearer"), 400),
        ("/scoped", None, 401),
        ("/scoped", Some(&*profile), 403),
        ("/requiring", None, 401),
        ("/requiring", Some(&*profile), 403),
        ("/body", None, 401),
    ] {
        let mut request = get(path);
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let response = request.reply(&app).await;
        assert_eq!(response.status(), status, "{path} {bearer:?}");
        assert!(response.headers().contains_key("www-authenticate"));
        assert_eq!(service.calls(), 0, "{path} {bearer:?}");
    }
    assert_eq!(get("/other").reply(&app).await.body(), "open to all");

    let good = service.bearer("admin").await;
    for path in ["/one", "/scoped", "/requiring"] {
        let request = get(path).header("authorization", &good);
        assert_eq!(request.reply(&app).await.body(), "handled", "{path}");
        assert_eq!(service.calls(), 1);
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_token_where_there_is_nothing() {
    let service = Service::start().await;
    let route = warp::path!("documents" / u64).and(warp::post());
    let handler = async |id: u64, Auth(pass): Auth| format!("{id} of {}", pass.subject());
    let app = gated(route, service.gate(), handler);
    let post = |path| get(path).method("POST");
    assert_eq!(post("/nowhere").reply(&app).await.status(), 404);
    assert_eq!(post("/documents/x").reply(&app).await.status(), 404);
    assert_eq!(get("/documents/7").reply(&app).await.status(), 405);
    assert_eq!(post("/documents/7").reply(&app).await.status(), 401);
    let request = post("/documents/7").header("authorization", service.bearer("").await);
    assert_eq!(request.reply(&app).await.body(), "7 of alice");
}

#[tokio::test]
async fn a_body_is_read_only_of_whom_the_gate_lets_through() {
    let service = Service::start().await;
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let counted = warp::any()
        .map(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .untuple_one();
    let body = gate_before(
        service.gate::<Auth>(),
        counted.and(warp::body::json::<Value>()),
    );
    let app = gated(warp::path!("put").and(warp::put()), body, service.handler());
    let put = |body: &str| get("/put").method("PUT").body(body);

    let stranger = put("{").reply(&app).await;
    assert_eq!(
        (stranger.status().as_u16(), &*reason(&stranger)),
        (401, "missing")
    );
    assert_eq!(read.load(Ordering::SeqCst), 0);

    let bearer = service.bearer("").await;
    let known = put("{").header("authorization", &bearer);
    // The rejection of the body filter, as it would be without a gate.
    assert_eq!(known.reply(&app).await.status(), 400);
    assert_eq!(service.calls(), 0);
    let known = put("{}").header("authorization", &bearer);
    assert_eq!(known.reply(&app).await.body(), "handled");
}

#[tokio::test]
async fn a_gate_by_itself_tells_its_handler_why() {
    async fn page(
        auth: Result<Authorized<Auth>, AuthRejection>,
    ) -> Result<impl Reply, AuthRejection> {
        match auth {
            Err(rejection) if rejection.refusal() == Some(&Refusal::Missing) => {
                Ok("log in".to_owned())
            }
            auth => Ok(auth?.into_extracted().0.subject().to_string()),
        }
    }

    let service = Service::start().await;
    let app = warp::path!("page").and(service.gate()).then(page);
    assert_eq!(get("/page").reply(&app).await.body(), "log in");
    let impostor = get("/page").header("authorization", "Bearer a.b.c");
    assert_eq!(reason(&impostor.reply(&app).await), "malformed");
    let alice = get("/page").header("authorization", service.bearer("").await);
    assert_eq!(alice.reply(&app).await.body(), "alice");
}

#[tokio::test]
async fn claims_are_of_the_handlers_type_or_500() {
    async fn tenant((Auth(pass), Claims(claims)): (Auth, Claims<Tenant>)) -> String {
        format!("{} of {}", pass.subject(), claims.tenant)
    }

    let service = Service::start().await;
    let app = gated(warp::path!("tenant"), service.gate(), tenant);
    let identity = |claims: Value| {
        let identity = Identity::new("alice").unwrap();
        service.bearer_of(identity.claims(&claims).unwrap())
    };
    let fitting = identity(json!({ "tenant": 7 })).await;
    let response = get("/tenant").header("authorization", fitting);
    assert_eq!(response.reply(&app).await.body(), "alice of 7");

    let unfit = identity(json!({ "tenant": "seven" })).await;
    let response = get("/tenant").header("authorization", unfit);
    let response = response.reply(&app).await;
    assert_eq!(
        (response.status().as_u16(), &*reason(&response)),
        (500, "internal")
    );
    assert_eq!(get("/tenant").reply(&app).await.status(), 401);
}

#[tokio::test]
async fn requirements_are_those_of_the_core() {
    let service = Service::start().await;
    let required = |requirements| gate(&service.authority).require(requirements);
    let recent = required(Requirements::new().max_age(Duration::from_secs(300)));
    let strict = required(Requirements::new().staleness(Staleness::Strict));
    let maybe = required(Requirements::new().optional());
    let name = async |auth: Option<Auth>| match auth {
        Some(Auth(pass)) => pass.subject().to_string(),
        None => "a stranger".to_owned(),
    };
    // A handler that takes `Auth` refuses strangers, even behind a gate that lets them through.
    let needed = maybe.clone();
    let handler = || service.handler::<Auth>();
    let app = gated(warp::path!("recent"), recent, handler())
        .or(gated(warp::path!("strict"), strict, handler()))
        .or(gated(warp::path!("maybe"), maybe, name))
        .or(gated(warp::path!("needed"), needed, handler()));
    let bearer = service.bearer("").await;
    let send = async |path: &str, bearer: &str| {
        let request = get(path).header("authorization", bearer);
        request.reply(&app).await
    };

    assert_eq!(send("/recent", &bearer).await.status(), 200);
    service.clock.advance(Duration::from_secs(301));
    let old = send("/recent", &bearer).await;
    assert_eq!(reason(&old), "authentication_too_old");
    assert_eq!(send("/strict", &bearer).await.status(), 200);
    assert_eq!(send("/maybe", &bearer).await.body(), "alice");
    assert_eq!(send("/maybe", "Bearer a.b.c").await.status(), 401);
    assert_eq!(get("/maybe").reply(&app).await.body(), "a stranger");
    assert_eq!(get("/needed").reply(&app).await.status(), 401);
}

#[tokio::test]
async fn where_nobody_can_be_judged_nobody_is_refused_or_let_through() {
    async fn told(auth: Result<Authorized<Auth>, AuthRejection>) -> Response<String> {
        let Err(rejection) = auth else {
            return Response::new("let through".to_owned());
        };
        let refused = format!("{:?}", rejection.refusal());
        rejection.into_response().map(|_| refused)
    }

    let service = Service::start().await;
    let strict = Requirements::new().staleness(Staleness::Strict);
    let strict = || gate(&service.authority).require(strict.clone());
    let app = gated(warp::path!("me"), strict(), service.handler::<Auth>())
        .or(warp::path!("told").and(strict().filter()).then(told))
        .or(warp::any().map(|| "open to all"));
    let bearer = service.bearer("").await;
    let send = async |path: &str| {
        let request = get(path).header("authorization", &bearer);
        request.reply(&app).await
    };
    service
        .store
        .inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    let response = send("/me").await;
    assert_eq!(
        (response.status().as_u16(), &*reason(&response)),
        (503, "store_unavailable")
    );
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(service.calls(), 0);
    let told = send("/told").await;
    assert_eq!(
        (told.status().as_u16(), &**told.body()),
        (503, &b"None"[..])
    );

    service.store.heal();
    assert_eq!(send("/me").await.body(), "handled");
}

#[tokio::test]
async fn headers_that_are_no_text_are_refused_and_not_rejected() {
    let service = Service::start().await;
    let app = gated(warp::path!("me"), service.gate(), service.handler::<Auth>())
        .or(warp::any().map(|| "open to all"));
    let bearer = service.bearer("").await;
    for (name, value, status) in [
        ("authorization", &b"Bearer \xff"[..], 400),
        ("authorization", b"\xff", 400),
        ("cookie", b"__Host-gatepass=\xff", 401),
        ("host", b"\xff", 401),
    ] {
        let response = get("/me").header(name, value).reply(&app).await;
        assert_eq!(response.status(), status, "{name} {value:?}");
        assert!(!reason(&response).is_empty());
    }
    for name in ["host", "user-agent", "origin", "sec-fetch-site", "cookie"] {
        let request = get("/me").header("authorization", &bearer);
        let response = request.header(name, &b"\xff"[..]).reply(&app).await;
        assert_eq!(response.body(), "handled", "{name}");
    }
}

#[tokio::test]
async fn the_layer_around_the_service_does_what_a_gate_does() {
    let service = Service::start().await;
    let scoped = service.handler::<Scoped<Admin>>();
    let routes = gated(
        warp::path!("me"),
        gate_from_layer(),
        service.handler::<Auth>(),
    )
    .or(gated(warp::path!("admin"), gate_from_layer(), scoped))
    .or(warp::any().map(|| "open to all"));
    let without_layer = get("/me").reply(&routes).await;
    assert_eq!(
        (without_layer.status().as_u16(), &*reason(&without_layer)),
        (500, "internal")
    );

    let verifier = service.authority.verifier().clone();
    let app = GateLayer::new(verifier).layer(warp::service(routes));
    let bearer = service.bearer("").await;
    for (path, bearer, status, calls) in [
        ("/me", None, 401, 0),
        ("/elsewhere", None, 401, 0),
        ("/me", Some(&bearer), 200, 1),
        ("/admin", Some(&bearer), 403, 0),
    ] {
        let mut request = http::Request::get(path);
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let request = request.body(String::new()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(service.calls(), calls, "{path}");
    }
}

#[tokio::test]
async fn a_pass_says_by_which_session() {
    let service = Service::start().await;
    let session = async |Auth(pass): Auth| Pass::session_id(&pass).unwrap().to_string();
    let app = gated(warp::any(), service.gate(), session);
    let identity = Identity::new("alice").unwrap();
    let issued = service.authority.issue(identity, Device::default()).await;
    let issued = issued.unwrap();
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let response = get("/").header("authorization", bearer).reply(&app).await;
    assert_eq!(response.body(), &*issued.session_id.to_string());
}

#[tokio::test]
async fn a_rejection_of_somebody_elses_is_left_alone() {
    #[derive(Debug)]
    struct Teapot;
    impl warp::reject::Reject for Teapot {}

    let service = Service::start().await;
    let teapot = warp::any().and_then(async || Err::<(), Rejection>(warp::reject::custom(Teapot)));
    let body = gate_before(service.gate::<Auth>(), teapot);
    let app = gated(warp::any(), body, service.handler()).recover(async |rejection: Rejection| {
        rejection
            .find::<Teapot>()
            .map(|_| http::StatusCode::IM_A_TEAPOT)
            .ok_or(rejection)
    });
    let request = get("/").header("authorization", service.bearer("").await);
    assert_eq!(request.reply(&app).await.status(), 418);
    assert_eq!(get("/").reply(&app).await.status(), 401);
}

#[tokio::test]
async fn what_is_admitted_answers_privately_where_tokens_travel_in_cookies() {
    async fn alone(
        auth: Result<Authorized<Auth>, AuthRejection>,
    ) -> Result<impl Reply, AuthRejection> {
        let authorized = auth?;
        let subject = authorized.extracted().0.subject().to_string();
        Ok(authorized.reply(subject).await)
    }

    async fn read((Auth(pass), _): (Auth, Value)) -> String {
        pass.subject().to_string()
    }

    for (transport, expected) in [
        (Transport::Cookie, Some("private")),
        (Transport::Both, Some("private")),
        (Transport::Bearer, None),
    ] {
        let service = Service::over(transport).await;
        let body = gate_before(service.gate::<Auth>(), warp::body::json());
        let own = |_: Auth| ready(reply::with_header("own", "cache-control", "public"));
        let app = gated(
            warp::path!("guarded"),
            service.gate(),
            service.handler::<Auth>(),
        )
        .or(gated(warp::path!("read"), body, read))
        .or(gated(warp::path!("own"), service.gate(), own))
        .or(warp::path!("alone").and(service.gate()).then(alone));
        for (path, expected) in [
            ("/guarded", expected),
            ("/read", expected),
            ("/alone", expected),
            ("/own", Some("public")),
        ] {
            let request = get(path).header("authorization", service.bearer("").await);
            let response = request.body("{}").reply(&app).await;
            assert_eq!(response.status(), 200, "{path}");
            let cache_control = response.headers().get("cache-control");
            let cache_control = cache_control.map(|value| value.to_str().unwrap());
            assert_eq!(cache_control, expected, "{transport:?} {path}");
        }
    }
}

/// The gate rotates the session before the extractor looks at the scopes. If the browser lost the
/// new cookies, it would look like a thief two requests later.
#[tokio::test]
async fn a_refusal_after_a_refresh_brings_the_new_cookies() {
    async fn admin(_: Scoped<Admin>) -> &'static str {
        "for administrators"
    }

    let cookies = |builder: AuthorityBuilder| builder.transport(Transport::Cookie);
    let service = TestService::configured(cookies).await;
    let authority = service.authority();
    let pages = gate(authority).auto_refresh(authority);
    let same = pages
        .clone()
        .and_then(async |state: AuthState, _: OwnedRequestHead| Ok(state));
    let app = gated(warp::path!("admin"), pages, admin).or(gated(warp::path!("same"), same, admin));
    for path in ["/admin", "/same"] {
        let alice = service.logged_in("alice").await;
        service.clock().advance(Duration::from_secs(1200));
        let request = get(path).header("cookie", alice.cookie());
        let response = request.reply(&app).await;
        assert_eq!(response.status(), 403, "{path}");
        let set = response.headers().get_all("set-cookie").iter().count();
        assert_eq!(set, 2, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    }
}
