//! The facts that an operator learns about refusals: their address, their user name, and their
//! number.

use gatepass::{
    Authority, Credentials, Device, Issued, MasterSecret, Requirements, Transport,
    wire::{Endpoints, Reply, RequestBody, RequestHead},
};
use test_support::{
    log::Log,
    world::{MINUTE, SECOND, World, builder, login, refusal},
};
use tracing::Level;

use crate::observe::events::{PASSWORD, USERNAME, one_user};

const AGENT: &str = "Thief/1.0";
const ADDRESS: &str = "203.0.113.9";

type Header<'h> = (&'static str, &'h str);

const JSON: Header<'_> = ("content-type", "application/json");
const CROSS_SITE: Header<'_> = ("sec-fetch-site", "cross-site");

struct Shop {
    world: World,
    node: Authority,
    endpoints: Endpoints,
}

impl Shop {
    async fn open() -> Self {
        let world = World::memory();
        let node = builder(world.store.clone(), &world.clock)
            .transport(Transport::Both)
            .authenticator(one_user);
        let node = node.build().await.unwrap();
        let endpoints = Endpoints::builder(node.clone()).resume();
        Self {
            world,
            node,
            endpoints: endpoints.build().unwrap(),
        }
    }

    async fn post(&self, path: &str, headers: &[Header<'_>], body: &str) -> Reply {
        let head = RequestHead::new("POST", path, |name| {
            let agent = (name == "user-agent").then_some(AGENT);
            let values = headers.iter().filter(move |(own, _)| *own == name);
            let values = values.map(|(_, value)| *value).chain(agent);
            values.map(str::as_bytes)
        });
        let head = head.address(Some(ADDRESS.parse().unwrap()));
        let body = RequestBody::Complete(body.as_bytes());
        self.endpoints.handle(&head, body).await
    }
}

const SEEN: [(&str, &str); 2] = [("address", ADDRESS), ("user_agent", AGENT)];

fn with<'f>(fields: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    [&SEEN, fields].concat()
}

