//! What is logged: every event by its stable name, with what an operator needs, and no secret.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Demand, Device, Error, Grant,
    Issued, KeySet, MasterSecret, MemoryStore, Reread, SecretSet, Session, SigningKey, Staleness,
    Transport, Verifier, async_trait,
    wire::{Delivery, Endpoints, Reply, RequestBody, RequestHead, Surface, refuse},
};
use gatepass_testkit::{Fault, FaultyStore, ManualClock, Op};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tracing::{
    Event, Level, Subscriber,
    field::Field,
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};
use world::{
    Durable, HOUR, MINUTE, SECOND, SECRET, World, builder, login, refresh, refusal, subject,
    verify, verify_with,
};

#[path = "common/world.rs"]
#[allow(dead_code, reason = "each file of tests needs its own part of it")]
mod world;

#[path = "events/oauth.rs"]
mod oauth;

const PASSWORD: &str = "correct horse battery staple";
const USERNAME: &str = "alice-as-she-typed-it";

/// All that is logged, by anybody, at any level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Logged>>>);

struct Logged {
    level: Level,
    target: String,
    fields: BTreeMap<String, String>,
}

impl Logged {
    fn name(&self) -> &str {
        let message = self.fields.get("message").map_or("", String::as_str);
        message.split(':').next().unwrap_or_default()
    }
}

impl tracing::field::Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut logged = Logged {
            level: *span.metadata().level(),
            target: span.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        span.record(&mut logged);
        self.0.lock().unwrap().push(logged);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut logged = Logged {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        event.record(&mut logged);
        self.0.lock().unwrap().push(logged);
    }
}

impl Log {
    /// Listens to this thread, which a test has for itself.
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// That the last event of this name is of this level, and has these fields and no others.
    #[track_caller]
    fn has(&self, level: Level, name: &str, fields: &[(&str, &str)]) {
        let log = self.0.lock().unwrap();
        let found = log.iter().rev().find(|logged| {
            let same = |(key, value): &(&str, &str)| {
                logged
                    .fields
                    .get(*key)
                    .is_some_and(|is| *value == "*" || is == value)
            };
            logged.name() == name && fields.iter().all(same)
        });
        let Some(found) = found else {
            panic!("no {name} with {fields:?}:\n{}", text(&log));
        };
        assert_eq!(
            (found.level, found.target.as_str()),
            (level, "gatepass"),
            "{name}"
        );
        let keys: Vec<_> = found
            .fields
            .keys()
            .filter(|key| *key != "message")
            .collect();
        let mut expected: Vec<_> = fields.iter().map(|(key, _)| *key).collect();
        expected.sort_unstable();
        assert_eq!(keys, expected, "{name}");
    }

    fn text(&self) -> String {
        text(&self.0.lock().unwrap())
    }
}

fn text(log: &[Logged]) -> String {
    let mut text = String::new();
    for logged in log {
        let Logged {
            level,
            target,
            fields,
        } = logged;
        writeln!(text, "{level} {target} {fields:?}").unwrap();
    }
    text
}

/// Knows one user, and does with the user's name what an application may do.
struct OneUser;

#[async_trait]
impl Authenticator for OneUser {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Grant, AuthenticationError> {
        match credentials.password() {
            PASSWORD => Ok(Grant::new(subject("alice"))),
            "again" => Err(AuthenticationError::TooManyAttempts {
                retry_after: MINUTE,
            }),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reread(&self, _: &Session) -> Result<Reread, AuthenticationError> {
        Ok(Reread::Unchanged)
    }
}

/// Everything that must never be seen, with what it is.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn standing() -> Self {
        let mut secrets = Self::default();
        secrets.add("password", PASSWORD);
        secrets.add_key("master secret", SECRET);
        let labels = [
            ("refresh key", "gatepass refresh token HMAC-SHA256 v1", 64),
            ("access key", "gatepass access token HS256 v1", 32),
        ];
        for (what, label, bytes) in labels {
            secrets.add_key(what, &derived(label, bytes));
        }
        secrets
    }

    fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.to_owned()));
    }

    fn add_key(&mut self, what: &str, bytes: &[u8]) {
        let head = bytes.first_chunk::<12>().unwrap();
        self.add(what, &String::from_utf8_lossy(bytes));
        let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(what, &hex.to_uppercase());
        self.add(what, &hex);
        // Twelve bytes, so that no padding hides the beginning of a longer text.
        self.add(what, &STANDARD.encode(head));
        self.add(what, &URL_SAFE_NO_PAD.encode(head));
        // As `Debug` writes bytes.
        let listed = format!("{head:?}");
        self.add(what, listed.trim_matches(['[', ']']));
    }

    fn add_issued(&mut self, issued: &Issued) {
        self.add("refresh token", issued.refresh_token.as_str());
        self.add(
            "refresh token",
            issued.refresh_token.as_str().trim_start_matches("gpr_"),
        );
        let access = issued.access_token.as_str();
        self.add("access token", access);
        // The header is the same for all, and no secret, but whoever logs it logs the rest.
        for segment in access.split('.') {
            self.add("segment", segment);
        }
    }

    #[track_caller]
    fn assert_absent(&self, text: &str) {
        for (what, secret) in &self.0 {
            assert!(!text.contains(secret), "{what} {secret:?} in:\n{text}");
        }
    }
}

/// HKDF-SHA256 without a salt, as far as `bytes` (RFC 5869).
fn derived(label: &str, bytes: usize) -> Vec<u8> {
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let prk = hmac(&[0; 32], &[SECRET]);
    let mut output = Vec::new();
    let mut last = Vec::new();
    for counter in 1_u8.. {
        if output.len() >= bytes {
            break;
        }
        last = hmac(&prk, &[&last, label.as_bytes(), &[counter]]).to_vec();
        output.extend_from_slice(&last);
    }
    output.truncate(bytes);
    output
}

#[tokio::test]
async fn every_event_has_its_stable_name_and_fields_and_no_secret() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let world = World::sqlite();
    let store = FaultyStore::new(world.store.clone());
    let handle = store.handle();
    let node = builder(store, &world.clock).authenticator(OneUser);
    let node = node.store_timeout(SECOND).build().await.unwrap();
    let session = |issued: &Issued| issued.session_id.to_string();

    let credentials = Credentials::new(USERNAME, PASSWORD);
    let issued = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&issued);
    let of_alice = [
        ("subject", "alice"),
        ("session", &session(&issued)),
        ("jti", "*"),
    ];
    log.has(Level::INFO, "session.issued", &of_alice);
    for (password, reason) in [("wrong", "bad_credentials"), ("again", "too_many_attempts")] {
        let credentials = Credentials::new(PASSWORD, password);
        refusal(node.login(&credentials, Device::default()).await);
        log.has(Level::INFO, "login.refused", &[("reason", reason)]);
    }

    verify(&node, &issued).await.unwrap();
    log.has(Level::DEBUG, "token.verified", &of_alice);

    let refreshed = refresh(&node, &issued).await.unwrap();
    secrets.add_issued(&refreshed);
    let with = |name, value| [&of_alice[..], &[(name, value)]].concat();
    log.has(Level::INFO, "session.refreshed", &with("generation", "1"));
    secrets.add_issued(&refresh(&node, &issued).await.unwrap());
    log.has(Level::INFO, "session.replayed", &of_alice);
    world.clock.advance(31 * SECOND);
    secrets.add_issued(&refresh(&node, &issued).await.unwrap());
    let recovered = [&of_alice[..2], &[("generation", "0")]].concat();
    log.has(Level::WARN, "session.recovered", &recovered);

    let single = verify(&node, &issued).await.unwrap();
    node.revoke_token(&single).await.unwrap();
    log.has(Level::INFO, "token.revoked", &of_alice);
    refusal(verify(&node, &issued).await);
    log.has(Level::INFO, "token.refused", &with("reason", "revoked"));

    let latest = refresh(&node, &refreshed).await.unwrap();
    secrets.add_issued(&latest);
    world.clock.advance(31 * SECOND);
    refusal(refresh(&node, &issued).await);
    let reuse = [&of_alice[..2], &[("gap", "2"), ("age_ms", "62000")]].concat();
    log.has(Level::WARN, "session.reuse_detected", &reuse);
    let ended = [
        ("subject", "alice".into()),
        ("session", session(&issued)),
        ("reason", "reuse".into()),
    ];
    let ended = ended.each_ref().map(|(key, value)| (*key, value.as_str()));
    log.has(Level::INFO, "session.ended", &ended);
    let refused = [("session", session(&issued)), ("reason", "reused".into())];
    let refused = refused
        .each_ref()
        .map(|(key, value)| (*key, value.as_str()));
    log.has(Level::INFO, "refresh.refused", &refused);

    // What is wrong with tokens that are ours in part at most.
    let access = latest.access_token.as_str();
    let forged = format!("{}AAAA", &access[..access.len() - 4]);
    let tokens = [
        ("not a token", "malformed"),
        (latest.refresh_token.as_str(), "wrong_type"),
        (&forged, "bad_signature"),
    ];
    for (token, reason) in tokens {
        refusal(node.verifier().verify(token, &Demand::new()).await);
        log.has(Level::INFO, "token.refused", &[("reason", reason)]);
        secrets.add("refused token", token);
    }
    refusal(node.refresh(access).await);
    log.has(Level::INFO, "refresh.refused", &[("reason", "wrong_type")]);

    let other = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&other);
    world.clock.advance(HOUR);
    refusal(verify(&node, &other).await);
    let expired = [
        ("subject", "alice"),
        ("session", &session(&other)),
        ("jti", "*"),
        ("reason", "expired"),
    ];
    log.has(Level::INFO, "token.refused", &expired);
    node.logout(other.refresh_token.as_str()).await.unwrap();
    let ended = [("session", session(&other)), ("reason", "logout".into())];
    let ended = ended.each_ref().map(|(key, value)| (*key, value.as_str()));
    log.has(Level::INFO, "session.ended", &ended);

    // A token of a generation that the store does not remember to have given.
    let last = login(&node, "alice").await;
    secrets.add_issued(&last);
    let ahead = ahead_by_three(&last).await;
    secrets.add_issued(&ahead);
    let found = refresh(&node, &ahead).await.unwrap();
    secrets.add_issued(&found);
    let behind = [
        ("subject", "alice"),
        ("session", &session(&last)),
        ("gap", "3"),
    ];
    log.has(Level::ERROR, "store.behind", &behind);

    handle.inject_everywhere(Fault::Fail(gatepass::StoreErrorKind::Unavailable));
    world.clock.advance(3 * SECOND);
    verify(&node, &found).await.unwrap_err();
    log.has(
        Level::WARN,
        "denylist.stale",
        &[("error", "the store is unavailable")],
    );
    for (operation, failed) in [
        ("load", refresh(&node, &found).await.is_err()),
        (
            "end",
            node.logout(found.refresh_token.as_str()).await.is_err(),
        ),
        (
            "status",
            verify_with(&node, &found, Staleness::Strict).await.is_err(),
        ),
    ] {
        assert!(failed);
        let unavailable = [
            ("operation", operation),
            ("error", "the store is unavailable"),
            ("source", ""),
        ];
        log.has(Level::ERROR, "store.unavailable", &unavailable);
    }
    handle.heal();

    World::memory().node().await;
    log.has(Level::WARN, "store.volatile", &[]);
    let text = log.text();
    secrets.assert_absent(&text);
    assert!(
        !text.contains(USERNAME),
        "what was typed as a name may be a password:\n{text}"
    );
}

