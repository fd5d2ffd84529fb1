//! Logouts at the OpenID Connect provider that the users of the tools log in with (OpenID Connect
//! Back-Channel Logout 1.0).

use std::time::Duration;

use serde_json::{Value, json};

use super::{Request, Scenario, provider::LOGIN, tools::me};

const LOGOUT: &str = "/tools/auth/backchannel-logout";
const REVOKED: [&str; 2] = ["revoked", "the token has been revoked"];

/// A provider sends a logout token.
fn logout(token: &str) -> Request {
    Request::post(LOGOUT).form(&[("logout_token", token)])
}

/// A user asks with an access token of the service's own session.
fn own(token: &str) -> Request {
    Request::get("/tools/own").bearer(token)
}

/// The name for the token at a pointer.
fn name(pointer: &'static str) -> &'static str {
    pointer.trim_start_matches('/')
}

fn refresh(token: &str) -> Request {
    Request::post("/tools/auth/refresh").json(&json!({ "refresh_token": token }))
}

impl Scenario {
    /// A user of [`USERS`](super::USERS) logs in at the tools through a session at the provider.
    fn logged_in_through(
        self,
        session: &str,
        name: &str,
        access: &'static str,
        token: &'static str,
    ) -> Self {
        let login = json!({
            "username": name, "password": format!("{name}'s password"), "sid": session,
        });
        self.send(Request::post("/tools/auth/login").json(&login), 200)
            .keep("/access_token", access)
            .keep("/refresh_token", token)
    }

    /// The provider signs tokens. For example, the token at the pointer `/good` is kept as `good`.
    fn provider_signs(self, pointers: &[&'static str]) -> Self {
        let signed = self.send(Request::get("/tools/logout-tokens"), 200);
        pointers.iter().fold(signed, |scenario, pointer| {
            scenario.keep(pointer, name(pointer))
        })
    }

    /// The provider sends a logout token, and the answer says that all ends are stored.
    fn logged_out(self, token: &str) -> Self {
        self.send(logout(token), 200)
            .empty()
            .header("cache-control", "no-store")
            .no_header("www-authenticate")
    }

    /// The endpoint refuses the request, and the answer says why.
    fn refused_logout(self, request: Request, status: u16, reason: &'static str) -> Self {
        self.send_bad_request(request, status, reason)
            .header("cache-control", "no-store")
    }

    fn session_has_ended(self, access: &str, token: &str) -> Self {
        let [reason, text] = REVOKED;
        self.refused_by_tools(own(access), reason, text)
            .send(refresh(token), 401)
            .json("/reason", "session_ended")
    }

    fn session_lives(self, access: &str, subject: &str) -> Self {
        self.send(own(access), 200)
            .json("/subject", subject)
            .json("/issuer", Value::Null)
    }
}

/// The user is logged out everywhere. This ends the sessions that began with a login at the
/// provider, and revokes the provider's access tokens for the same service.
#[must_use]
pub fn a_logout_at_the_provider_ends_sessions_and_access_tokens_of_the_user() -> Scenario {
    let [reason, text] = REVOKED;
    Scenario::new("a_logout_at_the_provider_ends_sessions_and_access_tokens_of_the_user")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .logged_in_through("two", "alice", "second", "second_refresh")
        .logged_in_through("three", "bob", "bob", "bob_refresh")
        .logged_in_at("trusted", "alice")
        .keep("/access_token", "foreign")
        .logged_in_at("trusted", "bob")
        .keep("/access_token", "foreign_bob")
        .session_lives("{own}", "sso/alice")
        .provider_signs(&["/good"])
        .logged_out("{good}")
        .session_has_ended("{own}", "{own_refresh}")
        .session_has_ended("{second}", "{second_refresh}")
        .refused_by_tools(me().bearer("{foreign}"), reason, text)
        .session_lives("{bob}", "sso/bob")
        .send(me().bearer("{foreign_bob}"), 200)
        .json("/issuer", LOGIN)
}

/// A logout of one session at the provider keeps the user logged in on other devices.
#[must_use]
pub fn a_logout_of_one_session_at_the_provider_leaves_the_others_alone() -> Scenario {
    Scenario::new("a_logout_of_one_session_at_the_provider_leaves_the_others_alone")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .logged_in_through("two", "alice", "second", "second_refresh")
        .logged_in_at("trusted", "alice")
        .keep("/access_token", "foreign")
        .provider_signs(&["/of_session"])
        .logged_out("{of_session}")
        .session_has_ended("{own}", "{own_refresh}")
        .session_lives("{second}", "sso/alice")
        .send(refresh("{second_refresh}"), 200)
        .send(me().bearer("{foreign}"), 200)
}

/// A later login survives if the provider or a thief sends the logout token again.
#[must_use]
pub fn a_logout_token_that_is_sent_again_ends_nothing_more() -> Scenario {
    Scenario::new("a_logout_token_that_is_sent_again_ends_nothing_more")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .provider_signs(&["/good"])
        .logged_out("{good}")
        .session_has_ended("{own}", "{own_refresh}")
        .pass(Duration::from_secs(1))
        .logged_in_through("one", "alice", "later", "later_refresh")
        .logged_in_at("trusted", "alice")
        .keep("/access_token", "foreign")
        .logged_out("{good}")
        .session_lives("{later}", "sso/alice")
        .send(refresh("{later_refresh}"), 200)
        .send(me().bearer("{foreign}"), 200)
}

/// Tokens for other purposes and tokens of impostors log no user out.
#[must_use]
pub fn a_logout_token_that_is_not_good_ends_nothing() -> Scenario {
    const BAD: [(&str, &str); 8] = [
        ("/forged", "bad_signature"),
        ("/id_token", "wrong_type"),
        ("/with_nonce", "wrong_type"),
        ("/without_event", "wrong_type"),
        ("/for_another_client", "wrong_audience"),
        ("/for_two_clients", "wrong_audience"),
        ("/without_id", "malformed"),
        ("/without_user", "malformed"),
    ];
    let scenario = Scenario::new("a_logout_token_that_is_not_good_ends_nothing")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .logged_in_at("trusted", "alice")
        .keep("/access_token", "foreign")
        .provider_signs(&BAD.map(|(pointer, _)| pointer));
    let scenario = BAD
        .into_iter()
        .fold(scenario, |scenario, (pointer, reason)| {
            let token = format!("{{{}}}", name(pointer));
            scenario.refused_logout(logout(&token), 400, reason)
        });
    scenario
        .refused_logout(logout("{foreign}"), 400, "wrong_type")
        .refused_logout(logout("{own}"), 400, "wrong_issuer")
        .refused_logout(logout("{own_refresh}"), 400, "wrong_type")
        .refused_logout(logout("a.b.c"), 400, "malformed")
        .session_lives("{own}", "sso/alice")
        .send(me().bearer("{foreign}"), 200)
}

/// Neither a logout token nor an ID token gives access.
#[must_use]
pub fn a_logout_token_gives_no_access() -> Scenario {
    let text = "the token is of another type";
    Scenario::new("a_logout_token_gives_no_access")
        .provider_signs(&["/good", "/id_token"])
        .refused_by_tools(me().bearer("{good}"), "wrong_type", text)
        .refused_by_tools(me().bearer("{id_token}"), "wrong_type", text)
}

/// A provider's logout token lives for two minutes, and the clocks may differ by half a minute.
#[must_use]
pub fn a_logout_token_expires() -> Scenario {
    Scenario::new("a_logout_token_expires")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .provider_signs(&["/good"])
        .pass(Duration::from_secs(2 * 60 + 30))
        .refused_logout(logout("{good}"), 400, "expired")
        .session_lives("{own}", "sso/alice")
        .provider_signs(&["/of_session"])
        .pass(Duration::from_secs(2 * 60 + 29))
        .logged_out("{of_session}")
        .session_has_ended("{own}", "{own_refresh}")
}

/// A provider tries again after a 503. A logout of an unknown user succeeds at once.
#[must_use]
pub fn a_provider_learns_whether_a_logout_is_done() -> Scenario {
    Scenario::new("a_provider_learns_whether_a_logout_is_done")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .provider_signs(&["/of_stranger", "/of_lost"])
        .logged_out("{of_stranger}")
        .send(logout("{of_lost}"), 503)
        .json("/error", "temporarily_unavailable")
        .json("/reason", "store_unavailable")
        .header("cache-control", "no-store")
        .session_lives("{own}", "sso/alice")
}

/// The request is a form with one parameter, by POST (section 2.5 of the specification).
#[must_use]
pub fn a_logout_comes_in_a_form_of_one_token() -> Scenario {
    const FORM: &str = "application/x-www-form-urlencoded";
    let (missing, unsupported) = ("missing_parameter", "unsupported_media_type");
    let typed = |content_type: &'static str, body: &'static str| {
        Request::post(LOGOUT)
            .header("content-type", content_type)
            .body(body)
    };
    let twice = [("logout_token", "{good}"); 2];
    let scenario = Scenario::new("a_logout_comes_in_a_form_of_one_token")
        .logged_in_through("one", "alice", "own", "own_refresh")
        .provider_signs(&["/good"])
        .refused_logout(typed(FORM, ""), 400, missing)
        .refused_logout(typed(FORM, "logout_token="), 400, missing)
        .refused_logout(typed(FORM, "token={good}"), 400, missing)
        .refused_logout(
            Request::post(LOGOUT).form(&twice),
            400,
            "repeated_parameter",
        )
        .refused_logout(typed(FORM, "logout_token=%ff"), 400, "body_unparseable")
        .refused_logout(
            Request::post(LOGOUT)
                .header("content-type", FORM)
                .body(vec![b'x'; 16 * 1024 + 1]),
            413,
            "body_too_large",
        )
        .refused_logout(
            Request::post(LOGOUT).json(&json!({ "logout_token": "{good}" })),
            415,
            unsupported,
        )
        .refused_logout(typed("text/plain", "logout_token={good}"), 415, unsupported)
        .refused_logout(
            Request::post(LOGOUT).body("logout_token={good}"),
            415,
            unsupported,
        )
        .refused_logout(
            Request::post(format!("{LOGOUT}?logout_token={{good}}")),
            415,
            unsupported,
        );
    let scenario = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]
        .into_iter()
        .fold(scenario, |scenario, method| {
            let asked = scenario.send(Request::method(method, LOGOUT), 405);
            let asked = asked
                .header("allow", "POST")
                .header("cache-control", "no-store");
            match method {
                "HEAD" => asked.empty(),
                _ => asked.json("/reason", "method_not_allowed"),
            }
        });
    scenario
        .session_lives("{own}", "sso/alice")
        .send(
            typed(
                "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
                "unknown=1&logout_token={good}",
            ),
            200,
        )
        .session_has_ended("{own}", "{own_refresh}")
}
