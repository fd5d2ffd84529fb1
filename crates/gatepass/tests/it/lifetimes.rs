//! Lifetimes that a login gives to its session, and sessions without a refresh token.

use std::collections::BTreeSet;
use std::{sync::Arc, time::Duration};

use gatepass::{
    AuthenticationError, Authenticator, Authority, AuthorityBuilder, Change, Credentials, Device,
    Error, Identity, IdentityError, Issued, Refusal, Scopes, Session, Transport, UserUpdate,
    async_trait,
    store::SessionStore,
    wire::{Delivery, Endpoints, Gate, Reply, RequestBody, RequestHead},
};
use gatepass_testkit::OnePassword;
use serde_json::{Value, json};
use test_support::world::{
    DAY, HOUR, MINUTE, SECOND, World, builder, login, refresh, refusal, subject, verify,
};

test_support::on_both_stores! {
    a_session_stays_unused_for_as_long_as_its_login_says
    a_session_lasts_for_as_long_as_its_login_says
    nothing_gives_a_session_other_lifetimes_than_its_login
    a_lifetime_out_of_bounds_begins_no_session
    sessions_keep_lifetimes_that_a_login_could_not_have_any_more
    an_access_only_session_is_listed_and_ends
    an_access_only_session_is_over_with_its_access_token
    an_access_only_session_goes_on_by_renewals_until_its_absolute_end
    an_access_only_session_never_gets_a_refresh_token
    an_impersonation_ends_at_the_earlier_of_its_two_ends
}

const MILLI: Duration = Duration::from_millis(1);

fn remembering(world: &World) -> AuthorityBuilder {
    builder(Arc::clone(&world.store), &world.clock).max_absolute_ttl(365 * DAY)
}

fn alice() -> Identity {
    Identity::of(subject("alice"))
}

async fn issue(node: &Authority, identity: Identity) -> Issued {
    node.issue(identity, Device::default()).await.unwrap()
}

async fn number_of_sessions(node: &Authority) -> usize {
    let page = node.sessions(&subject("alice"), None).await.unwrap();
    page.sessions.len()
}

/// Users of whom each reload says something else than their logins.
struct Forgetful;

#[async_trait]
impl Authenticator for Forgetful {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Ok(alice().idle_ttl(HOUR).absolute_ttl(2 * HOUR))
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let scopes = match session.identity.granted_scopes().is_empty() {
            true => Scopes::parse("read").unwrap(),
            false => Scopes::default(),
        };
        Ok(UserUpdate::Changed(alice().scopes(scopes).idle_ttl(MINUTE)))
    }
}

async fn a_session_stays_unused_for_as_long_as_its_login_says(world: World) {
    // With an authenticator a refresh reads the session first, and without one it doesn't.
    let asking = remembering(&world).authenticator(OnePassword::new("a password"));
    for node in [remembering(&world), asking] {
        let node = node.build().await.unwrap();
        for ttl in [20 * MINUTE, 3 * DAY, 40 * DAY] {
            let mut last = issue(&node, alice().idle_ttl(ttl)).await;
            assert_eq!(last.refresh_expires_at.since(last.server_time), ttl);
            world.clock.advance(ttl.checked_sub(SECOND).unwrap());
            last = refresh(&node, &last).await.unwrap();
            assert_eq!(last.refresh_expires_at.since(last.server_time), ttl);
            world.clock.advance(ttl);
            let refused = refusal(refresh(&node, &last).await);
            assert_eq!(refused, Refusal::RefreshExpired, "{ttl:?}");
        }
    }
}

