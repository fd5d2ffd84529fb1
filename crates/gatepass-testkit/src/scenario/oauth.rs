//! Scenarios of the token endpoint (RFC 6749).

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{OAUTH, introspect, login, me, password, refresh, refreshing, revoke, token},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// RFC 6749 §4.3 and §5.1 define the grant and its answer.
#[must_use]
pub fn a_password_grant_gives_tokens_that_work() -> Scenario {
    Scenario::new("a_password_grant_gives_tokens_that_work")
        .send(token(&password("root", "root's password")), 200)
        .answers_with_tokens()
        .json("/scope", "admin profile")
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .keep("/session_id", "session")
        .send(me("{access}"), 200)
        .json("/subject", "root")
        .same_as("/session_id", "session")
        .lives("{access}", "{refresh}")
}

/// The token gives the same session at every endpoint (RFC 6749 §6).
#[must_use]
pub fn a_refresh_at_the_token_endpoint_gives_a_new_pair() -> Scenario {
    Scenario::new("a_refresh_at_the_token_endpoint_gives_a_new_pair")
        .logged_in("alice")
        .pass(MINUTE)
        .send(token(&refreshing("{refresh}")), 200)
        .answers_with_tokens()
        .json("/scope", "profile")
        .other_than("/access_token", "access")
        .other_than("/refresh_token", "refresh")
        .keep("/refresh_token", "second")
        .send(refresh("{refresh}"), 200)
        .same_as("/refresh_token", "second")
        .send(token(&refreshing("{refresh}")), 200)
        .same_as("/refresh_token", "second")
        .lives("{access}", "{second}")
}

/// A bad refresh token is no failed authentication of the client (RFC 6749 §5.2).
#[must_use]
pub fn a_refused_refresh_is_400_at_the_token_endpoint() -> Scenario {
    let refused = |scenario: Scenario, presented: &str, reason| {
        scenario.send_refused(token(&refreshing(presented)), "invalid_grant", reason)
    };
    let scenario = Scenario::new("a_refused_refresh_is_400_at_the_token_endpoint")
        .logged_in("alice")
        .logged_in_as("alice", "reused_access", "reused")
        .logged_in_as("alice", "ended_access", "ended")
        .send(revoke("{ended}"), 200)
        .send(token(&refreshing("{reused}")), 200)
        .keep("/refresh_token", "second")
        .pass(MINUTE)
        .send(token(&refreshing("{second}")), 200)
        .keep("/refresh_token", "third")
        .pass(2 * MINUTE);
    let scenario = refused(scenario, "{ended}", "session_ended");
    let scenario = refused(scenario, "{reused}", "reused");
    let scenario = refused(scenario, "{third}", "session_ended");
    let scenario = refused(scenario, "gpr_", "malformed");
    let scenario = refused(scenario, "{refresh}A", "malformed");
    let scenario = refused(scenario, "{access}", "wrong_type");
    refused(scenario.pass(14 * DAY), "{refresh}", "refresh_expired")
}

/// The answer doesn't reveal who has an account.
#[must_use]
pub fn bad_credentials_are_400_at_the_token_endpoint() -> Scenario {
    let told = "the user name or the password is wrong";
    let guesses = [("alice", "bob's password"), ("nobody", "alice's password")];
    guesses.into_iter().fold(
        Scenario::new("bad_credentials_are_400_at_the_token_endpoint"),
        |scenario, (name, guess)| {
            scenario
                .send_refused(
                    token(&password(name, guess)),
                    "invalid_grant",
                    "bad_credentials",
                )
                .json("/error_description", told)
        },
    )
}

/// The names of grant types are case-sensitive (RFC 6749 §4).
#[must_use]
pub fn a_grant_type_that_is_not_offered_is_unsupported() -> Scenario {
    let others = [
        "authorization_code",
        "client_credentials",
        "implicit",
        "Password",
        "refresh_token ",
        "urn:ietf:params:oauth:grant-type:device_code",
    ];
    others.into_iter().fold(
        Scenario::new("a_grant_type_that_is_not_offered_is_unsupported").logged_in("alice"),
        |scenario, grant_type| {
            let parameters = [
                ("grant_type", grant_type),
                ("refresh_token", "{refresh}"),
                ("username", "alice"),
                ("password", "alice's password"),
            ];
            let reason = "unsupported_grant_type";
            scenario.send_refused(token(&parameters), reason, reason)
        },
    )
}

