//! The shop: an application whose API is older than its use of gatepass.

use std::{
    collections::HashSet,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Adopt, AuthenticationError, Authenticator, Authority, BuildError, Clock, Credentials, Device,
    Identity, InvalidLocalPath, InvalidName, MasterSecret, MemoryStore, OldToken, OldTokens, Pass,
    Scopes, Session, StoreError, Timestamp, Transport, UserUpdate,
    store::StoreErrorKind,
    wire::{
        AuthRejection, AuthRequest, AuthState, Endpoint, Endpoints, Problem, Reply, RequestHead,
        Users,
    },
};
use serde_json::json;

use super::{
    Request, Scenario, USERS,
    wording::{ACCESS, BOTH, REFRESH},
};

/// The shop: a second application with its own places of tokens, errors, paths and forms. For 30
/// days, it [adopts](gatepass::Adopt) the tokens of its predecessor, which are in a header or in
/// the cookie `sessionid`. All its gates do. A driver mounts its endpoints and these routes:
///
/// | route | requires | answers |
/// |---|---|---|
/// | `GET /shop/me` | an access token | 200, `{"subject"}` |
/// | `GET /shop/admin` | an access token; the extractor wants the scope `admin` | 200, `{"subject"}` |
/// | `GET /shop/presented` | an access token | 200, `{"token"}`, the presented token |
/// | `POST /shop/enter` | nothing ([open](gatepass::Requirements::open)); takes no request of another site | 303 to `/shop/me`, with the cookies of a session of `alice`, whose device it takes by an extractor |
/// | `POST /shop/site` | nothing (open) | 200, `{"same_site"}`, the verdict |
/// | `GET /shop/customer` | an access token; its gate loads [`users`](Self::users) | 200, `{"name","loaded"}` of the [`Customer`] |
/// | `DELETE /shop/customer` | an access token | 204, after [`close`](Self::close) |
/// | `GET /shop/orders` | an access token, or `X-Api-Key` of [`keyed`](Self::keyed) | 200, `{"subject"}` |
/// | `POST /shop/again` | a refresh cookie | 204, with new cookies |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shop {
    /// Its authority, for gates.
    pub authority: Authority,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// Its customers, for a gate.
    pub users: Users<Customer>,
    accounts: Arc<Mutex<Accounts>>,
}

/// The shop's own record of a user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Customer {
    /// The name.
    pub name: String,
    /// The number of records that the shop has loaded so far.
    pub loaded: u32,
}

#[derive(Debug, Default)]
struct Accounts {
    closed: HashSet<String>,
    loaded: u32,
}

impl Accounts {
    fn load(&mut self, name: &str) -> Option<Customer> {
        self.loaded += 1;
        let customer = Customer {
            name: name.to_owned(),
            loaded: self.loaded,
        };
        Some(customer).filter(|_| !self.closed.contains(name))
    }
}

impl Shop {
    /// Starts the shop with the users of [`USERS`] and a store in memory.
    ///
    /// # Errors
    ///
    /// If the machine lacks something, for example random numbers.
    pub async fn start(clock: impl Clock + Clone) -> Result<Self, Box<dyn std::error::Error>> {
        let (issuer, store) = ("https://shop.test", MemoryStore::with_clock(clock.clone()));
        let authority = Authority::builder(issuer, "shop", MasterSecret::generate()?, store)
            .authenticator(Customers)
            .transport(Transport::Both)
            .token_scheme("Token")
            .token_header("X-Access-Token")
            .token_cookie("session")
            .adopt(adopt(clock.now()))
            .error_response(errors)
            .clock(clock)
            .build()
            .await?;
        let endpoints = endpoints(authority.clone())??;
        let accounts = Arc::<Mutex<Accounts>>::default();
        let loading = Arc::clone(&accounts);
        let users = Users::new(move |pass| {
            let mut accounts = loading.lock().unwrap_or_else(PoisonError::into_inner);
            ready(Ok(accounts.load(pass.subject().as_str())))
        });
        Ok(Self {
            authority,
            endpoints,
            users,
            accounts,
        })
    }

    /// The state of a request with an API key behind an optional gate.
    ///
    /// # Errors
    ///
    /// The rejection if the gate requires more.
    pub fn keyed(request: &AuthRequest<'_, '_>) -> Result<Option<AuthState>, AuthRejection> {
        let owner = match request.head().header("x-api-key") {
            Some("key of bob") => Identity::new("bob").ok(),
            _ => None,
        };
        let minute = Duration::from_secs(60);
        let state = owner.map(|owner| request.authenticated("api-key", &owner, minute));
        state.transpose()
    }

