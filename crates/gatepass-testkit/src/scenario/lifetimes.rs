//! Scenarios of sessions whose login sets their lifetime.

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario,
    wording::{ACCESS, BOTH, COOKIES, REFRESH, login, logout, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn forgetful_login() -> Request {
    Request::post("/auth/login").json(&json!({
        "username": "alice", "password": "alice's password", "remember_me": false
    }))
}

/// The tokens have that lifetime, and a refresh doesn't extend it.
#[must_use]
pub fn a_login_that_is_not_remembered_lasts_a_day_at_most() -> Scenario {
    Scenario::new("a_login_that_is_not_remembered_lasts_a_day_at_most")
        .send(forgetful_login(), 200)
        .json("/refresh_expires_at", "2030-01-02T00:00:00Z")
        .keep("/refresh_token", "refresh")
        .pass(20 * HOUR)
        .send(refresh("{refresh}"), 200)
        .json("/refresh_expires_at", "2030-01-02T00:00:00Z")
        .keep("/refresh_token", "refresh")
        .pass(4 * HOUR)
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .send(login("alice", "alice's password"), 200)
        .json("/refresh_expires_at", "2030-01-16T00:00:00Z")
}

/// The browser forgets the cookies when it closes, including those of a refresh and of a gate.
#[must_use]
pub fn cookies_of_a_login_that_is_not_remembered_go_with_the_browser() -> Scenario {
    let get = |path: &str| Request::get(path).cookies(COOKIES);
    let post = |path: &str| Request::post(path).cookies(COOKIES);
    Scenario::new("cookies_of_a_login_that_is_not_remembered_go_with_the_browser")
        .over(Transport::Cookie)
        .send(forgetful_login(), 200)
        .sets_session_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auth/renew"), 200)
        .sets_session_cookies(&[ACCESS])
        .pass(MINUTE)
        .send(post("/auth/refresh"), 200)
        .sets_session_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .pass(HOUR)
        .send(get("/auto/me"), 200)
        .sets_session_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auth/logout"), 204)
        .clears_cookies()
}

/// The session is listed and can be ended like any other. It ends with its access token at the
/// latest.
#[must_use]
pub fn a_session_without_a_refresh_token_ends_with_its_access_token() -> Scenario {
    let begin = || Request::post("/auto/access-only").bearer("{access}");
    let list = || Request::get("/auth/sessions").bearer("{access}");
    let renew = Request::post("/auth/renew").bearer("{only}");
    Scenario::new("a_session_without_a_refresh_token_ends_with_its_access_token")
        .logged_in("alice")
        .send(begin(), 200)
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .json("/expires_at", "2030-01-01T00:15:00Z")
        .no_json("/refresh_token")
        .no_json("/refresh_expires_at")
        .keep("/access_token", "only")
        .keep("/session_id", "session")
        .send(me("{only}"), 200)
        .same_as("/session_id", "session")
        .send(list(), 200)
        .same_as("/sessions/0/id", "session")
        .some_json("/sessions/1")
        .pass(10 * MINUTE)
        .send(renew, 200)
        .json("/expires_at", "2030-01-01T00:25:00Z")
        .keep("/access_token", "only")
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .pass(10 * MINUTE)
        .send(me("{only}"), 200)
        .send(list(), 200)
        .some_json("/sessions/1")
        .pass(5 * MINUTE)
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "access")
        .send(list(), 200)
        .no_json("/sessions/1")
        .send(begin(), 200)
        .keep("/access_token", "only")
        .send(logout("{only}"), 204)
        .send_bad_token(me("{only}"), "the token has been revoked", "revoked")
        .send(me("{access}"), 200)
}

/// The response sets no refresh cookie, since there is nothing to refresh.
#[must_use]
pub fn a_session_without_a_refresh_token_has_one_cookie() -> Scenario {
    let post = |path: &str| Request::post(path).cookies("__Host-gatepass={only}");
    Scenario::new("a_session_without_a_refresh_token_has_one_cookie")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(
            Request::post("/auto/access-only-by-cookie").cookies(COOKIES),
            200,
        )
        .sets_cookies(&[ACCESS])
        .tells_no_tokens()
        .keep_cookie(ACCESS, "only")
        .send(post("/profile"), 200)
        .send(post("/auth/refresh"), 401)
        .json("/reason", "missing")
        .send(post("/auth/renew"), 200)
        .sets_cookies(&[ACCESS])
        .keep_cookie(ACCESS, "only")
        .pass(16 * MINUTE)
        .send(post("/auto/profile"), 401)
        .json("/reason", "expired")
}

/// A response brings the new token after half of the old one's life. The client then sends the new
/// one.
#[must_use]
pub fn a_token_in_use_is_renewed_in_a_response_header() -> Scenario {
    let use_it = |token: &str| Request::get("/auto/sliding").bearer(token);
    Scenario::new("a_token_in_use_is_renewed_in_a_response_header")
        .logged_in("alice")
        .send(Request::post("/auto/access-only").bearer("{access}"), 200)
        .keep("/access_token", "first")
        .keep("/session_id", "session")
        .pass(7 * MINUTE)
        .send(use_it("{first}"), 200)
        .no_header("x-renewed-token")
        .pass(MINUTE)
        .send(me("{first}"), 200)
        .no_header("x-renewed-token")
        .send(use_it("{first}"), 200)
        .json("/subject", "alice")
        .header("cache-control", "no-store")
        .keep_header("x-renewed-token", "second")
        // Other requests at that time need not bring it.
        .send(use_it("{first}"), 200)
        .no_header("x-renewed-token")
        .send(use_it("{second}"), 200)
        .same_as("/session_id", "session")
        .json("/scope", "profile")
        .no_header("x-renewed-token")
        // The answer may be lost.
        .pass(MINUTE)
        .send(use_it("{first}"), 200)
        .keep_header("x-renewed-token", "second")
        .pass(10 * MINUTE)
        .send_bad_token(use_it("{first}"), "the token has expired", "expired")
        .send(use_it("{second}"), 200)
        .keep_header("x-renewed-token", "third")
        .send(logout("{third}"), 204)
        .send_bad_token(use_it("{third}"), "the token has been revoked", "revoked")
        .send_anonymous(Request::get("/auto/sliding"))
}

/// The gate renews the token if it came by the access cookie and the client has no refresh cookie.
#[must_use]
pub fn a_token_in_use_is_renewed_in_its_cookie() -> Scenario {
    let use_it = |cookies: &str| Request::get("/auto/sliding").cookies(cookies);
    Scenario::new("a_token_in_use_is_renewed_in_its_cookie")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .pass(8 * MINUTE)
        .send(use_it(COOKIES), 200)
        .header("cache-control", "private")
        .send(
            Request::post("/auto/access-only-by-cookie").cookies(COOKIES),
            200,
        )
        .sets_cookies(&[ACCESS])
        .keep_cookie(ACCESS, "only")
        .pass(8 * MINUTE)
        .send(use_it("__Host-gatepass={only}"), 200)
        .json("/subject", "alice")
        .header("cache-control", "no-store")
        .no_header("x-renewed-token")
        .sets_cookies(&[ACCESS])
        .other_cookie(ACCESS, "only")
        .keep_cookie(ACCESS, "only")
        .pass(8 * MINUTE)
        .send(use_it("__Host-gatepass={only}"), 200)
        .sets_cookies(&[ACCESS])
}
