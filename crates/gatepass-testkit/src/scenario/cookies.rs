//! Scenarios of browsers that keep their tokens in cookies.

use std::time::Duration;

use gatepass::Transport;
use serde_json::{Value, json};

use super::{
    Request, Scenario,
    wording::{ACCESS, COOKIES, REFRESH, login, logout, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn get(path: &str) -> Request {
    Request::get(path).cookies(COOKIES)
}

fn post(path: &str) -> Request {
    Request::post(path).cookies(COOKIES)
}

fn login_over(transport: impl Into<Value>) -> Request {
    let transport = transport.into();
    Request::post("/auth/login").json(&json!({
        "username": "alice", "password": "alice's password", "transport": transport
    }))
}

/// No script can read the cookies, and the body has no token.
#[must_use]
pub fn a_login_by_cookie_gives_no_tokens_to_scripts() -> Scenario {
    Scenario::new("a_login_by_cookie_gives_no_tokens_to_scripts")
        .over(Transport::Cookie)
        .send(login("alice", "alice's password"), 200)
        .gets_cookies()
        .json("/expires_in", 900)
        .json("/expires_at", "2030-01-01T00:15:00Z")
        .json("/refresh_expires_at", "2030-01-15T00:00:00Z")
        .json("/scope", "profile")
        .keep("/session_id", "session")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(get("/me"), 200)
        .json("/subject", "alice")
        .same_as("/session_id", "session")
        .send(post("/profile"), 200)
        // A client that asks for another transport gets cookies as well, since the application
        // offers nothing else.
        .send(login_over("bearer"), 200)
        .gets_cookies()
        .send_bad_grant(login("alice", "bob's password"), "bad_credentials")
}

/// Apps and pages share the endpoint. No client gets both tokens and cookies.
#[must_use]
pub fn where_both_are_on_a_login_gets_what_it_asks_for() -> Scenario {
    let scenario = Scenario::new("where_both_are_on_a_login_gets_what_it_asks_for")
        .over(Transport::Both)
        .send(login("alice", "alice's password"), 200)
        .gets_tokens()
        .send(login_over("bearer"), 200)
        .gets_tokens()
        .send(me("{access}"), 200)
        .send(login_over("cookie"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(get("/me"), 200);
    let others = [
        json!("Cookie"),
        json!("cookies"),
        json!(""),
        json!(true),
        json!(null),
        json!(["cookie"]),
    ];
    others.into_iter().fold(scenario, |scenario, other| {
        scenario.send_bad_request(login_over(other), 400, "missing_parameter")
    })
}

/// The server takes bearer tokens alone, and ignores what a browser sends by itself.
#[must_use]
pub fn where_cookies_are_off_none_is_read_or_set() -> Scenario {
    Scenario::new("where_cookies_are_off_none_is_read_or_set")
        .send(login_over("cookie"), 200)
        .gets_tokens()
        .send_anonymous(get("/me"))
        .send_anonymous(get("/auth/sessions"))
        .send(post("/auth/refresh"), 415)
        .send_bad_request(
            post("/auth/refresh").json(&json!({})),
            400,
            "missing_parameter",
        )
        .send_anonymous(post("/auth/logout"))
        .send_anonymous(post("/auth/logout-all"))
        .send_anonymous(post("/auth/renew"))
        .send_anonymous(post("/auth/resume"))
        .lives("{access}", "{refresh}")
}

/// Cookies open everything that a bearer token opens.
#[must_use]
pub fn every_endpoint_takes_cookies() -> Scenario {
    let delete = |path: &str| Request::delete(path).cookies(COOKIES);
    Scenario::new("every_endpoint_takes_cookies")
        .over(Transport::Cookie)
        .send(login("alice", "alice's password"), 200)
        .gets_cookies()
        .keep("/session_id", "phone")
        .pass(MINUTE)
        .send(login("alice", "alice's password"), 200)
        .gets_cookies()
        .pass(MINUTE)
        .logged_in_by_cookie("alice")
        .send(get("/auth/sessions"), 200)
        .json("/sessions/0/current", true)
        .send(delete("/auth/sessions/{phone}"), 204)
        .send(delete("/auth/sessions"), 204)
        .send(get("/auth/sessions"), 200)
        .no_json("/sessions/1")
        .send(post("/auth/renew"), 200)
        .sets_cookies(&[ACCESS])
        .tells_no_tokens()
        .send(post("/auth/resume"), 200)
        .tells_no_tokens()
        .send(
            post("/auth/reauthenticate").json(&json!({ "password": "alice's password" })),
            200,
        )
        .gets_cookies()
        .other_cookie(REFRESH, "refresh")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .pass(MINUTE)
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
        .other_cookie(ACCESS, "access")
        .other_cookie(REFRESH, "refresh")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(get("/me"), 200)
        .send(post("/auth/logout-all"), 204)
        .clears_cookies()
        .empty()
        .send_bad_token(get("/me"), "the token has been revoked", "revoked")
        .send_bad_grant(post("/auth/refresh"), "session_ended")
}

/// A token that came as a bearer or in a body is answered in the body alone, so no script can turn
/// a cookie into a token.
#[must_use]
pub fn what_came_by_cookie_is_answered_by_cookie_alone() -> Scenario {
    let password = || json!({ "password": "alice's password" });
    Scenario::new("what_came_by_cookie_is_answered_by_cookie_alone")
        .over(Transport::Both)
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .gets_tokens()
        .send(
            Request::post("/auth/reauthenticate")
                .bearer("{access}")
                .json(&password()),
            200,
        )
        .gets_tokens()
        .send(Request::post("/auth/renew").bearer("{access}"), 200)
        .keep("/access_token", "access")
        .no_json("/refresh_token")
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auth/reauthenticate").json(&password()), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auth/renew"), 200)
        .sets_cookies(&[ACCESS])
        .tells_no_tokens()
        .keep_cookie(ACCESS, "access")
        // A script's own refresh token doesn't bring the access token out of its cookie.
        .pass(20 * MINUTE)
        .send(
            post("/auth/resume").json(&json!({ "refresh_token": "{refresh}" })),
            200,
        )
        .gets_cookies()
}

/// The bearer decides alone, even if it is bad and the cookies are good.
#[must_use]
pub fn a_bearer_outranks_cookies() -> Scenario {
    let malformed = "the token is malformed";
    let bad = |request: Request| request.bearer("a.b.c");
    let refusing = [
        bad(get("/me")),
        bad(get("/maybe")),
        bad(post("/profile")),
        bad(get("/auth/sessions")),
        bad(post("/auth/logout")),
        bad(post("/auth/logout-all")),
        bad(post("/auth/renew")),
        bad(post("/auth/reauthenticate").json(&json!({ "password": "alice's password" }))),
    ];
    let scenario = Scenario::new("a_bearer_outranks_cookies")
        .over(Transport::Both)
        .logged_in("alice");
    let scenario = refusing.into_iter().fold(scenario, |scenario, request| {
        scenario.send_bad_token(request, malformed, "malformed")
    });
    let garbage = "__Host-gatepass=x; __Host-gatepass-refresh=x";
    scenario
        .send_bad_grant(bad(post("/auth/resume")), "malformed")
        .send_anonymous(bad(post("/auth/refresh")))
        .send_ambiguous(get("/me").header("authorization", "Bearer"))
        .send(me("{access}").cookies(garbage), 200)
        .send(
            Request::post("/auth/renew")
                .bearer("{access}")
                .cookies(garbage),
            200,
        )
        .keep("/access_token", "access")
        .send(logout("{access}").cookies(garbage), 204)
        .has_ended("{access}", "{refresh}")
}

/// HTTP Basic is for another recipient, such as a proxy.
#[must_use]
pub fn other_credentials_do_not_disturb_cookies() -> Scenario {
    let basic = |request: Request| request.header("authorization", "Basic YTpi");
    Scenario::new("other_credentials_do_not_disturb_cookies")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(basic(get("/me")), 200)
        .send(basic(post("/auth/refresh")), 200)
        .gets_cookies()
        .send_ambiguous(basic(basic(get("/me"))))
        .send(basic(post("/auth/logout")), 204)
        .clears_cookies()
}

/// A host also has cookies of other programs. HTTP/2 may send each cookie in its own header.
#[must_use]
pub fn a_cookie_is_found_among_others() -> Scenario {
    let me = |cookies: &str| Request::get("/me").cookies(cookies);
    Scenario::new("a_cookie_is_found_among_others")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(me("theme=dark; __Host-gatepass={access}; a=b=c; x"), 200)
        .send(me("a=b;__Host-gatepass={access}"), 200)
        .send(me("a=b").cookies("__Host-gatepass={access}"), 200)
        .send(me("__Host-gatepass={access}").cookies("a=b"), 200)
        .send(
            Request::post("/auth/refresh")
                .cookies("__Host-gatepass=x")
                .cookies("__Host-gatepass-refresh={refresh}"),
            200,
        )
        .gets_cookies()
}

/// The cookie is sent twice, garbled, or the other one of the two. The request changes nothing.
#[must_use]
pub fn a_cookie_that_is_no_good_is_refused() -> Scenario {
    let me = |cookies: &[u8]| Request::get("/me").header("cookie", cookies);
    let refresh = |cookies: &str| Request::post("/auth/refresh").cookies(cookies);
    let malformed = "the token is malformed";
    let twice = "__Host-gatepass-refresh={refresh}; __Host-gatepass-refresh={refresh}";
    Scenario::new("a_cookie_that_is_no_good_is_refused")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send_anonymous(me(b"a=b"))
        .send_anonymous(me(b"__Host-gatepass="))
        .send_anonymous(me(b"__Host-gatepass"))
        .send_anonymous(me(
            b"gatepass={access}; __host-gatepass={access}; __Secure-gatepass={access}",
        ))
        .send_ambiguous(me(b"__Host-gatepass={access}; __Host-gatepass={access}"))
        .send_ambiguous(me(b"__Host-gatepass={access}; __Host-gatepass="))
        .send_ambiguous(me(b"__Host-gatepass={access}").cookies("__Host-gatepass=x"))
        .send_bad_token(me(b"__Host-gatepass=x"), malformed, "malformed")
        .send_bad_token(me(b"__Host-gatepass=\xff"), malformed, "malformed")
        .send_bad_token(me(b"__Host-gatepass=\"{access}\""), malformed, "malformed")
        .send(me(b"__Host-gatepass={refresh}"), 401)
        .send_anonymous(refresh("__Host-gatepass={access}"))
        .send_bad_grant(refresh("__Host-gatepass-refresh={access}"), "wrong_type")
        .send_bad_grant(refresh("__Host-gatepass-refresh=x"), "malformed")
        .send_ambiguous(refresh(twice))
        .send(get("/me"), 200)
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
}

/// The browser sends cookies unasked, so a visitor with a bad cookie is a stranger and not an
/// attacker.
#[must_use]
pub fn an_optional_gate_takes_a_bad_cookie_for_none() -> Scenario {
    let maybe = |cookies: &str| Request::get("/maybe").cookies(cookies);
    let scenario = Scenario::new("an_optional_gate_takes_a_bad_cookie_for_none")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(maybe(COOKIES), 200)
        .json("/subject", "alice");
    let bad = [
        "__Host-gatepass=x",
        "__Host-gatepass=",
        "__Host-gatepass={access}AAAA",
        "__Host-gatepass={access}; __Host-gatepass={access}",
        "__Host-gatepass={refresh}",
    ];
    let scenario = bad.into_iter().fold(scenario, |scenario, cookies| {
        scenario
            .send(maybe(cookies), 200)
            .json("/subject", Value::Null)
    });
    scenario
        .send_bad_token(
            maybe(COOKIES).bearer("a.b.c"),
            "the token is malformed",
            "malformed",
        )
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        .send(maybe(COOKIES), 200)
        .json("/subject", Value::Null)
        .pass(30 * MINUTE)
        .send(maybe(COOKIES), 200)
        .json("/subject", Value::Null)
}

/// All tabs find their access token expired at the same moment.
#[must_use]
pub fn tabs_that_refresh_at_once_get_the_same_cookie() -> Scenario {
    Scenario::new("tabs_that_refresh_at_once_get_the_same_cookie")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .pass(20 * MINUTE)
        .send_at_once(64, post("/auth/refresh"), 200)
        .gets_cookies()
        .other_cookie(REFRESH, "refresh")
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "successor")
        .send_at_once(64, post("/auth/refresh"), 200)
        .gets_cookies()
        .same_cookie(REFRESH, "successor")
        .pass(MINUTE)
        .send(
            Request::post("/auth/refresh").cookies("__Host-gatepass-refresh={successor}"),
            200,
        )
        .gets_cookies()
        .other_cookie(REFRESH, "successor")
}

/// The rules are those of a refresh by body. A refusal doesn't touch the cookies.
#[must_use]
pub fn a_refresh_by_cookie_recovers_once_and_finds_a_thief() -> Scenario {
    let with = |name: &str| {
        Request::post("/auth/refresh").cookies(&format!("__Host-gatepass-refresh={{{name}}}"))
    };
    Scenario::new("a_refresh_by_cookie_recovers_once_and_finds_a_thief")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(with("refresh"), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "lost")
        .pass(50 * MINUTE)
        .send(with("refresh"), 200)
        .gets_cookies()
        .same_cookie(REFRESH, "lost")
        .send(with("lost"), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "last")
        .pass(2 * MINUTE)
        .send_bad_grant(with("lost"), "reused")
        .send_bad_grant(with("last"), "session_ended")
}

/// Both tokens end at once, on the server and in the browser.
#[must_use]
pub fn a_logout_by_cookie_ends_the_session_and_clears() -> Scenario {
    Scenario::new("a_logout_by_cookie_ends_the_session_and_clears")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        .empty()
        .header("cache-control", "no-store")
        .send_bad_token(get("/me"), "the token has been revoked", "revoked")
        .send_bad_grant(post("/auth/refresh"), "session_ended")
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        // The browser has forgotten the cookies by now.
        .send_anonymous(Request::post("/auth/logout"))
}

/// The server logs out a user who asks for it, however late.
#[must_use]
pub fn a_logout_by_expired_or_ended_cookies_clears() -> Scenario {
    let spent = "__Host-gatepass-refresh={refresh}";
    Scenario::new("a_logout_by_expired_or_ended_cookies_clears")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .pass(30 * MINUTE)
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        .send_bad_grant(post("/auth/refresh"), "session_ended")
        .logged_in_by_cookie("alice")
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "second")
        .pass(10 * MINUTE)
        .send(Request::post("/auth/logout").cookies(spent), 204)
        .clears_cookies()
        .send_bad_grant(
            Request::post("/auth/refresh").cookies("__Host-gatepass-refresh={second}"),
            "session_ended",
        )
        .pass(100 * DAY)
        .send(post("/auth/logout"), 204)
        .clears_cookies()
}