    /// Closes the user's account. The user's sessions continue.
    pub fn close(&self, pass: &Pass) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.closed.insert(pass.subject().as_str().to_owned());
        self.users.forget(pass.subject());
    }

    /// The identity of a user who enters without a password.
    ///
    /// # Errors
    ///
    /// None: `alice` is a subject.
    pub fn guest() -> Result<Identity, InvalidName> {
        Identity::new("alice")
    }
}

fn endpoints(authority: Authority) -> Result<Result<Endpoints, BuildError>, InvalidLocalPath> {
    let endpoints = Endpoints::builder(authority)
        .mount("/shop")
        .without(Endpoint::LogoutAll)
        .without(Endpoint::Jwks)
        .without(Endpoint::Metadata)
        .path(Endpoint::Login, "/shop/users/login")
        .path(Endpoint::Session, "/shop/devices/{id}")
        .path(Endpoint::Token, "/token")
        .forms("/shop/welcome".parse()?, "/shop/me".parse()?);
    Ok(endpoints.build())
}

/// Errors in the format and language of the shop's clients.
fn errors(head: &RequestHead<'_>, problem: &Problem, reply: Reply) -> Reply {
    let french = head.header("accept-language") == Some("fr");
    let text = match problem.reason() {
        "bad_credentials" if french => "Nom ou mot de passe incorrect",
        _ => problem.description(),
    };
    let status = match problem.reason() {
        "bad_credentials" => 422,
        _ => reply.status(),
    };
    let body = json!({ "errors": { "body": [text] } });
    reply
        .with_status(status)
        .with_json(&body)
        .with_header("x-reason", problem.reason())
}

/// The users of the scenarios.
pub(super) struct Customers;

#[async_trait]
impl Authenticator for Customers {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let (name, password) = (credentials.username(), credentials.password());
        let user = USERS
            .iter()
            .find(|user| (user.0, Some(user.1)) == (name, password));
        let (name, _, scopes) = user.ok_or(AuthenticationError::BadCredentials)?;
        Ok(Identity::new(*name)?.scopes(Scopes::parse(scopes)?))
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(UserUpdate::Unchanged)
    }
}

/// How long the shop adopts old tokens.
pub(super) const MOVE: Duration = Duration::from_secs(30 * 86_400);

/// A move that begins now.
fn adopt(now: Timestamp) -> Adopt {
    Adopt::new("old:shop", now + MOVE, OldKeys).cookie("sessionid")
}

/// The old program. Its keys look like `old-key-of-alice`, and it fails for `old-key-of-nothing`.
struct OldKeys;

#[async_trait]
impl OldTokens for OldKeys {
    async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError> {
        let Some(owner) = token.strip_prefix("old-key-of-") else {
            return Ok(None);
        };
        if owner == "nothing" {
            let error = StoreError::new(StoreErrorKind::Unavailable);
            return Err(AuthenticationError::Unavailable(error));
        }
        let Some((name, _, scopes)) = USERS.iter().find(|user| user.0 == owner) else {
            return Ok(None);
        };
        let identity = Identity::new(*name)?.scopes(Scopes::parse(scopes)?);
        Ok(Some(OldToken::new(identity)))
    }
}

const ALICE: [(&str, &str); 2] = [("username", "alice"), ("password", "alice's password")];

pub(super) fn me() -> Request {
    Request::get("/shop/me")
}

pub(super) fn login_at(path: &str) -> Request {
    let [(_, name), (_, password)] = ALICE;
    Request::post(path).json(&json!({ "username": name, "password": password }))
}

/// A form of one of the shop's own pages.
fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    let form = Request::post(path).form(fields);
    form.header("sec-fetch-site", "same-origin")
}

impl Scenario {
    pub(super) fn bought_in(self) -> Self {
        self.send(login_at("/shop/users/login"), 200)
            .keep("/access_token", "access")
            .keep("/refresh_token", "refresh")
    }

    /// The error has the shop's own form.
    pub(super) fn shop_error(self, reason: &'static str, text: &'static str) -> Self {
        self.json("/errors/body/0", text)
            .no_json("/error")
            .header("x-reason", reason)
            .header("cache-control", "no-store")
    }
}