#[tokio::test]
async fn a_refusal_says_where_it_came_from_and_on_which_name() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let wrong = format!(r#"{{"username":"{USERNAME}","password":"wrong"}}"#);
    shop.post("/auth/login", &[JSON], &wrong).await;
    let fields = with(&[("reason", "bad_credentials"), ("name_hash", "*")]);
    log.has(Level::INFO, "login.refused", &fields);
    let form = format!("grant_type=refresh_token&refresh_token={}", "x".repeat(9));
    let of_form: Header<'_> = ("content-type", "application/x-www-form-urlencoded");
    shop.post("/auth/token", &[of_form], &form).await;
    log.has(
        Level::INFO,
        "refresh.refused",
        &with(&[("reason", "malformed")]),
    );

    // The session's own, which the owner and a thief both have.
    let first = login(&shop.node, "alice").await;
    let body = format!(r#"{{"refresh_token":"{}"}}"#, first.refresh_token.as_str());
    let second = shop.post("/auth/refresh", &[JSON], &body).await;
    let second: serde_json::Value = serde_json::from_slice(second.body()).unwrap();
    shop.world.clock.advance(MINUTE);
    let token = second["refresh_token"].as_str().unwrap();
    let next = format!(r#"{{"refresh_token":"{token}"}}"#);
    assert_eq!(
        shop.post("/auth/refresh", &[JSON], &next).await.status(),
        200
    );
    shop.world.clock.advance(MINUTE);
    assert_eq!(
        shop.post("/auth/refresh", &[JSON], &body).await.status(),
        401
    );
    let session = first.session_id.to_string();
    let of_alice = [
        ("subject", "alice"),
        ("session", &*session),
        ("name_hash", "*"),
    ];
    let reuse = with(&[&of_alice[..], &[("gap", "2")]].concat());
    log.has(Level::WARN, "session.reuse_detected", &reuse);
    let reused = with(&[&of_alice[..], &[("reason", "reused")]].concat());
    log.has(Level::INFO, "refresh.refused", &reused);
    let other = log.values("login.refused", "name_hash");
    let hash = log.values("session.reuse_detected", "name_hash");
    assert_ne!(hash, other);
    let alice = r#"{"username":"alice","password":"wrong"}"#;
    shop.post("/auth/login", &[JSON], alice).await;
    assert!(log.values("login.refused", "name_hash").is_superset(&hash));

    let pass = login(&shop.node, "alice").await;
    let bearer = format!("Bearer {}", pass.access_token.as_str());
    let headers = [JSON, ("authorization", bearer.as_str())];
    shop.post("/auth/reauthenticate", &headers, r#"{"password":"wrong"}"#)
        .await;
    let fields = [
        ("subject", "alice"),
        ("session", "*"),
        ("reason", "bad_credentials"),
    ];
    log.has(Level::INFO, "reauthentication.refused", &with(&fields));
}

#[tokio::test]
async fn attempts_on_one_name_have_one_hash_as_long_as_the_secret_does_not_change() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let attempt = async |name: &str| {
        let credentials = Credentials::new(name, "wrong");
        refusal(shop.node.login(&credentials, Device::default()).await);
    };
    for name in ["alice", "alice", "hunter2"] {
        attempt(name).await;
    }
    assert_eq!(log.values("login.refused", "name_hash").len(), 2);
    let text = log.text();
    assert!(
        !text.contains("alice") && !text.contains("hunter2"),
        "{text}"
    );
    let other = MasterSecret::from_bytes(&[7; 32]).unwrap();
    shop.node.replace_secrets(&other.into()).unwrap();
    attempt("alice").await;
    assert_eq!(log.values("login.refused", "name_hash").len(), 3);
}

#[tokio::test]
async fn a_user_agent_that_the_application_passes_cannot_break_a_line_of_the_log() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let mut device = Device::default();
    device.user_agent = Some(format!("a\u{202e}b\nc{}", "d".repeat(300)));
    let credentials = Credentials::new("alice", "wrong");
    refusal(shop.node.login(&credentials, device.clone()).await);
    let kept = format!("abc{}", "d".repeat(253));
    let fields = [
        ("reason", "bad_credentials"),
        ("name_hash", "*"),
        ("user_agent", &*kept),
    ];
    log.has(Level::INFO, "login.refused", &fields);
    let right = Credentials::new("alice", PASSWORD);
    let issued = shop.node.login(&right, device).await.unwrap();
    let (session, _) = shop.world.store.load(issued.session_id).await.unwrap();
    assert_eq!(session.unwrap().device.user_agent, Some(kept));
}

#[tokio::test]
async fn requests_from_elsewhere_and_with_two_tokens_are_told_wherever_they_are_refused() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let login = format!(r#"{{"username":"alice","password":"{PASSWORD}","transport":"cookie"}}"#);
    shop.post("/auth/login", &[JSON, CROSS_SITE], &login).await;
    log.has(
        Level::INFO,
        "login.refused",
        &with(&[("reason", "cross_site")]),
    );

    let cookies = ("cookie", "__Host-gatepass=a; __Host-gatepass-refresh=b");
    let twice = (
        "cookie",
        "__Host-gatepass=a; __Host-gatepass=b; __Host-gatepass-refresh=a; __Host-gatepass-refresh=b",
    );
    for (headers, reason) in [
        ([cookies, CROSS_SITE], "cross_site"),
        ([twice, JSON], "ambiguous"),
    ] {
        for path in ["/auth/logout", "/auth/logout-all", "/auth/resume"] {
            let before = log.count("token.refused");
            shop.post(path, &headers, "").await;
            assert!(log.count("token.refused") > before, "{path} {reason}");
            log.has(Level::INFO, "token.refused", &[("reason", reason)]);
        }
        shop.post("/auth/refresh", &headers, "").await;
        log.has(Level::INFO, "refresh.refused", &with(&[("reason", reason)]));
    }
    let bearers = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    let before = log.count("token.refused");
    shop.post("/auth/logout", &bearers, "").await;
    assert_eq!(log.count("token.refused"), before + 1);
    // Nothing was presented, so that nothing was refused.
    let before = (log.count("token.refused"), log.count("refresh.refused"));
    for path in ["/auth/refresh", "/auth/logout", "/auth/resume"] {
        shop.post(path, &[], "").await;
    }
    assert_eq!(
        (log.count("token.refused"), log.count("refresh.refused")),
        before
    );
    // A client that does not say in one way who it is.
    let form: Header<'_> = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        [form, ("authorization", "Basic !")],
        [
            ("authorization", "Basic YTpi"),
            ("authorization", "Basic YTpi"),
        ],
    ] {
        let before = log.count("client.refused");
        shop.post("/auth/revoke", &headers, "token=a").await;
        assert_eq!(log.count("client.refused"), before + 1);
    }
    log.has(
        Level::INFO,
        "client.refused",
        &with(&[("reason", "ambiguous")]),
    );
}