/// The request spends no refresh token and begins no session (RFC 6749 §5.2).
#[must_use]
pub fn scopes_that_were_not_granted_spend_and_begin_nothing() -> Scenario {
    let more = || {
        let [a, b] = refreshing("{refresh}");
        token(&[a, b, ("scope", "admin")])
    };
    let asked = ["admin", "profile admin", "profile more", "\"", "ä"];
    asked
        .into_iter()
        .fold(
            Scenario::new("scopes_that_were_not_granted_spend_and_begin_nothing")
                .logged_in("alice"),
            |scenario, scope| {
                let [a, b] = refreshing("{refresh}");
                let [c, d, e] = password("alice", "alice's password");
                let invalid = "invalid_scope";
                scenario
                    .send_refused(token(&[a, b, ("scope", scope)]), invalid, invalid)
                    .send_refused(token(&[c, d, e, ("scope", scope)]), invalid, invalid)
            },
        )
        .send(Request::get("/auth/sessions").bearer("{access}"), 200)
        .no_json("/sessions/1")
        .pass(2 * MINUTE)
        .send(token(&refreshing("{refresh}")), 200)
        .keep("/refresh_token", "second")
        // The second use of a token gets no more scopes either, nor does the recovery of a lost
        // answer.
        .send_refused(more(), "invalid_scope", "invalid_scope")
        .pass(2 * MINUTE)
        .send_refused(more(), "invalid_scope", "invalid_scope")
        .send(token(&refreshing("{second}")), 200)
}

/// The session keeps its scopes (RFC 6749 §6).
#[must_use]
pub fn a_narrowed_refresh_narrows_that_access_token_alone() -> Scenario {
    let admin = |token: &str| Request::get("/admin").bearer(token);
    let [a, b] = refreshing("{refresh}");
    let narrowed = || token(&[a, b, ("scope", "profile")]);
    Scenario::new("a_narrowed_refresh_narrows_that_access_token_alone")
        .logged_in("root")
        .send(narrowed(), 200)
        .json("/scope", "profile")
        .keep("/access_token", "narrow")
        .keep("/refresh_token", "second")
        .send(me("{narrow}"), 200)
        .json("/scope", "profile")
        .send(admin("{narrow}"), 403)
        .send(admin("{access}"), 200)
        // A second use of the token narrows the scopes again.
        .send(narrowed(), 200)
        .json("/scope", "profile")
        .same_as("/refresh_token", "second")
        .send(token(&refreshing("{second}")), 200)
        .json("/scope", "admin profile")
        .keep("/access_token", "wide")
        .send(admin("{wide}"), 200)
}

/// A client that got few scopes can't take more.
#[must_use]
pub fn a_renewed_token_is_no_wider_than_the_one_it_replaces() -> Scenario {
    let [a, b] = refreshing("{refresh}");
    Scenario::new("a_renewed_token_is_no_wider_than_the_one_it_replaces")
        .logged_in("root")
        .send(token(&[a, b, ("scope", "profile")]), 200)
        .keep("/access_token", "narrow")
        .send(Request::post("/auth/renew").bearer("{narrow}"), 200)
        .json("/scope", "profile")
        .keep("/access_token", "renewed")
        .send(Request::get("/admin").bearer("{renewed}"), 403)
}

/// The session gets no scope that the user gets later, and loses a scope that the user loses (RFC
/// 6749 §3.3).
#[must_use]
pub fn a_password_grant_with_scopes_limits_its_session_for_good() -> Scenario {
    let [a, b, c] = password("root", "root's password");
    let [d, e] = refreshing("{refresh}");
    let more = UserChange::Scope("admin more profile");
    Scenario::new("a_password_grant_with_scopes_limits_its_session_for_good")
        .send(token(&[a, b, c, ("scope", "profile")]), 200)
        .json("/scope", "profile")
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(Request::get("/admin").bearer("{access}"), 403)
        .send(token(&refreshing("{refresh}")), 200)
        .json("/scope", "profile")
        .keep("/refresh_token", "refresh")
        .change_user("root", more)
        .send(token(&refreshing("{refresh}")), 200)
        .json("/scope", "profile")
        .keep("/refresh_token", "refresh")
        .send_refused(
            token(&[d, e, ("scope", "admin")]),
            "invalid_scope",
            "invalid_scope",
        )
        .change_user("root", UserChange::Scope("admin"))
        .send(token(&refreshing("{refresh}")), 200)
        .json("/scope", "")
        .keep("/refresh_token", "refresh")
        .change_user("root", more)
        .send(token(&refreshing("{refresh}")), 200)
        .json("/scope", "profile")
}

