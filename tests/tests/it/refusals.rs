//! Requests over a socket reach every reason for a refusal or a failure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use clap::Parser;
use example_app::{App, NewUser, Settings};
use gatepass::{
    Authority, Change, MemoryStore, Requirements, Scopes, Subject, Verifier,
    issuers::{Issuers, TrustedIssuer},
    keys::Algorithm,
    store::{SessionStore, StoreErrorKind},
};
use gatepass_axum::{Auth, GateLayer};
use gatepass_testkit::{
    ManualClock, StoreFault, TestStore,
    scenario::{CLIENTS, USERS},
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use test_support::{
    forge::{Forge, Members, SECRET, master},
    web::Web,
};
use tokio::{net::TcpListener, task::JoinSet};

const DAY: Duration = Duration::from_secs(86_400);

/// The example application on its own port, and the tools to deceive it.
struct Service {
    clock: ManualClock,
    faults: TestStore,
    forge: Forge,
    http: Client,
    url: String,
    authority: Authority,
    _server: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("jwt.secret");
        std::fs::write(&secret, SECRET).unwrap();
        let clients = CLIENTS.map(|(id, secret)| match secret {
            Some(secret) => format!("{id}:{secret}"),
            None => id.to_owned(),
        });
        let mut args = vec!["example", "--store", "memory:", "--transport", "both"];
        args.extend(["--jwt-secret-file", secret.to_str().unwrap()]);
        args.extend(clients.iter().flat_map(|client| ["--client", client]));
        let settings = Settings::parse_from(args);

        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let faults = store.clone();
        let store: Arc<dyn SessionStore> = Arc::new(store);
        let app = App::with_store(&settings, master(1), store, clock.clone());
        let app = app.await.unwrap();
        let users =
            USERS.map(|(name, password, scope)| NewUser::new(name, password, scope).unwrap());
        app.users.replace_all(users.into()).await.unwrap();

        let unguarded = async |_: Auth| "this handler must never run";
        let strong = Requirements::new().acr(["phr"]).unwrap();
        let strongly = GateLayer::new(&app.authority).require(strong);
        let vault = get(async |_: Auth| "a treasure").route_layer(strongly);
        let router = example_axum::router(&app)
            .route("/unguarded", get(unguarded))
            .route("/vault", vault)
            .merge(theirs().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            clock,
            faults,
            forge: Forge::trusted(Algorithm::Hs256),
            http: Client::new(),
            url,
            authority: app.authority.clone(),
            _server: server,
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).json(body)
    }

    fn form(&self, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        self.http
            .post(format!("{}{path}", self.url))
            .form(parameters)
    }

    async fn login(&self) -> Value {
        let alice = json!({ "username": "alice", "password": "alice's password" });
        json_of(self.post("/auth/login", &alice), 200).await
    }

    /// A token of a live session with a valid signature. `change` alters the header and the claims.
    async fn forged(&self, change: impl Fn(Members, Members) -> (Members, Members)) -> String {
        let token = text(&self.login().await["access_token"]);
        let payload = token.split('.').nth(1).unwrap();
        let claims = Members::parse(&test_support::forge::unbase64url(payload));
        let (header, claims) = change(self.forge.header(), claims);
        self.forge.token(header.to_string(), claims.to_string())
    }
}

/// A route for the tokens of another issuer. The keys of that issuer can't be fetched.
async fn theirs() -> Router {
    let trusted = TrustedIssuer::new("https://login.example", "shop-api");
    let issuers = Issuers::new(Web::default()).trust(trusted);
    let verifier = Verifier::of_issuers("https://shop.example", issuers, MemoryStore::new());
    let gate = GateLayer::new(verifier.build().await.unwrap());
    let handler = async |_: Auth| "this handler must never run";
    Router::new().route("/theirs", get(handler)).layer(gate)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn json_of(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status);
    response.json().await.unwrap()
}

/// The names of the reasons that were reached.
struct Reached(BTreeSet<String>);