/// The application's own scheme, header and cookie carry the token as `Bearer` does.
#[must_use]
pub fn an_access_token_may_be_where_the_clients_of_an_application_have_it() -> Scenario {
    let ways = [
        me().bearer("{access}"),
        me().header("authorization", "Token {access}"),
        me().header("authorization", "tOKEN   {access}"),
        me().header("x-access-token", "{access}"),
        me().cookies("session={access}"),
        me().header("authorization", "Basic YTpi")
            .header("x-access-token", "{access}"),
    ];
    let scenario =
        Scenario::new("an_access_token_may_be_where_the_clients_of_an_application_have_it");
    ways.into_iter()
        .fold(scenario.bought_in(), |scenario, way| {
            scenario.send(way, 200).json("/subject", "alice")
        })
}

/// Two tokens are ambiguous, even if they are the same.
#[must_use]
pub fn tokens_in_two_headers_are_ambiguous() -> Scenario {
    let text = "the credentials are ambiguous or not well-formed";
    let ways = [
        me().bearer("{access}").header("x-access-token", "{access}"),
        me().header("authorization", "Token {access}")
            .header("x-access-token", "x"),
        me().header("x-access-token", "{access}")
            .header("x-access-token", "{access}"),
        me().header("authorization", "Token {access} {access}"),
        me().header("x-access-token", ""),
    ];
    let scenario = Scenario::new("tokens_in_two_headers_are_ambiguous").bought_in();
    ways.into_iter().fold(scenario, |scenario, way| {
        scenario.send(way, 400).shop_error("ambiguous", text)
    })
}

/// The application of most scenarios reads none of these places.
#[must_use]
pub fn a_place_that_is_not_configured_has_no_token() -> Scenario {
    let me = || Request::get("/me");
    Scenario::new("a_place_that_is_not_configured_has_no_token")
        .logged_in("alice")
        .send(me().header("authorization", "Token {access}"), 401)
        .json("/reason", "missing")
        .send(me().header("x-access-token", "{access}"), 401)
        .json("/reason", "missing")
        .send(me().cookies("session={access}"), 401)
        .json("/reason", "missing")
}

/// A gate treats the application's own cookie like gatepass's, and refuses a changing request from
/// another site. The endpoints don't read this cookie.
#[must_use]
pub fn a_cookie_of_the_applications_own_is_judged_as_others_are() -> Scenario {
    Scenario::new("a_cookie_of_the_applications_own_is_judged_as_others_are")
        .bought_in()
        .send(
            Request::post("/shop/logout").cookies("session={access}"),
            401,
        )
        .shop_error("missing", "no credentials were presented")
        .send(me().cookies("session={access}"), 200)
        .send(me().cookies("session=x"), 401)
        .shop_error("malformed", "the token is malformed")
}

/// The gate, an extractor, an endpoint and an unknown session answer in the application's format,
/// with the usual challenge.
#[must_use]
pub fn errors_have_the_format_of_the_application() -> Scenario {
    let wrong = |language| {
        let login = Request::post("/shop/users/login")
            .json(&json!({ "username": "alice", "password": "guess" }));
        login.header("accept-language", language)
    };
    Scenario::new("errors_have_the_format_of_the_application")
        .bought_in()
        .send(me(), 401)
        .shop_error("missing", "no credentials were presented")
        .header("www-authenticate", r#"Bearer realm="https://shop.test""#)
        .send(Request::get("/shop/admin").bearer("{access}"), 403)
        .shop_error("insufficient_scope", "the token lacks a scope")
        .header(
            "www-authenticate",
            r#"Bearer realm="https://shop.test", error="insufficient_scope", error_description="the token lacks a scope", scope="admin""#,
        )
        .send(wrong("en"), 422)
        .shop_error("bad_credentials", "the user name or the password is wrong")
        .send(wrong("fr"), 422)
        .shop_error("bad_credentials", "Nom ou mot de passe incorrect")
        .send(Request::post("/shop/users/login").body("{}"), 415)
        .shop_error("unsupported_media_type", "the body must be application/json")
        .send(Request::get("/shop/users/login"), 405)
        .shop_error("method_not_allowed", "this method is not allowed here")
        .header("allow", "POST")
        .send(Request::delete("/shop/devices/abc").bearer("{access}"), 404)
        .shop_error("not_found", "you have no such session")
}

/// OAuth clients expect the format of RFC 6749 §5.2.
#[must_use]
pub fn oauth_endpoints_keep_their_format_of_errors() -> Scenario {
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    Scenario::new("oauth_endpoints_keep_their_format_of_errors")
        .send_refused(
            Request::post("/token").form(&grant),
            "invalid_grant",
            "malformed",
        )
        .no_header("x-reason")
}

/// The endpoints have the application's paths and no others.
#[must_use]
pub fn endpoints_are_where_the_application_wants_them() -> Scenario {
    let grant = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "{refresh}"),
    ];
    let gone = [
        login_at("/shop/login"),
        Request::post("/shop/token").form(&grant),
        Request::post("/shop/logout-all").bearer("{access}"),
        Request::delete("/shop/sessions/abc").bearer("{access}"),
    ];
    let scenario = Scenario::new("endpoints_are_where_the_application_wants_them").bought_in();
    let scenario = gone
        .into_iter()
        .fold(scenario, |scenario, gone| scenario.send(gone, 404));
    scenario
        .send(Request::get("/shop/sessions").bearer("{access}"), 200)
        .keep("/sessions/0/id", "id")
        .send(Request::post("/token").form(&grant), 200)
        .keep("/access_token", "access")
        .send(
            Request::delete("/shop/devices/{id}").bearer("{access}"),
            204,
        )
        .empty()
}