async fn a_session_lasts_for_as_long_as_its_login_says(world: World) {
    let node = remembering(&world).build().await.unwrap();
    for ttl in [HOUR, DAY, 365 * DAY] {
        let mut last = issue(&node, alice().absolute_ttl(ttl).idle_ttl(ttl)).await;
        let (session, _) = world.store.load(last.session_id).await.unwrap();
        let end = session.unwrap().absolute_expires_at;
        assert_eq!(end.since(last.server_time), ttl);
        for _ in 0..4 {
            world.clock.advance(ttl / 5);
            last = refresh(&node, &last).await.unwrap();
            assert_eq!(last.refresh_expires_at, end);
        }
        world.clock.advance(ttl / 5);
        let refused = refusal(refresh(&node, &last).await);
        assert_eq!(refused, Refusal::SessionEnded, "{ttl:?}");
    }
    // Others are as they were.
    let usual = login(&node, "alice").await;
    assert_eq!(usual.refresh_expires_at.since(usual.server_time), 14 * DAY);
}

async fn nothing_gives_a_session_other_lifetimes_than_its_login(world: World) {
    let node = remembering(&world).authenticator(Forgetful);
    let node = node.build().await.unwrap();
    let credentials = Credentials::new("alice", "anything");
    let begun = node.login(&credentials, Device::default()).await.unwrap();
    let end = begun.server_time + 2 * HOUR;
    let pass = verify(&node, &begun).await.unwrap();
    world.clock.advance(MINUTE);
    let refreshed = refresh(&node, &begun).await.unwrap();
    assert_eq!(
        refreshed.refresh_expires_at.since(refreshed.server_time),
        HOUR
    );
    let change = Change::enforced(|identity| Ok(identity.idle_ttl(DAY).absolute_ttl(DAY)));
    node.change(&subject("alice"), &change).await.unwrap();
    world.clock.advance(MINUTE);
    let longer = alice().idle_ttl(DAY).absolute_ttl(DAY);
    let device = Device::default();
    let again = node.reauthenticated(&pass, longer, &device).await.unwrap();
    assert_eq!(again.refresh_expires_at.since(again.server_time), HOUR);
    world.clock.advance(59 * MINUTE);
    let last = refresh(&node, &again).await.unwrap();
    assert_eq!(last.refresh_expires_at, end.min(last.server_time + HOUR));
    world.clock.advance(HOUR);
    let over = refusal(refresh(&node, &last).await);
    assert_eq!(over, Refusal::SessionEnded);
}

async fn a_lifetime_out_of_bounds_begins_no_session(world: World) {
    let usual = world.node().await;
    let longer = remembering(&world).build().await.unwrap();
    for (node, identity, fits) in [
        (&usual, alice().idle_ttl(90 * DAY), true),
        (&usual, alice().idle_ttl(90 * DAY + MILLI), false),
        (&usual, alice().absolute_ttl(90 * DAY + MILLI), false),
        (&usual, alice().absolute_ttl(30 * SECOND), true),
        (&usual, alice().absolute_ttl(30 * SECOND - MILLI), false),
        (&usual, alice().idle_ttl(Duration::ZERO), false),
        (&usual, alice().idle_ttl(Duration::MAX), false),
        (&longer, alice().absolute_ttl(365 * DAY), true),
        (&longer, alice().absolute_ttl(365 * DAY + MILLI), false),
    ] {
        let before = number_of_sessions(node).await;
        let issued = node.issue(identity.clone(), Device::default()).await;
        match issued {
            Ok(_) => assert!(fits, "{identity:?}"),
            Err(Error::Identity(IdentityError::SessionTtl)) => assert!(!fits, "{identity:?}"),
            Err(error) => panic!("{identity:?}: {error:?}"),
        }
        let begun = number_of_sessions(node).await - before;
        assert_eq!(begun, usize::from(fits), "{identity:?}");
    }
}

/// The operator has lowered the maximum since, and logs no user out by that.
async fn sessions_keep_lifetimes_that_a_login_could_not_have_any_more(world: World) {
    let before = remembering(&world).build().await.unwrap();
    let begun = issue(&before, alice().absolute_ttl(365 * DAY).idle_ttl(200 * DAY)).await;
    world.clock.advance(150 * DAY);
    let after = builder(Arc::clone(&world.store), &world.clock).authenticator(Forgetful);
    let after = after.build().await.unwrap();
    let refreshed = refresh(&after, &begun).await.unwrap();
    assert_eq!(
        refreshed.refresh_expires_at.since(refreshed.server_time),
        200 * DAY
    );
}