/// The server ignores unknown parameters, treats empty ones as absent, and refuses repeated ones
/// (RFC 6749 §3.2).
#[must_use]
pub fn parameters_are_there_once_and_not_empty() -> Scenario {
    let [a, b] = refreshing("{refresh}");
    let bad = |scenario: Scenario, request, reason| {
        scenario.send_refused(request, "invalid_request", reason)
    };
    let repeated = "repeated_parameter";
    let missing = "missing_parameter";
    let scenario = Scenario::new("parameters_are_there_once_and_not_empty").logged_in("alice");
    let scenario = bad(scenario, token(&[a, b, b]), repeated);
    let scenario = bad(scenario, token(&[a, a, b]), repeated);
    let scenario = bad(
        scenario,
        token(&[a, b, ("scope", ""), ("scope", "")]),
        repeated,
    );
    let scenario = bad(scenario, token(&[a, b, ("x", "1"), ("x", "2")]), repeated);
    let scenario = bad(scenario, token(&[]), missing);
    let scenario = bad(scenario, token(&[b]), missing);
    let scenario = bad(scenario, token(&[("grant_type", ""), b]), missing);
    let scenario = bad(scenario, token(&[a, ("refresh_token", "")]), missing);
    let scenario = bad(scenario, token(&password("alice", "")), missing);
    let scenario = bad(scenario, token(&password("", "alice's password")), missing);
    let scenario = bad(scenario, Request::post("/auth/revoke").form(&[]), missing);
    let scenario = bad(scenario, introspect(""), missing);
    let ignored = [
        a,
        b,
        ("scope", ""),
        ("client_id", ""),
        ("client_secret", ""),
        ("x", "1"),
    ];
    scenario
        .pass(2 * MINUTE)
        .send(token(&ignored), 200)
        .keep("/refresh_token", "second")
        .send(revoke("{second}"), 200)
}

/// Logs, histories and `Referer` have the query (RFC 6749 §3.2, §2.3.1).
#[must_use]
pub fn parameters_are_read_from_the_form_alone() -> Scenario {
    let query =
        "?grant_type=refresh_token&refresh_token={refresh}&token={refresh}&client_id=gateway";
    let missing = "missing_parameter";
    let bad = |path: &str| Request::post(format!("{path}{query}"));
    Scenario::new("parameters_are_read_from_the_form_alone")
        .logged_in("alice")
        .send_refused(bad("/auth/token").form(&[]), "invalid_request", missing)
        .send_refused(bad("/auth/revoke").form(&[]), "invalid_request", missing)
        .send_refused(
            bad("/auth/introspect").form(&[]).by_gateway(),
            "invalid_request",
            missing,
        )
        .pass(2 * MINUTE)
        .lives("{access}", "{refresh}")
}