/// A page without JavaScript logs a user in and out.
#[must_use]
pub fn a_form_logs_in_and_out() -> Scenario {
    let back = [ALICE[0], ALICE[1], ("return_to", "/shop/orders?page=2")];
    let cookies = "__Host-gatepass={access}; __Host-gatepass-refresh={refresh}";
    Scenario::new("a_form_logs_in_and_out")
        .send(form("/shop/users/login", &ALICE), 303)
        .header("location", "/shop/me")
        .header("cache-control", "no-store")
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .empty()
        .send(me().cookies(cookies), 200)
        .json("/subject", "alice")
        .send(form("/shop/logout", &[]).cookies(cookies), 303)
        .header("location", "/shop/welcome")
        .clears_cookies()
        .send(me().cookies(cookies), 401)
        .shop_error("revoked", "the token has been revoked")
        .send(form("/shop/logout", &[]).cookies(cookies), 303)
        .header("location", "/shop/welcome")
        .clears_cookies()
        .send(form("/shop/logout", &[]), 303)
        .header("location", "/shop/welcome")
        .send(form("/shop/users/login", &back), 303)
        .header("location", "/shop/orders?page=2")
        .sets_cookies(BOTH)
}

/// The response sends the browser back to the login page, with the reason and the way back. It
/// drops a way to another host.
#[must_use]
pub fn a_form_that_is_refused_shows_the_login_page() -> Scenario {
    let wrong = |back| {
        let fields = [ALICE[0], ("password", "guess"), ("return_to", back)];
        form("/shop/users/login", &fields)
    };
    let elsewhere = [ALICE[0], ALICE[1], ("return_to", "//evil.example/")];
    Scenario::new("a_form_that_is_refused_shows_the_login_page")
        .send(wrong("/shop/orders"), 303)
        .header(
            "location",
            "/shop/welcome?return_to=/shop/orders&reason=bad_credentials",
        )
        .send(wrong("https://evil.example/"), 303)
        .header("location", "/shop/welcome?reason=bad_credentials")
        .send(form("/shop/users/login", &ALICE[..1]), 303)
        .header("location", "/shop/welcome?reason=missing_parameter")
        .send(form("/shop/users/login", &elsewhere), 303)
        .header("location", "/shop/me")
        .sets_cookies(BOTH)
}

/// Otherwise, a page of another site could log a browser out, or in as the attacker.
#[must_use]
pub fn a_form_of_another_site_is_refused() -> Scenario {
    let text = "a request from another site may not use cookies";
    let elsewhere = |path: &str, fields: &[(&str, &str)]| {
        let form = Request::post(path).form(fields);
        form.header("sec-fetch-site", "cross-site")
            .header("origin", "https://evil.example")
    };
    let cookies = "__Host-gatepass={access}; __Host-gatepass-refresh={refresh}";
    Scenario::new("a_form_of_another_site_is_refused")
        .bought_in()
        .send(elsewhere("/shop/users/login", &ALICE), 403)
        .shop_error("cross_site", text)
        .send(elsewhere("/shop/logout", &[]).cookies(cookies), 403)
        .shop_error("cross_site", text)
        .send(me().bearer("{access}"), 200)
}

