//! Endpoints and gates with browsers: cookies to the letter, and when none may be set.

mod auto_refresh;
mod login_page;
mod replaced;

use std::num::NonZeroU32;

use gatepass::{
    AuthorityBuilder, Transport, Verifier,
    wire::{AuthRejection, AuthState, Delivery},
};
use gatepass_testkit::Op;

use super::*;

const PASSWORD: &str = "wonderland";
const DAY: Duration = Duration::from_secs(86_400);
const ATTRIBUTES: &str = "HttpOnly; Secure; SameSite=Lax; Path=/";
const EMPTY: RequestBody<'_> = RequestBody::Complete(b"");
const LOGIN: &str = r#"{"username":"alice","password":"wonderland"}"#;

type Header<'h> = (&'static str, &'h str);

const JSON: Header<'_> = ("content-type", "application/json");
const CROSS_SITE: Header<'_> = ("sec-fetch-site", "cross-site");

/// Lets every user in with one password, and gives claims of this length.
fn with_claims_of(padding: usize) -> impl Authenticator {
    move |credentials: &Credentials| {
        if credentials.password() != Some(PASSWORD) {
            return Err(AuthenticationError::BadCredentials);
        }
        let identity = Identity::new(credentials.username())?;
        Ok(identity.claims(&json!({ "padding": "x".repeat(padding) }))?)
    }
}

struct Shop {
    authority: Authority,
    endpoints: Endpoints,
    faults: TestStore,
    clock: ManualClock,
}

/// The two cookies that a browser has.
#[derive(Clone, Debug)]
struct Jar {
    access: String,
    refresh: String,
}

impl Jar {
    fn header(&self) -> String {
        format!(
            "__Host-gatepass={}; __Host-gatepass-refresh={}",
            self.access, self.refresh
        )
    }
}

impl Shop {
    async fn open(transport: Transport) -> Self {
        Self::build(transport, 0, |builder| builder).await
    }

    async fn build(
        transport: Transport,
        padding: usize,
        configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let faults = store.clone();
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let builder = Authority::builder(REALM, "shop-api", secret, store)
            .clock(clock.clone())
            .transport(transport)
            .authenticator(with_claims_of(padding));
        let authority = configure(builder).build().await.unwrap();
        let endpoints = Endpoints::builder(authority.clone()).resume().renew();
        Self {
            endpoints: endpoints.build().unwrap(),
            authority,
            faults,
            clock,
        }
    }

    fn verifier(&self) -> &Verifier {
        self.authority.verifier()
    }