async fn an_access_only_session_is_listed_and_ends(world: World) {
    let node = world.node().await;
    let other = world.node().await;
    for by_id in [false, true] {
        let issued = issue(&node, alice().access_only()).await;
        assert!(issued.refresh_token.is_empty());
        assert_eq!(issued.refresh_expires_at, issued.expires_at);
        assert_eq!(number_of_sessions(&node).await, 1);
        let refused = refusal(refresh(&node, &issued).await);
        assert_eq!(refused, Refusal::Malformed);
        verify(&node, &issued).await.unwrap();
        match by_id {
            true => drop(node.end_session(issued.session_id).await.unwrap()),
            false => drop(node.logout(issued.access_token.as_str()).await.unwrap()),
        }
        assert_eq!(number_of_sessions(&node).await, 0);
        world.clock.advance(3 * SECOND);
        for node in [&node, &other] {
            let refused = refusal(verify(node, &issued).await);
            assert_eq!(refused, Refusal::Revoked);
        }
    }
}

async fn an_access_only_session_is_over_with_its_access_token(world: World) {
    let node = world.node().await;
    for (identity, ttl) in [
        (alice().access_only(), 15 * MINUTE),
        (alice().access_only().access_ttl(2 * HOUR), 2 * HOUR),
        (alice().access_only().idle_ttl(DAY), 15 * MINUTE),
    ] {
        let issued = issue(&node, identity).await;
        assert_eq!(issued.expires_at.since(issued.server_time), ttl);
        world.clock.advance(ttl.checked_sub(MILLI).unwrap());
        assert_eq!(number_of_sessions(&node).await, 1);
        world.clock.advance(MILLI);
        assert_eq!(number_of_sessions(&node).await, 0);
        // The row goes as soon as no token can be good on any clock.
        world.clock.advance(10 * MINUTE);
        let horizon = issued.server_time + DAY;
        let purged = world.store.purge(horizon, 100).await.unwrap();
        assert!(purged.removed > 0);
        let (session, _) = world.store.load(issued.session_id).await.unwrap();
        assert_eq!(session, None);
    }
}

async fn an_access_only_session_goes_on_by_renewals_until_its_absolute_end(world: World) {
    let node = world.node().await;
    let issued = issue(&node, alice().access_only().absolute_ttl(HOUR)).await;
    let mut access = issued.access_token.as_str().to_owned();
    for _ in 0..5 {
        world.clock.advance(10 * MINUTE);
        let renewed = node.renew(&access).await.unwrap();
        access = renewed.access_token.as_str().to_owned();
        assert_eq!(number_of_sessions(&node).await, 1);
        assert!(renewed.expires_at <= issued.server_time + HOUR);
    }
    world.clock.advance(10 * MINUTE);
    assert_eq!(refusal(node.renew(&access).await), Refusal::Revoked);
    assert_eq!(number_of_sessions(&node).await, 0);
}

async fn an_access_only_session_never_gets_a_refresh_token(world: World) {
    let node = remembering(&world).authenticator(Forgetful);
    let node = node.build().await.unwrap();
    let issued = issue(&node, alice().access_only()).await;
    let pass = verify(&node, &issued).await.unwrap();
    let credentials = Credentials::new("alice", "anything");
    let device = Device::default();
    let typed = node.reauthenticate(&pass, &credentials, &device).await;
    let told = node.reauthenticated(&pass, alice(), &device).await;
    for again in [typed.unwrap(), told.unwrap()] {
        assert!(again.refresh_token.is_empty());
        assert_eq!(again.refresh_expires_at, again.expires_at);
    }
    let (session, _) = world.store.load(issued.session_id).await.unwrap();
    assert!(session.unwrap().identity.is_access_only());
}