/// The refresh token three refreshes later, from a store that this node lost.
async fn ahead_by_three(issued: &Issued) -> Issued {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let new = gatepass::NewSession {
        id: issued.session_id,
        client: gatepass::ClientId::new("default").unwrap(),
        grant: Grant::new(subject("alice")),
        device: Device::default(),
        idle_ttl: HOUR,
        absolute_ttl: HOUR,
        access_ttl: MINUTE,
        max_sessions: None,
    };
    gatepass::SessionStore::begin(&store, new).await.unwrap();
    let node = builder(store, &clock).build().await.unwrap();
    let mut ahead = issued.clone();
    for _ in 0..3 {
        ahead = refresh(&node, &ahead).await.unwrap();
    }
    ahead
}

#[tokio::test]
async fn whatever_a_browser_does_no_token_is_logged() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock)
        .transport(Transport::Cookie)
        .authenticator(OneUser);
    let node = node.build().await.unwrap();
    let endpoints = Endpoints::builder(node.clone()).resume().renew();
    let endpoints = endpoints.build().unwrap();
    let send = async |path: &str, cookies: &str, origin: &str, body: &str| {
        let head = RequestHead::collect("POST", path, |name| {
            let value = match name {
                "content-type" => "application/json",
                "cookie" => cookies,
                "origin" => origin,
                _ => "",
            };
            (!value.is_empty()).then_some(value.as_bytes()).into_iter()
        });
        endpoints
            .handle(&head, RequestBody::Complete(body.as_bytes()))
            .await
    };
    let with = |password: &str| format!(r#"{{"username":"alice","password":"{password}"}}"#);
    let reply = send("/auth/login", "", "", &with(PASSWORD)).await;
    let mut cookies = String::new();
    let mut keep = |reply: &Reply| {
        let set = reply.headers().filter(|(name, _)| *name == "set-cookie");
        let set: Vec<_> = set
            .map(|(_, line)| line.split(';').next().unwrap())
            .collect();
        for cookie in &set {
            let (_, token) = cookie.split_once('=').unwrap();
            secrets.add("cookie", token);
            token
                .split('.')
                .for_each(|part| secrets.add("segment", part));
        }
        set.join("; ")
    };
    cookies.push_str(&keep(&reply));

    send("/auth/renew", &cookies, "https://evil.example", "").await;
    log.has(Level::INFO, "token.refused", &[("reason", "cross_site")]);
    keep(&send("/auth/renew", &cookies, "", "").await);
    let of_alice = [("subject", "alice"), ("session", "*"), ("jti", "*")];
    log.has(Level::INFO, "session.renewed", &of_alice);
    send("/auth/reauthenticate", &cookies, "", &with("wrong")).await;
    let refused = [&of_alice[..2], &[("reason", "bad_credentials")]].concat();
    log.has(Level::INFO, "reauthentication.refused", &refused);
    keep(&send("/auth/reauthenticate", &cookies, "", &with(PASSWORD)).await);
    log.has(Level::INFO, "session.reauthenticated", &of_alice[..2]);
    world.clock.advance(20 * MINUTE);
    keep(&send("/auth/resume", &cookies, "", "").await);
    send("/auth/resume", &cookies.repeat(2), "", "").await;
    send("/auth/logout", &cookies.replace("gpr_", "gpr_A"), "", "").await;
    let reply = send("/auth/logout", &cookies, "", "").await;
    assert_eq!(reply.status(), 204);
    secrets.assert_absent(&log.text());
}