    async fn send(&self, method: &str, path: &str, headers: &[Header<'_>], body: &str) -> Reply {
        let head = head(method, path, headers);
        let body = RequestBody::Complete(body.as_bytes());
        let reply = self.endpoints.handle(&head, body).await;
        assert_well_formed(&format!("{method} {path}"), &reply);
        reply
    }

    async fn log_in(&self) -> Jar {
        let reply = self.send("POST", "/auth/login", &[JSON], LOGIN).await;
        jar(&reply)
    }

    async fn post(&self, path: &str, jar: &Jar) -> Reply {
        let cookies = jar.header();
        self.send("POST", path, &[("cookie", &cookies)], "").await
    }
}

fn head<'h>(method: &'h str, path: &'h str, headers: &'h [Header<'h>]) -> RequestHead<'h> {
    RequestHead::new(method, path, |name| {
        let values = headers.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    })
}

fn set_cookies(reply: &Reply) -> Vec<&str> {
    let set = reply.headers().filter(|(name, _)| *name == "set-cookie");
    set.map(|(_, value)| value).collect()
}

fn jar(reply: &Reply) -> Jar {
    let cookies = set_cookies(reply);
    let value = |name: &str| {
        let own = cookies.iter().find_map(|line| line.strip_prefix(name));
        own.unwrap().split(';').next().unwrap().to_owned()
    };
    Jar {
        access: value("__Host-gatepass="),
        refresh: value("__Host-gatepass-refresh="),
    }
}

/// That the reply is this refusal, and sets no cookie.
#[track_caller]
fn assert_refused(case: &str, reply: &Reply, status: u16, reason: &str) {
    assert_eq!(reply.status(), status, "{case}: {}", body(reply));
    let told = body(reply);
    assert_eq!(told.pointer("/reason"), Some(&json!(reason)), "{case}");
    assert_eq!(set_cookies(reply), [""; 0], "{case}");
}

async fn number_of_sessions(shop: &Shop) -> usize {
    let alice = Subject::new("alice").unwrap();
    shop.authority
        .sessions(&alice, None)
        .await
        .unwrap()
        .sessions
        .len()
}

#[tokio::test]
async fn cookies_are_set_and_cleared_to_the_letter() {
    let shop = Shop::open(Transport::Cookie).await;
    let reply = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
    let Jar { access, refresh } = jar(&reply);
    let expected = [
        format!("__Host-gatepass={access}; {ATTRIBUTES}; Max-Age=1209600"),
        format!("__Host-gatepass-refresh={refresh}; {ATTRIBUTES}; Max-Age=1209600"),
    ];
    assert_eq!(set_cookies(&reply), expected);
    assert!(refresh.starts_with("gpr_"));
    assert_eq!(access.split('.').count(), 3);

    shop.clock.advance(Duration::from_secs(600));
    let renewed = shop.post("/auth/renew", &Jar { access, refresh }).await;
    let [line] = set_cookies(&renewed)[..] else {
        panic!("a renewal sets the one cookie");
    };
    // It is of use until it is no more sent than the other one.
    assert!(
        line.ends_with(&format!("{ATTRIBUTES}; Max-Age=1209000")),
        "{line}"
    );

    let jar = shop.log_in().await;
    let reply = shop.post("/auth/logout", &jar).await;
    let cleared = [
        format!("__Host-gatepass=; {ATTRIBUTES}; Max-Age=0"),
        format!("__Host-gatepass-refresh=; {ATTRIBUTES}; Max-Age=0"),
    ];
    assert_eq!(set_cookies(&reply), cleared);
}

#[tokio::test]
async fn a_refresh_in_the_last_second_of_a_session_clears_nothing() {
    let short = |builder: AuthorityBuilder| builder.absolute_ttl(DAY).idle_ttl(DAY);
    let shop = Shop::build(Transport::Cookie, 0, short).await;
    // The rest of the session is counted from the whole second before, and is less than one all the
    // same.
    shop.clock.advance(Duration::from_millis(900));
    let first = shop.log_in().await;
    shop.clock.advance(DAY - Duration::from_millis(400));
    let reply = shop.post("/auth/refresh", &first).await;
    assert_eq!(reply.status(), 200);
    for line in set_cookies(&reply) {
        assert!(line.ends_with("; Max-Age=1"), "{line}");
    }
    assert_eq!(set_cookies(&reply).len(), 2);
}

/// Everything that a browser may ask for by cookie, and which operation of the store it cannot do
/// without.
const BY_COOKIE: [(&str, &str, &str); 10] = [
    ("POST", "/auth/login", LOGIN),
    ("POST", "/auth/refresh", ""),
    (
        "POST",
        "/auth/reauthenticate",
        r#"{"password":"wonderland"}"#,
    ),
    ("POST", "/auth/resume", ""),
    ("POST", "/auth/renew", ""),
    ("POST", "/auth/logout", ""),
    ("POST", "/auth/logout-all", ""),
    ("GET", "/auth/sessions", ""),
    ("DELETE", "/auth/sessions", ""),
    ("DELETE", "/auth/sessions/AAAAAAAAAAAAAAAAAAAAAAAA", ""),
];

#[tokio::test]
async fn a_store_that_fails_is_503_and_no_cookie_is_touched() {
    let faults = [
        StoreFault::Fail(StoreErrorKind::Unavailable),
        StoreFault::LoseAnswer(StoreErrorKind::Unavailable),
    ];
    for fault in faults {
        for (method, path, sent) in BY_COOKIE {
            let shop = Shop::open(Transport::Cookie).await;
            let jar = shop.log_in().await;
            let cookies = jar.header();
            shop.faults.inject_everywhere(fault);
            let headers = [("cookie", cookies.as_str()), JSON];
            let reply = shop.send(method, path, &headers, sent).await;
            let case = format!("{method} {path} {fault:?}");
            assert_refused(&case, &reply, 503, "store_unavailable");
            assert_eq!(header(&reply, "retry-after"), Some("2"), "{case}");

            // Nothing is lost: the same cookies do, once the store is back, even if they were
            // spent.
            shop.faults.heal();
            let reply = shop.post("/auth/logout", &jar).await;
            assert_eq!(
                (reply.status(), set_cookies(&reply).len()),
                (204, 2),
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn insecure_cookies_are_set_on_this_machine_only() {
    let insecure = AuthorityBuilder::danger_insecure_cookies_on_localhost;
    let shop = Shop::build(Transport::Cookie, 0, insecure).await;
    for host in ["localhost:3000", "127.0.0.1:3000", "[::1]", "app.localhost"] {
        let headers = [JSON, ("host", host)];
        let reply = shop.send("POST", "/auth/login", &headers, LOGIN).await;
        let [access, refresh] = set_cookies(&reply)[..] else {
            panic!("{host}: {}", body(&reply));
        };
        for (line, name) in [(access, "gatepass="), (refresh, "gatepass-refresh=gpr_")] {
            assert!(line.starts_with(name), "{host}: {line}");
            let attributes = "; HttpOnly; SameSite=Lax; Path=/; Max-Age=1209600";
            assert!(line.ends_with(attributes), "{host}: {line}");
        }
        let cookie = access.split(';').next().unwrap();
        let headers = [("host", host), ("cookie", cookie)];
        let listed = shop.send("GET", "/auth/sessions", &headers, "").await;
        assert_eq!(listed.status(), 200, "{host}");
        // A cookie of the name that is kept for TLS is not one of ours here.
        let prefixed = format!("__Host-{cookie}");
        let headers = [("host", host), ("cookie", prefixed.as_str())];
        let reply = shop.send("GET", "/auth/sessions", &headers, "").await;
        assert_refused(host, &reply, 401, "missing");

        let elsewhere = [
            "shop.example",
            "localhost.evil.example",
            "192.168.0.7:3000",
            "127.0.0.1.evil.example",
            "",
        ];
        for other in elsewhere {
            let reply = shop
                .send("POST", "/auth/login", &[JSON, ("host", other)], LOGIN)
                .await;
            assert_refused(other, &reply, 403, "cross_site");
            for method in ["GET", "DELETE"] {
                let headers = [("host", other), ("cookie", cookie)];
                let reply = shop.send(method, "/auth/sessions", &headers, "").await;
                assert_refused(other, &reply, 403, "cross_site");
            }
            let headers = [("host", other)];
            let identity = Identity::new("alice").unwrap();
            let head = head("GET", "/callback", &headers);
            let reply = shop
                .endpoints
                .issue(identity, &head, Delivery::Cookies)
                .await
                .unwrap_err()
                .into_reply();
            assert_refused(other, &reply, 403, "cross_site");
        }
        // No host at all, or two.
        for hosts in [&[][..], &[("host", host), ("host", host)]] {
            let headers = [&[JSON], hosts].concat();
            let reply = shop.send("POST", "/auth/login", &headers, LOGIN).await;
            assert_refused("no one host", &reply, 403, "cross_site");
        }
    }
}

#[tokio::test]
async fn pages_of_trusted_origins_may_use_the_cookies_and_others_may_not() {
    let trusting = |builder: AuthorityBuilder| {
        builder
            .trusted_origin("https://app.example")
            .trusted_origin("http://localhost:5173")
    };
    let shop = Shop::build(Transport::Cookie, 0, trusting).await;
    let jar = shop.log_in().await;
    let cookies = jar.header();
    for site in ["", "cross-site", "same-site"] {
        for (origin, status) in [
            ("https://app.example", 200),
            ("http://localhost:5173", 200),
            ("http://app.example", 403),
            ("https://app.example:443", 403),
            ("https://app.example:8443", 403),
            ("https://app.example.evil.example", 403),
            ("https://APP.example", 403),
            ("https://evil.example", 403),
            ("null", 403),
        ] {
            let headers = [
                ("cookie", cookies.as_str()),
                ("host", "shop.example"),
                ("sec-fetch-site", site),
                ("origin", origin),
            ];
            let reply = shop.send("POST", "/auth/renew", &headers, "").await;
            assert_eq!(reply.status(), status, "{site:?} {origin}");
        }
    }
}

#[tokio::test]
async fn the_host_of_http_2_is_that_of_its_target() {
    let shop = Shop::open(Transport::Cookie).await;
    let cookies = shop.log_in().await.header();
    let headers = [
        ("cookie", cookies.as_str()),
        ("origin", "https://shop.example"),
        ("host", "evil.example"),
    ];
    for (host, allowed) in [("shop.example", true), ("evil.example", false)] {
        let head = head("POST", "/me", &headers).target_host(Some(host));
        let authorized = Gate::new(shop.verifier()).judge(&head).await;
        assert_eq!(authorized.is_ok(), allowed, "{host}");
    }
}

#[tokio::test]
async fn a_token_too_long_for_a_cookie_is_a_500_that_sets_nothing() {
    let shop = Shop::build(Transport::Both, 3500, |builder| builder).await;
    let login = r#"{"username":"alice","password":"wonderland","transport":"cookie"}"#;
    let reply = shop.send("POST", "/auth/login", &[JSON], login).await;
    assert_refused("login", &reply, 500, "internal");
    // Nothing was begun that the browser does not get.
    assert_eq!(number_of_sessions(&shop).await, 0);
    let identity = Identity::new("alice").unwrap();
    let identity = identity
        .claims(&json!({ "padding": "x".repeat(3500) }))
        .unwrap();
    let head = head("GET", "/callback", &[]);
    let reply = shop
        .endpoints
        .issue(identity, &head, Delivery::Cookies)
        .await
        .unwrap_err()
        .into_reply();
    assert_refused("a login done elsewhere", &reply, 500, "internal");
    assert_eq!(number_of_sessions(&shop).await, 0);
    // As a bearer it does.
    let reply = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
    assert_eq!(reply.status(), 200);
    let token = |name: &str| body(&reply)[name].as_str().unwrap().to_owned();
    let jar = Jar {
        access: token("access_token"),
        refresh: token("refresh_token"),
    };
    let cookies = jar.header();
    let headers = [("cookie", cookies.as_str()), JSON];
    let password = r#"{"password":"wonderland"}"#;
    for (path, sent) in [
        ("/auth/refresh", ""),
        ("/auth/renew", ""),
        ("/auth/reauthenticate", password),
    ] {
        let reply = shop.send("POST", path, &headers, sent).await;
        assert_refused(path, &reply, 500, "internal");
    }
}

#[tokio::test]
async fn a_login_done_elsewhere_is_answered_as_it_asks() {
    let alice = || Identity::new("alice").unwrap();
    // The way back from an identity provider is a navigation from its site.
    let headers = [CROSS_SITE];
    for (transport, delivery, status, cookies) in [
        (Transport::Bearer, Delivery::Body, 200, 0),
        (Transport::Bearer, Delivery::Cookies, 500, 0),
        (Transport::Cookie, Delivery::Body, 200, 0),
        (Transport::Cookie, Delivery::Cookies, 200, 2),
        (Transport::Both, Delivery::Body, 200, 0),
        (Transport::Both, Delivery::Cookies, 200, 2),
    ] {
        let case = format!("{transport:?} {delivery:?}");
        let shop = Shop::open(transport).await;
        let head = head("GET", "/callback", &headers);
        let issued = shop.endpoints.issue(alice(), &head, delivery).await;
        let reply = match issued {
            Ok(delivered) => delivered.into_reply(),
            Err(rejection) => rejection.into_reply(),
        };
        assert_well_formed(&case, &reply);
        assert_eq!(reply.status(), status, "{case}");
        assert_eq!(set_cookies(&reply).len(), cookies, "{case}");
        let told = body(&reply).get("access_token").is_some();
        assert_eq!(told, status == 200 && cookies == 0, "{case}");
    }
}

#[tokio::test]
async fn the_debug_of_a_reply_shows_no_cookie_and_no_body() {
    let shop = Shop::open(Transport::Both).await;
    let login = r#"{"username":"alice","password":"wonderland","transport":"cookie"}"#;
    let by_cookie = shop.send("POST", "/auth/login", &[JSON], login).await;
    let in_body = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
    let Jar { access, refresh } = jar(&by_cookie);
    let token = |name: &str| body(&in_body)[name].as_str().unwrap().to_owned();
    for secret in [
        access,
        refresh,
        token("access_token"),
        token("refresh_token"),
    ] {
        let cookies = format!("__Host-gatepass={secret}");
        let headers = [("cookie", cookies.as_str())];
        let shown = format!(
            "{by_cookie:?} {in_body:#?} {:?}",
            head("GET", "/", &headers)
        );
        // No part of it either.
        for part in secret.split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_optional_gate_judges_where_a_request_with_cookies_comes_from() {
    let shop = Shop::open(Transport::Cookie).await;
    let good = shop.log_in().await.header();
    let optional = Requirements::new().optional();
    let guard = async |method: &str, headers: &[Header<'_>]| {
        let head = head(method, "/maybe", headers);
        let gate = Gate::new(shop.verifier()).require(optional.clone());
        let guarded = gate.judge(&head).await;
        guarded.map(|state| state.optional_pass().is_some())
    };
    let refused = |outcome: Result<bool, AuthRejection>| {
        outcome.is_err_and(|rejection| rejection.refusal() == Some(&Refusal::CrossSite))
    };
    let cookie = ("cookie", good.as_str());
    for site in ["cross-site", "same-site"] {
        let site = ("sec-fetch-site", site);
        assert!(guard("GET", &[cookie, site]).await.unwrap());
        assert!(refused(guard("POST", &[cookie, site]).await));
        assert!(refused(
            guard("POST", &[("cookie", "__Host-gatepass=x"), site]).await
        ));
        // Without a cookie the request acts in the name of no user.
        assert!(!guard("POST", &[site]).await.unwrap());
        assert!(!guard("POST", &[("cookie", "a=b"), site]).await.unwrap());
    }
    assert!(guard("POST", &[cookie]).await.unwrap());
    assert!(
        !guard("POST", &[("cookie", "__Host-gatepass=x")])
            .await
            .unwrap()
    );
    // A store that cannot be asked is no reason to take a user for a stranger.
    shop.faults
        .inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    shop.clock.advance(Duration::from_secs(3));
    let rejection = guard("GET", &[cookie]).await.unwrap_err();
    assert!(matches!(rejection.error(), Error::Store(_)));
    assert!(!guard("GET", &[]).await.unwrap());
}

#[tokio::test]
async fn resume_and_renew_are_mounted_where_they_are_configured() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    let cookies = jar.header();
    for (resume, renew) in [(false, false), (true, false), (false, true)] {
        let mut builder = Endpoints::builder(shop.authority.clone());
        if resume {
            builder = builder.resume();
        }
        if renew {
            builder = builder.renew();
        }
        let endpoints = builder.build().unwrap();
        for (path, mounted) in [("/auth/resume", resume), ("/auth/renew", renew)] {
            assert_eq!(endpoints.paths().any(|own| own == path), mounted, "{path}");
            let headers = [("cookie", cookies.as_str())];
            let head = head("POST", path, &headers);
            let reply = endpoints.handle(&head, EMPTY).await;
            assert_eq!(reply.status(), if mounted { 200 } else { 404 }, "{path}");
            assert_eq!(
                set_cookies(&reply).len(),
                usize::from(mounted && renew),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn no_answer_both_sets_and_clears() {
    let shop = Shop::open(Transport::Both).await;
    let login = r#"{"username":"alice","password":"wonderland","transport":"cookie"}"#;
    let mut seen = 0;
    for spoilt in ["", "x"] {
        for (method, path, sent) in BY_COOKIE {
            let mut jar = jar(&shop.send("POST", "/auth/login", &[JSON], login).await);
            jar.access.push_str(spoilt);
            let cookies = jar.header();
            let headers = [("cookie", cookies.as_str()), JSON];
            let reply = shop.send(method, path, &headers, sent).await;
            let lines = set_cookies(&reply);
            let cleared = lines
                .iter()
                .filter(|line| line.ends_with("Max-Age=0"))
                .count();
            let is_logout = path.starts_with("/auth/logout");
            assert!(
                cleared == 0 || (cleared == lines.len() && is_logout),
                "{path}: {lines:?}"
            );
            seen += cleared;
        }
    }
    // Both ways to log out with good cookies, and the refresh cookie alone.
    assert_eq!(seen, 6);
}