#[tokio::test]
async fn a_flood_of_refusals_is_sampled_and_the_next_one_says_so() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let verify = async |token: &str| {
        let verifier = shop.node.verifier();
        refusal(verifier.verify(token, &Requirements::new()).await);
    };
    for _ in 0..25 {
        verify("garbage").await;
    }
    assert_eq!(log.count("token.refused"), 10);
    verify("a.b.c.d.e").await;
    assert_eq!(log.count("token.refused"), 10);
    let refresh_token = login(&shop.node, "alice").await.refresh_token;
    verify(refresh_token.as_str()).await;
    log.has(Level::INFO, "token.refused", &[("reason", "wrong_type")]);
    shop.world.clock.advance(SECOND);
    verify("garbage").await;
    let fields = [("reason", "malformed"), ("suppressed", "16")];
    log.has(Level::INFO, "token.refused", &fields);
    verify("garbage").await;
    log.has(Level::INFO, "token.refused", &[("reason", "malformed")]);
}

#[tokio::test]
async fn a_session_that_a_login_replaces_ends_with_that_reason() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    let old = login(&shop.node, "alice").await;
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}","transport":"cookie"}}"#);
    let cookies = format!("__Host-gatepass={}", old.access_token.as_str());
    let headers = [JSON, ("cookie", cookies.as_str())];
    assert_eq!(
        shop.post("/auth/login", &headers, &body).await.status(),
        200
    );
    let session = old.session_id.to_string();
    let ended = [
        ("subject", "alice"),
        ("session", &*session),
        ("reason", "replaced"),
    ];
    log.has(Level::INFO, "session.ended", &with(&ended));
}

#[tokio::test]
async fn a_refresh_that_is_answered_again_from_elsewhere_is_a_warning() {
    let mut laptop = Device::default();
    laptop.user_agent = Some("Owner/1.0".into());
    laptop.address = Some("192.0.2.1".parse().unwrap());
    let mut other_agent = laptop.clone();
    other_agent.user_agent = Some(AGENT.into());
    let mut other_address = laptop.clone();
    other_address.address = Some(ADDRESS.parse().unwrap());
    // A node that reads users again takes another way to the same end.
    for (elsewhere, reloads) in [(other_agent, false), (other_address, true)] {
        let (log, _listening) = Log::listen();
        let world = World::memory();
        let node = builder(world.store.clone(), &world.clock);
        let node = match reloads {
            true => node.authenticator(one_user),
            false => node,
        };
        let node = node.build().await.unwrap();
        let refresh = async |issued: &Issued, device: &Device| {
            let token = issued.refresh_token.as_str();
            let refreshed = node.refresh_as(node.client_id(), token, None, Some(device));
            refreshed.await.unwrap()
        };
        let issued = login(&node, "alice").await;
        // A login that says nothing of its device differs from none.
        refresh(&issued, &laptop).await;
        refresh(&issued, &laptop).await;
        let session = issued.session_id.to_string();
        let of_alice = [("subject", "alice"), ("session", &*session)];
        let replayed = [&of_alice[..], &[("jti", "*")]].concat();
        log.has(Level::INFO, "session.replayed", &replayed);
        refresh(&issued, &elsewhere).await;
        let address = elsewhere.address.unwrap().to_string();
        let seen = [
            ("elsewhere", "true"),
            ("address", &*address),
            ("user_agent", elsewhere.user_agent.as_deref().unwrap()),
        ];
        let replayed = [&replayed[..], &seen].concat();
        log.has(Level::WARN, "session.replayed", &replayed);
        // To answer it again is no refresh: the laptop is still where the session was seen last.
        refresh(&issued, &laptop).await;
        assert_eq!(log.values("session.replayed", "elsewhere").len(), 1);
        assert_eq!(log.count("session.replayed"), 3);

        world.clock.advance(MINUTE);
        refresh(&issued, &elsewhere).await;
        let recovered = [&of_alice[..], &[("generation", "0")], &seen].concat();
        log.has(Level::WARN, "session.recovered", &recovered);
    }
}