#[tokio::test]
async fn a_token_too_long_for_a_cookie_is_logged_as_the_mistake_that_it_is() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock).transport(Transport::Cookie);
    let node = node.build().await.unwrap();
    let endpoints = Endpoints::builder(node).build().unwrap();
    let long = BTreeMap::from([("long", "x".repeat(3500))]);
    let grant = Grant::new(subject("alice")).claims(&long).unwrap();
    let head = RequestHead::collect("GET", "/callback", |_| std::iter::empty());
    let reply = endpoints.issued(grant, &head, Delivery::Cookies).await;
    assert_eq!(reply.status(), 500);
    let told =
        "subject, scopes and custom claims make the access token longer than a cookie may be";
    log.has(Level::ERROR, "internal", &[("error", told)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_says_when_its_store_went_and_when_it_came_back_and_no_more() {
    let (log, _listening) = Log::listen();
    let clock = ManualClock::new();
    let store = FaultyStore::new(Durable(MemoryStore::with_clock(clock.clone())));
    let handle = store.handle();
    let _node = builder(store, &clock).build().await.unwrap();
    handle.inject(Op::Pull, Fault::Fail(gatepass::StoreErrorKind::TimedOut));
    tokio::time::sleep(MINUTE).await;
    handle.heal();
    tokio::time::sleep(MINUTE).await;
    let pull = [
        ("operation", "pull"),
        ("error", "the store did not answer in time"),
        ("source", ""),
    ];
    log.has(Level::ERROR, "store.unavailable", &pull);
    log.has(Level::INFO, "store.available", &[]);
    assert_eq!(log.0.lock().unwrap().len(), 2, "{}", log.text());
}

#[tokio::test]
async fn no_debug_and_no_display_shows_a_secret() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let clock = ManualClock::new();
    let mut shown = Shown(String::new());

    let master = MasterSecret::from_bytes(SECRET).unwrap();
    let previous: Vec<_> = SECRET.iter().rev().copied().collect();
    secrets.add_key("previous secret", &previous);
    let previous = MasterSecret::from_bytes(&previous).unwrap();
    let key = SigningKey::derived(&master);
    let keys = KeySet::signing(key.clone());
    shown.debug(&[&master, &key, key.verifying_key(), &keys]);
    let world = World::memory();
    let with_users = || {
        let secrets = SecretSet::new(master.clone()).announce(previous.clone());
        Authority::builder(
            "https://shop.example",
            "shop-api",
            secrets,
            world.store.clone(),
        )
        .clock(clock.clone())
        .authenticator(OneUser)
    };
    let verifying = Verifier::builder(
        "https://shop.example",
        "shop-api",
        keys,
        world.store.clone(),
    );
    shown.debug(&[&with_users(), &verifying]);
    let node: Authority = with_users().build().await.unwrap();
    let credentials = Credentials::new("alice", PASSWORD);
    let issued = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&issued);
    let pass = verify(&node, &issued).await.unwrap();
    let session = node.sessions(&subject("alice")).await.unwrap();
    let (access, token) = (&issued.access_token, &issued.refresh_token);
    shown.debug(&[
        &node,
        node.verifier(),
        &credentials,
        &issued,
        access,
        token,
        &pass,
        &session,
    ]);

    // Every error that a token can be the cause of, and every build that a secret can fail.
    let (access, token) = (access.as_str(), token.as_str());
    let forged = format!("{}AAAA", &access[..access.len() - 4]);
    let spaced = format!(" {access}");
    // Another last character than the one that is there, which may be either.
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    let changed = format!("{}{last}", &token[..token.len() - 1]);
    for text in [
        token,
        &forged,
        &spaced,
        PASSWORD,
        &access[..20],
        &format!("{token}x"),
    ] {
        secrets.add("presented", text);
        shown.error(
            &node
                .verifier()
                .verify(text, &Demand::new())
                .await
                .unwrap_err(),
        );
        shown.error(&node.logout(&format!("{text}!")).await.unwrap_err());
    }
    for text in [access, &format!("{token}x"), &changed] {
        shown.error(&node.refresh(text).await.unwrap_err());
    }
    shown.debug(&[&MasterSecret::from_bytes(PASSWORD.as_bytes()).unwrap_err()]);
    shown.debug(&[&SigningKey::hs256(PASSWORD.as_bytes()).unwrap_err()]);
    shown.debug(&[&SigningKey::from_any_pem(SECRET).unwrap_err()]);

    // The wire: heads, bodies and replies.
    let endpoints = Endpoints::builder(node.clone()).build().unwrap();
    shown.debug(&[&endpoints]);
    let bearer = format!("Bearer {access}");
    let login = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let refresh = format!(r#"{{"refresh_token":"{token}"}}"#);
    let broken = format!(r#"{{"password":"{PASSWORD}","#);
    let requests = [
        ("POST", "/auth/login", login.as_str()),
        ("POST", "/auth/login", broken.as_str()),
        ("POST", "/auth/refresh", refresh.as_str()),
        ("GET", "/auth/sessions", ""),
        ("POST", "/auth/logout", refresh.as_str()),
        ("POST", "/auth/refresh", refresh.as_str()),
    ];
    for (method, path, body) in requests {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let head = RequestHead::collect(method, path, |name| {
            let named = headers.iter().filter(move |(own, _)| *own == name);
            named.map(|(_, value)| value.as_bytes())
        });
        let body = RequestBody::Complete(body.as_bytes());
        shown.debug(&[&head, &body]);
        let reply = endpoints.handle(&head, body).await;
        shown.debug(&[&reply]);
        if let Ok(body) = serde_json::from_slice::<serde_json::Value>(reply.body()) {
            for name in ["access_token", "refresh_token"] {
                if let Some(token) = body.get(name).and_then(|token| token.as_str()) {
                    secrets.add("token of a reply", token);
                }
            }
        }
    }

    secrets.assert_absent(&shown.0);
    secrets.assert_absent(&log.text());
}

/// All that was shown.
struct Shown(String);

impl Shown {
    fn debug(&mut self, all: &[&dyn Debug]) {
        for one in all {
            writeln!(self.0, "{one:?} {one:#?}").unwrap();
        }
    }

    /// An error in every form that it has, the wire's too.
    fn error(&mut self, error: &Error) {
        self.debug(&[error, &refuse(error, "shop", Surface::Grant)]);
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = next {
            writeln!(self.0, "{error}").unwrap();
            next = error.source();
        }
        for surface in [Surface::Grant, Surface::Resource] {
            let reply = refuse(error, "shop", surface);
            self.0.push_str(&String::from_utf8_lossy(reply.body()));
            reply.headers().for_each(|header| self.debug(&[&header]));
        }
    }
}

#[test]
fn a_secret_that_was_logged_would_be_found() {
    let secrets = Secrets::standing();
    for (what, secret) in &secrets.0 {
        let text = format!("before {secret} after");
        assert!(
            std::panic::catch_unwind(|| secrets.assert_absent(&text)).is_err(),
            "{what}"
        );
    }
    let in_bytes = format!("{:?}", SECRET.to_vec());
    assert!(std::panic::catch_unwind(|| secrets.assert_absent(&in_bytes)).is_err());
}