async fn an_impersonation_ends_at_the_earlier_of_its_two_ends(world: World) {
    let node = remembering(&world).build().await.unwrap();
    for (own, end) in [(None, HOUR), (Some(MINUTE), MINUTE), (Some(DAY), HOUR)] {
        let acting = alice().impersonated_by(subject("support"), HOUR);
        let acting = match own {
            Some(own) => acting.absolute_ttl(own),
            None => acting,
        };
        let issued = issue(&node, acting).await;
        let (session, _) = world.store.load(issued.session_id).await.unwrap();
        let lasts = session
            .unwrap()
            .absolute_expires_at
            .since(issued.server_time);
        assert_eq!(lasts, end, "{own:?}");
    }
}

/// A service with cookies, where a login says how long it is remembered.
struct Shop {
    authority: Authority,
    endpoints: Endpoints,
    world: World,
}

fn by_wish(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    if credentials.password() != Some("wonderland") {
        return Err(AuthenticationError::BadCredentials);
    }
    let identity = Identity::new(credentials.username())?;
    Ok(match credentials.extra::<String>("keep").as_deref() {
        Some("browser") => identity.session_cookies(),
        Some("access") => identity.access_only(),
        _ => identity,
    })
}

impl Shop {
    async fn open(transport: Transport) -> Self {
        let world = World::memory();
        let authority = builder(Arc::clone(&world.store), &world.clock)
            .transport(transport)
            .authenticator(by_wish);
        let authority = authority.build().await.unwrap();
        let endpoints = Endpoints::builder(authority.clone())
            .renew()
            .password_grant();
        Self {
            endpoints: endpoints.build().unwrap(),
            authority,
            world,
        }
    }

    async fn post(&self, path: &str, cookies: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json"), ("cookie", cookies)];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let body = RequestBody::Complete(body.as_bytes());
        self.endpoints.handle(&head(path, &headers), body).await
    }

    async fn login(&self, keep: &str) -> Reply {
        let body = json!({ "username": "alice", "password": "wonderland", "keep": keep });
        let reply = self.post("/auth/login", "", &body).await;
        assert_eq!(reply.status(), 200);
        reply
    }
}

fn head<'h>(path: &'h str, headers: &'h [(&'static str, &'h str)]) -> RequestHead<'h> {
    RequestHead::new("POST", path, move |name| {
        let values = headers.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    })
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap()
}

fn set_cookies(reply: &Reply) -> Vec<String> {
    let cookies = reply.headers().filter(|(name, _)| *name == "set-cookie");
    cookies.map(|(_, value)| value.to_owned()).collect()
}