/// A forged cookie ends no session and clears no cookie.
#[must_use]
pub fn a_logout_by_forged_cookies_clears_nothing() -> Scenario {
    let logout = |cookies: &str| Request::post("/auth/logout").cookies(cookies);
    let zeros = format!("gpr_{}", "A".repeat(79));
    Scenario::new("a_logout_by_forged_cookies_clears_nothing")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send_bad_token(
            logout("__Host-gatepass=a.b.c"),
            "the token is malformed",
            "malformed",
        )
        .send(logout("__Host-gatepass={access}AAAA"), 401)
        .send(logout(&format!("__Host-gatepass-refresh={zeros}")), 401)
        .send(
            logout("__Host-gatepass-refresh={refresh}A; __Host-gatepass=x"),
            401,
        )
        .send_ambiguous(logout("__Host-gatepass={access}; __Host-gatepass={access}"))
        .send_anonymous(logout("__Host-gatepass="))
        .send(get("/me"), 200)
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
}

/// The browser has lost or garbled the other cookie.
#[must_use]
pub fn one_good_cookie_is_enough_to_log_out() -> Scenario {
    let cookies = [
        "__Host-gatepass={access}",
        "__Host-gatepass-refresh={refresh}",
        "__Host-gatepass={access}; __Host-gatepass-refresh=x",
        "__Host-gatepass=x; __Host-gatepass-refresh={refresh}",
        "__Host-gatepass={access}; __Host-gatepass-refresh=x; __Host-gatepass-refresh=x",
    ];
    let scenario = Scenario::new("one_good_cookie_is_enough_to_log_out").over(Transport::Cookie);
    cookies.into_iter().fold(scenario, |scenario, cookies| {
        scenario
            .logged_in_by_cookie("alice")
            .send(Request::post("/auth/logout").cookies(cookies), 204)
            .clears_cookies()
            .send_bad_token(get("/me"), "the token has been revoked", "revoked")
            .send_bad_grant(post("/auth/refresh"), "session_ended")
    })
}