/// A form has one media type, is in UTF-8, and has a limited size (RFC 6749 appendix B).
#[must_use]
pub fn a_form_has_its_media_type_and_size() -> Scenario {
    const FORM: &str = "application/x-www-form-urlencoded";
    let body = "grant_type=refresh_token&refresh_token={refresh}&token=x";
    let typed = |path: &str, content_type: &str| {
        Request::post(path)
            .header("content-type", content_type.to_owned())
            .body(body)
    };
    let bytes = |path: &str, body: Vec<u8>| {
        Request::post(path)
            .header("content-type", FORM)
            .body(body)
            .by_gateway()
    };
    let scenario = OAUTH.into_iter().fold(
        Scenario::new("a_form_has_its_media_type_and_size").logged_in("alice"),
        |scenario, path| {
            let unsupported = "unsupported_media_type";
            let as_json = Request::post(path).json(&json!({ "token": "x" }));
            scenario
                .send_bad_request(as_json.by_gateway(), 415, unsupported)
                .send_bad_request(typed(path, "text/plain").by_gateway(), 415, unsupported)
                .send_bad_request(
                    typed(path, "multipart/form-data").by_gateway(),
                    415,
                    unsupported,
                )
                .send_bad_request(
                    Request::post(path).body(body).by_gateway(),
                    415,
                    unsupported,
                )
                .send_bad_request(
                    bytes(path, vec![b'x'; 16 * 1024 + 1]),
                    413,
                    "body_too_large",
                )
                .send_bad_request(bytes(path, b"token=\xff".to_vec()), 400, "body_unparseable")
                .send_bad_request(bytes(path, b"token=%ff".to_vec()), 400, "body_unparseable")
        },
    );
    scenario
        .pass(2 * MINUTE)
        .send(
            typed(
                "/auth/token",
                "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            ),
            200,
        )
        .keep("/refresh_token", "second")
        .send(token(&refreshing("{second}")), 200)
}

/// The field `Allow` names them (RFC 9110 §15.5.6).
#[must_use]
pub fn oauth_endpoints_tell_the_right_methods() -> Scenario {
    let public = [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ];
    let wrong = |scenario: Scenario, method, path, allowed| {
        scenario
            .send(Request::method(method, path), 405)
            .header("allow", allowed)
            .header("cache-control", "no-store")
    };
    let scenario = Scenario::new("oauth_endpoints_tell_the_right_methods");
    let scenario = OAUTH.into_iter().fold(scenario, |scenario, path| {
        let methods = ["GET", "HEAD", "PUT", "DELETE", "PATCH"].into_iter();
        methods.fold(scenario, |scenario, method| {
            wrong(scenario, method, path, "POST")
        })
    });
    public.into_iter().fold(scenario, |scenario, path| {
        let methods = ["POST", "PUT", "DELETE"].into_iter();
        methods.fold(scenario, |scenario, method| {
            wrong(scenario, method, path, "GET, HEAD")
        })
    })
}

/// They neither read, set nor clear cookies, even if all other endpoints do.
#[must_use]
pub fn oauth_endpoints_never_touch_cookies() -> Scenario {
    let cookies = "__Host-gatepass={access}; __Host-gatepass-refresh={refresh}";
    let names = &["__Host-gatepass", "__Host-gatepass-refresh"];
    let with_cookies = |request: Request| {
        request
            .cookies(cookies)
            .header("sec-fetch-site", "same-origin")
    };
    let missing = "missing_parameter";
    Scenario::new("oauth_endpoints_never_touch_cookies")
        .over(Transport::Cookie)
        .send(
            login("alice", "alice's password").header("sec-fetch-site", "same-origin"),
            200,
        )
        .sets_cookies(names)
        .keep_cookie("__Host-gatepass", "access")
        .keep_cookie("__Host-gatepass-refresh", "refresh")
        .send_refused(
            with_cookies(token(&[("grant_type", "refresh_token")])),
            "invalid_request",
            missing,
        )
        .send_refused(
            with_cookies(Request::post("/auth/revoke").form(&[])),
            "invalid_request",
            missing,
        )
        .send_bad_client(with_cookies(Request::post("/auth/introspect").form(&[])))
        .send_refused(
            with_cookies(token(&refreshing("gpr_"))),
            "invalid_grant",
            "malformed",
        )
        // With their own tokens, they work as everywhere.
        .send(with_cookies(token(&password("bob", "bob's password"))), 200)
        .answers_with_tokens()
        .keep("/refresh_token", "own")
        .send(with_cookies(token(&refreshing("{own}"))), 200)
        .answers_with_tokens()
        .keep("/refresh_token", "own")
        .send(with_cookies(introspect("{own}")), 200)
        .json("/sub", "bob")
        .send(with_cookies(revoke("{own}")), 200)
        .send(with_cookies(Request::get("/.well-known/jwks.json")), 200)
        .send(with_cookies(Request::get("/me")), 200)
        .json("/subject", "alice")
        .send(with_cookies(Request::post("/auth/refresh")), 200)
        .sets_cookies(names)
}

impl Scenario {
    /// The response is the answer of RFC 6749 §5.1, with what gatepass adds to it.
    fn answers_with_tokens(self) -> Self {
        let members = [
            "/access_token",
            "/refresh_token",
            "/scope",
            "/session_id",
            "/refresh_at",
            "/server_time",
        ];
        let answer = self
            .header("content-type", "application/json")
            .header("cache-control", "no-store")
            .header("pragma", "no-cache")
            .json("/token_type", "Bearer")
            .json("/expires_in", 900);
        members
            .into_iter()
            .fold(answer, |answer, member| answer.some_json(member))
    }
}