/// The application of most scenarios takes no forms.
#[must_use]
pub fn a_form_is_refused_where_none_are_taken() -> Scenario {
    Scenario::new("a_form_is_refused_where_none_are_taken")
        .over(Transport::Both)
        .send(form("/auth/login", &ALICE), 415)
        .json("/reason", "unsupported_media_type")
}

/// Extractors give a handler the device, the token and the verdict. It answers with its own
/// redirect that sets the cookies.
#[must_use]
pub fn a_login_of_the_applications_own_sets_cookies_in_its_response() -> Scenario {
    let cookies = "__Host-gatepass={access}; __Host-gatepass-refresh={refresh}";
    let enter = || Request::post("/shop/enter").header("user-agent", "Shopper/1.0");
    let cross = |request: Request| request.header("sec-fetch-site", "cross-site");
    Scenario::new("a_login_of_the_applications_own_sets_cookies_in_its_response")
        // A bad token doesn't matter there.
        .send(enter().bearer("x"), 303)
        .header("location", "/shop/me")
        .header("cache-control", "no-store")
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(Request::get("/shop/sessions").cookies(cookies), 200)
        .json("/sessions/0/user_agent", "Shopper/1.0")
        .send(Request::get("/shop/presented").cookies(cookies), 200)
        .same_as("/token", "access")
        .send(cross(enter()), 403)
        .shop_error(
            "cross_site",
            "a request from another site may not use cookies",
        )
        .send(cross(Request::post("/shop/site")), 200)
        .json("/same_site", false)
        .send(Request::post("/shop/site"), 200)
        .json("/same_site", true)
        .send(Request::post("/shop/again").cookies(cookies), 204)
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .send(me().cookies("__Host-gatepass={access}"), 200)
        .send(Request::post("/shop/again"), 401)
        .shop_error("missing", "no credentials were presented")
}

/// The gate loads the record once, and again after half a minute.
#[must_use]
pub fn a_handler_gets_the_applications_own_record_of_the_user() -> Scenario {
    let customer = || Request::get("/shop/customer").bearer("{access}");
    Scenario::new("a_handler_gets_the_applications_own_record_of_the_user")
        .bought_in()
        .send(customer(), 200)
        .json("/name", "alice")
        .json("/loaded", 1)
        .pass(Duration::from_secs(29))
        .send(customer(), 200)
        .json("/loaded", 1)
        .pass(Duration::from_secs(1))
        .send(customer(), 200)
        .json("/loaded", 2)
        .send(Request::get("/shop/customer"), 401)
        .shop_error("missing", "no credentials were presented")
}

/// The access token is good, but the application has no record of the user any more.
#[must_use]
pub fn a_user_without_a_record_is_refused_at_once() -> Scenario {
    let customer = || Request::get("/shop/customer").bearer("{access}");
    Scenario::new("a_user_without_a_record_is_refused_at_once")
        .bought_in()
        .send(customer(), 200)
        .send(Request::delete("/shop/customer").bearer("{access}"), 204)
        .send(customer(), 401)
        .shop_error("revoked", "the token has been revoked")
        .send(me().bearer("{access}"), 200)
}

/// A handler behind an optional gate takes users with a session or with a key, and no one else.
#[must_use]
pub fn an_api_key_works_beside_sessions() -> Scenario {
    let orders = || Request::get("/shop/orders");
    Scenario::new("an_api_key_works_beside_sessions")
        .bought_in()
        .send(orders().bearer("{access}"), 200)
        .json("/subject", "alice")
        .send(orders().header("x-api-key", "key of bob"), 200)
        .json("/subject", "bob")
        .send(orders().header("x-api-key", "guess"), 401)
        .shop_error("missing", "no credentials were presented")
        .send(orders(), 401)
        .shop_error("missing", "no credentials were presented")
        // The key doesn't replace a bad token.
        .send(orders().bearer("x").header("x-api-key", "key of bob"), 401)
        .shop_error("malformed", "the token is malformed")
        // The other gates don't know the key.
        .send(me().header("x-api-key", "key of bob"), 401)
        .shop_error("missing", "no credentials were presented")
}