/// The cookies that a browser sends back.
fn jar(cookies: &[String]) -> String {
    let pairs = cookies
        .iter()
        .map(|cookie| cookie.split_once(';').unwrap().0);
    pairs.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn cookies_of_a_login_that_is_not_remembered_have_no_max_age() {
    let shop = Shop::open(Transport::Cookie).await;
    let remembered = set_cookies(&shop.login("").await);
    assert!(
        remembered
            .iter()
            .all(|cookie| cookie.ends_with("; Max-Age=1209600"))
    );
    let forgotten = set_cookies(&shop.login("browser").await);
    assert_eq!(forgotten.len(), 2);
    let cookies = jar(&forgotten);
    let mut all = forgotten;
    shop.world.clock.advance(MINUTE);
    all.extend(set_cookies(
        &shop.post("/auth/renew", &cookies, &Value::Null).await,
    ));
    let refreshed = shop.post("/auth/refresh", &cookies, &Value::Null).await;
    all.extend(set_cookies(&refreshed));
    let cookies = jar(&set_cookies(&refreshed));
    let again = json!({ "password": "wonderland" });
    all.extend(set_cookies(
        &shop.post("/auth/reauthenticate", &cookies, &again).await,
    ));
    assert_eq!(all.len(), 7);
    for cookie in all {
        assert!(
            cookie.ends_with("; HttpOnly; Secure; SameSite=Lax; Path=/"),
            "{cookie}"
        );
    }
    // A gate sets them in the same way.
    let cookies = jar(&set_cookies(&refreshed));
    shop.world.clock.advance(HOUR);
    let gate = Gate::new(&shop.authority).auto_refresh(&shop.authority);
    let headers = [("cookie", &*cookies)];
    let judged = gate.judge(&head("/page", &headers)).await.unwrap();
    let mut outgoing = judged.outgoing();
    outgoing.settle().await;
    let mut response = Response::default();
    outgoing.apply(&mut response);
    let cookies = response.0.iter().filter(|(name, _)| *name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value).collect();
    assert_eq!(cookies.len(), 2);
    assert!(
        cookies.iter().all(|cookie| cookie.ends_with("; Path=/")),
        "{cookies:?}"
    );
}

#[derive(Default)]
struct Response(Vec<(&'static str, String)>);

impl gatepass::wire::ResponseHeaders for Response {
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        let values = self.0.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        self.0.retain(|(own, _)| *own != name);
        self.append(name, value);
    }

    fn append(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }
}

#[tokio::test]
async fn answers_about_an_access_only_session_bring_no_refresh_token() {
    let shop = Shop::open(Transport::Bearer).await;
    let login = shop.login("access").await;
    let token = body(&login)["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let again = RequestBody::Complete(br#"{"password":"wonderland"}"#);
    let again_head = head("/auth/reauthenticate", &headers);
    let again = shop.endpoints.handle(&again_head, again).await;
    let done_elsewhere = Identity::new("alice").unwrap().access_only();
    let callback = head("/callback", &[]);
    let issued = shop
        .endpoints
        .issue(done_elsewhere, &callback, Delivery::Body)
        .await
        .unwrap()
        .into_reply();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let grant = b"grant_type=password&username=alice&password=wonderland&keep=access";
    let grant_head = head("/auth/token", &form);
    let grant = shop
        .endpoints
        .handle(&grant_head, RequestBody::Complete(grant))
        .await;
    for (reply, times) in [(login, true), (again, true), (issued, true), (grant, false)] {
        assert_eq!(reply.status(), 200);
        let body = body(&reply);
        let names = body.as_object().unwrap().keys().map(String::as_str);
        let names: BTreeSet<_> = names.collect();
        let expected = [
            "access_token",
            "expires_at",
            "expires_in",
            "refresh_at",
            "scope",
            "server_time",
            "session_id",
            "token_type",
        ];
        let expected = expected
            .into_iter()
            .filter(|name| times || *name != "expires_at");
        assert_eq!(names, expected.collect::<BTreeSet<_>>());
        assert_eq!(body["expires_in"], 900);
    }
}

#[tokio::test]
async fn an_access_only_login_by_cookie_sets_one_cookie() {
    let shop = Shop::open(Transport::Cookie).await;
    let login = shop.login("access").await;
    let cookies = set_cookies(&login);
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].starts_with("__Host-gatepass="));
    assert!(cookies[0].ends_with("; Max-Age=900"), "{}", cookies[0]);
    assert!(body(&login).get("refresh_expires_at").is_none());
    let refreshed = shop
        .post("/auth/refresh", &jar(&cookies), &Value::Null)
        .await;
    assert_eq!(refreshed.status(), 401);
    assert_eq!(body(&refreshed)["reason"], "missing");
    let renewed = shop.post("/auth/renew", &jar(&cookies), &Value::Null).await;
    assert_eq!(set_cookies(&renewed).len(), 1);
    let logout = shop
        .post("/auth/logout", &jar(&cookies), &Value::Null)
        .await;
    assert_eq!(logout.status(), 204);
}