/// A late answer has replaced the access cookie of another login.
#[must_use]
pub fn cookies_of_two_sessions_are_both_logged_out() -> Scenario {
    let mixed = "__Host-gatepass={access}; __Host-gatepass-refresh={bob's}";
    Scenario::new("cookies_of_two_sessions_are_both_logged_out")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(login("bob", "bob's password"), 200)
        .gets_cookies()
        .keep_cookie(REFRESH, "bob's")
        .send(Request::post("/auth/logout").cookies(mixed), 204)
        .clears_cookies()
        .send_bad_token(get("/me"), "the token has been revoked", "revoked")
        .send_bad_grant(
            Request::post("/auth/refresh").cookies("__Host-gatepass-refresh={bob's}"),
            "session_ended",
        )
}

/// The cookies may belong to another session, which continues.
#[must_use]
pub fn a_logout_by_a_token_leaves_cookies_alone() -> Scenario {
    Scenario::new("a_logout_by_a_token_leaves_cookies_alone")
        .over(Transport::Both)
        .logged_in_as("alice", "app access", "app refresh")
        .send(login_over("cookie"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auth/logout").bearer("{app access}"), 204)
        .send(
            post("/auth/logout").json(&json!({ "refresh_token": "{app refresh}" })),
            204,
        )
        .has_ended("{app access}", "{app refresh}")
        .send(get("/me"), 200)
        .send(post("/auth/logout").json(&json!({})), 204)
        .clears_cookies()
}

/// Only the browser keeps a guarded response, unless the handler says otherwise.
#[must_use]
pub fn shared_caches_keep_no_guarded_answer() -> Scenario {
    let private = |scenario: Scenario| scenario.header("cache-control", "private");
    let scenario = Scenario::new("shared_caches_keep_no_guarded_answer")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    let scenario = private(scenario.send(get("/me"), 200));
    let scenario = private(scenario.send(post("/profile"), 200));
    let scenario = private(scenario.send(get("/maybe"), 200));
    // This page may greet the next visitor by name.
    let scenario = private(scenario.send(Request::get("/maybe"), 200));
    scenario
        .send(get("/strict"), 200)
        .header("cache-control", "no-store")
        .send(get("/admin"), 403)
        .header("cache-control", "no-store")
        .send(Request::get("/me"), 401)
        .header("cache-control", "no-store")
        .send(Request::get("/openapi.json"), 200)
        .no_header("cache-control")
}

/// Caches know the meaning of `Authorization` (RFC 9111 §3.5).
#[must_use]
pub fn an_answer_to_a_bearer_says_nothing_of_caches() -> Scenario {
    Scenario::new("an_answer_to_a_bearer_says_nothing_of_caches")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .no_header("cache-control")
        .send(Request::get("/maybe"), 200)
        .no_header("cache-control")
        .send(Request::get("/strict").bearer("{access}"), 200)
        .header("cache-control", "no-store")
}

/// No refusal clears them, because it may lose a race against the answer that set them.
#[must_use]
pub fn nothing_but_a_logout_clears_cookies() -> Scenario {
    let refused = |scenario: Scenario| {
        scenario
            .send(get("/me"), 401)
            .no_header("set-cookie")
            .send(get("/strict"), 401)
            .send(post("/profile"), 401)
            .send(get("/auth/sessions"), 401)
            .send(Request::delete("/auth/sessions").cookies(COOKIES), 401)
            .send(post("/auth/renew"), 401)
            .send(post("/auth/resume"), 401)
            .send(
                post("/auth/reauthenticate").json(&json!({ "password": "alice's password" })),
                401,
            )
            .send(post("/auth/logout-all"), 401)
            .send(post("/auth/login").body("{}"), 415)
            .send(get("/auth/login"), 405)
            .send(get("/nowhere"), 404)
            .send(post("/auth/logout").body("{}"), 415)
            .send(
                post("/auth/logout").header("sec-fetch-site", "cross-site"),
                403,
            )
    };
    let scenario = Scenario::new("nothing_but_a_logout_clears_cookies")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(get("/admin"), 403)
        .pass(20 * MINUTE)
        .send(get("/me"), 401)
        .pass(20 * DAY);
    let scenario = refused(scenario)
        .send_bad_grant(post("/auth/refresh"), "refresh_expired")
        .logged_in_by_cookie("alice")
        .send(Request::delete("/auth/sessions").cookies(COOKIES), 204)
        .send(post("/auth/logout"), 204)
        .clears_cookies();
    refused(scenario).send_bad_grant(post("/auth/refresh"), "session_ended")
}