impl Reached {
    async fn expect(&mut self, reason: &str, status: u16, request: RequestBuilder) {
        let response = request.send().await.unwrap();
        let answered = response.status().as_u16();
        let said: Value = response.json().await.unwrap();
        assert_eq!(
            (answered, said["reason"].as_str()),
            (status, Some(reason)),
            "{said}"
        );
        self.0.insert(reason.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_reached_over_a_socket() {
    let service = Service::start().await;
    let mut reached = Reached(BTreeSet::new());
    about_tokens(&service, &mut reached).await;
    about_requests(&service, &mut reached).await;
    about_rights(&service, &mut reached).await;
    about_refresh_tokens(&service, &mut reached).await;
    about_ourselves(&service, &mut reached).await;

    let source = include_str!("../../../crates/gatepass/src/model/refusal.rs");
    let (_, refusal) = source.split_once("impl Refusal {").unwrap();
    let (_, names) = refusal.split_once("pub const fn reason").unwrap();
    let (names, _) = names.split_once("\n    }\n").unwrap();
    let all: BTreeSet<String> = names
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .chain(["store_unavailable", "issuer_unavailable", "internal"].map(str::to_owned))
        .collect();
    assert_eq!(reached.0, all);
}

async fn about_tokens(service: &Service, reached: &mut Reached) {
    let me = |token: &str| service.get("/me").bearer_auth(token);
    let quoted = |text: &str| format!("{text:?}");
    let claim = async |name: &str, value: String| {
        service
            .forged(|header, claims| (header, claims.with(name, &value)))
            .await
    };
    let header = async |name: &str, value: &str| {
        let value = quoted(value);
        service
            .forged(|header, claims| (header.with(name, &value), claims))
            .await
    };
    let good = service.forged(|header, claims| (header, claims)).await;
    let accepted = me(&good).send().await.unwrap();
    assert_eq!(accepted.status(), 200, "the forge makes good tokens");

    reached.expect("malformed", 401, me("a.b.c")).await;
    let mut altered = good.clone();
    let swapped = if altered.remove(altered.len() - 9) == 'A' {
        'B'
    } else {
        'A'
    };
    altered.insert(altered.len() - 8, swapped);
    reached.expect("bad_signature", 401, me(&altered)).await;
    let of_nobody = header("kid", "nobody's").await;
    reached.expect("unknown_key", 401, me(&of_nobody)).await;
    let id_token = header("typ", "JWT").await;
    reached.expect("wrong_type", 401, me(&id_token)).await;
    let foreign = claim("iss", quoted("https://elsewhere.example")).await;
    reached.expect("wrong_issuer", 401, me(&foreign)).await;
    let others = claim("aud", quoted("another service")).await;
    reached.expect("wrong_audience", 401, me(&others)).await;
    let expired = claim("exp", "1000000000".to_owned()).await;
    reached.expect("expired", 401, me(&expired)).await;
    let early = claim("nbf", "9000000000".to_owned()).await;
    reached.expect("not_yet_valid", 401, me(&early)).await;
    let session = quoted(&"A".repeat(24));
    let of_no_session = claim("sid", session).await;
    reached
        .expect("unknown_session", 401, me(&of_no_session))
        .await;

    let admin = service.get("/admin").bearer_auth(&good);
    reached.expect("insufficient_scope", 403, admin).await;
    let vault = service.get("/vault").bearer_auth(&good);
    reached.expect("authentication_too_weak", 401, vault).await;
    service.clock.advance(Duration::from_secs(301));
    let transfer = service.post("/transfer", &json!({})).bearer_auth(&good);
    reached
        .expect("authentication_too_old", 401, transfer)
        .await;
    let logout = service.post("/auth/logout", &json!({})).bearer_auth(&good);
    assert_eq!(logout.send().await.unwrap().status(), 204);
    reached.expect("revoked", 401, me(&good)).await;
}

async fn about_requests(service: &Service, reached: &mut Reached) {
    reached.expect("missing", 401, service.get("/me")).await;
    let two = service.get("/me").bearer_auth("a").bearer_auth("b");
    reached.expect("ambiguous", 400, two).await;
    let bob = |password: &str| json!({ "username": "bob", "password": password });
    let login = service.post("/auth/login", &bob("a guess"));
    reached.expect("bad_credentials", 401, login).await;
    for _ in 0..20 {
        let login = service.post("/auth/login", &bob("a guess"));
        if login.send().await.unwrap().status() == 429 {
            break;
        }
    }
    let login = service.post("/auth/login", &bob("a guess"));
    reached.expect("too_many_attempts", 429, login).await;
    let cookie = service
        .post("/profile", &json!({}))
        .header("cookie", "__Host-gatepass=a.b.c")
        .header("sec-fetch-site", "cross-site");
    reached.expect("cross_site", 403, cookie).await;
    let stranger = service.form(
        "/auth/introspect",
        &[("token", "a"), ("client_id", "nobody")],
    );
    reached.expect("invalid_client", 401, stranger).await;
}

async fn about_rights(service: &Service, reached: &mut Reached) {
    let token = text(&service.login().await["access_token"]);
    let none = Change::enforced(|identity| Ok(identity.scopes(Scopes::default())));
    let alice = Subject::new("alice").unwrap();
    assert!(service.authority.change(&alice, &none).await.unwrap() > 0);
    let me = service.get("/me").bearer_auth(&token);
    reached.expect("stale_grant", 401, me).await;
}

async fn about_refresh_tokens(service: &Service, reached: &mut Reached) {
    let refresh = |token: &Value| service.post("/auth/refresh", &json!({ "refresh_token": token }));
    let tokens = service.login().await;
    let first = &tokens["refresh_token"];
    let wider = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str().unwrap()),
        ("scope", "admin"),
    ];
    reached
        .expect("invalid_scope", 400, service.form("/auth/token", &wider))
        .await;
    let by_another = service
        .form("/auth/token", &wider[..2])
        .basic_auth("backend", Some("the-backend's-secret"));
    reached.expect("wrong_client", 400, by_another).await;

    let second = json_of(refresh(first), 200).await;
    service.clock.advance(Duration::from_secs(31));
    let third = json_of(refresh(&second["refresh_token"]), 200).await;
    service.clock.advance(Duration::from_secs(31));
    reached.expect("reused", 401, refresh(first)).await;
    let third = &third["refresh_token"];
    reached.expect("session_ended", 401, refresh(third)).await;

    let idle = service.login().await;
    service.clock.advance(15 * DAY);
    let idle = refresh(&idle["refresh_token"]);
    reached.expect("refresh_expired", 401, idle).await;
}

async fn about_ourselves(service: &Service, reached: &mut Reached) {
    let theirs = service.forged(|header, claims| {
        let theirs = claims.with("iss", r#""https://login.example""#);
        (header, theirs)
    });
    let theirs = service.get("/theirs").bearer_auth(theirs.await);
    reached.expect("issuer_unavailable", 503, theirs).await;
    reached
        .expect("internal", 500, service.get("/unguarded"))
        .await;
    let token = text(&service.login().await["access_token"]);
    let fault = StoreFault::Fail(StoreErrorKind::Unavailable);
    service.faults.inject_everywhere(fault);
    let strict = service.get("/strict").bearer_auth(&token);
    reached.expect("store_unavailable", 503, strict).await;
    service.faults.heal();
    let strict = service.get("/strict").bearer_auth(&token);
    assert_eq!(strict.send().await.unwrap().status(), 200);
}
