//! Scenarios of gates that refresh a browser's cookies.

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{ACCESS, BOTH, COOKIES, REFRESH, login, me},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Longer than an access token lives.
const LATER: Duration = Duration::from_secs(1_200);

fn get(path: &str) -> Request {
    Request::get(path).cookies(COOKIES)
}

fn post(path: &str) -> Request {
    Request::post(path).cookies(COOKIES)
}

/// A browser that has lost its access cookie.
fn with_refresh_cookie(request: Request) -> Request {
    request.cookies("__Host-gatepass-refresh={refresh}")
}

/// A browser whose access token has expired.
fn asleep(name: &'static str) -> Scenario {
    Scenario::new(name)
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .pass(LATER)
}

impl Scenario {
    /// The response sets both cookies of the next generation, and no cache may keep it. The browser
    /// keeps the cookies.
    fn refreshes(self) -> Self {
        self.sets_cookies(BOTH)
            .header("cache-control", "no-store")
            .other_cookie(ACCESS, "access")
            .other_cookie(REFRESH, "refresh")
            .keep_cookie(ACCESS, "access")
            .keep_cookie(REFRESH, "refresh")
    }
}

/// The refresh costs one round trip, and the next request has a good access token.
#[must_use]
pub fn an_expired_access_cookie_is_refreshed_in_one_round_trip() -> Scenario {
    asleep("an_expired_access_cookie_is_refreshed_in_one_round_trip")
        .send(get("/auto/me"), 200)
        .json("/subject", "alice")
        .refreshes()
        .send(get("/auto/me"), 200)
        .send(get("/me"), 200)
}

/// A browser may drop cookies at any time.
#[must_use]
pub fn a_missing_access_cookie_is_refreshed_in_one_round_trip() -> Scenario {
    Scenario::new("a_missing_access_cookie_is_refreshed_in_one_round_trip")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(with_refresh_cookie(Request::get("/auto/me")), 200)
        .json("/subject", "alice")
        .refreshes()
        .send(get("/me"), 200)
}

/// The gate refreshes only when the leeway is over.
#[must_use]
pub fn a_good_access_cookie_is_not_refreshed() -> Scenario {
    Scenario::new("a_good_access_cookie_is_not_refreshed")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(get("/auto/me"), 200)
        .header("cache-control", "private")
        .pass(929 * SECOND)
        .send(get("/auto/me"), 200)
        .pass(SECOND)
        .send(get("/auto/me"), 200)
        .refreshes()
}

/// The request is a form of the service's own page.
#[must_use]
pub fn a_request_that_changes_something_is_refreshed() -> Scenario {
    let form = post("/auto/profile")
        .header("sec-fetch-site", "same-origin")
        .header("origin", "https://service.test");
    asleep("a_request_that_changes_something_is_refreshed")
        .send(form, 200)
        .refreshes()
}

/// The answer is the head of the `GET`, with its cookies.
#[must_use]
pub fn a_head_request_is_refreshed() -> Scenario {
    asleep("a_head_request_is_refreshed")
        .send(Request::method("HEAD", "/auto/me").cookies(COOKIES), 200)
        .refreshes()
        .empty()
}

/// The session rotates once. A minute later, gatepass treats the old token as the victim of a lost
/// answer.
#[must_use]
pub fn twenty_requests_of_a_page_that_wakes_up_end_one_generation_later() -> Scenario {
    asleep("twenty_requests_of_a_page_that_wakes_up_end_one_generation_later")
        .send_at_once(20, get("/auto/me"), 200)
        .json("/subject", "alice")
        .sets_cookies(BOTH)
        .other_cookie(REFRESH, "refresh")
        .pass(MINUTE)
        .send(get("/auto/me"), 200)
        .refreshes()
}

/// A refresh by the endpoint and a refresh by a gate are the same.
#[must_use]
pub fn a_gate_and_the_endpoint_bring_the_same_refresh_cookie() -> Scenario {
    asleep("a_gate_and_the_endpoint_bring_the_same_refresh_cookie")
        .send(get("/auto/me"), 200)
        .sets_cookies(BOTH)
        .keep_cookie(REFRESH, "second refresh")
        .send(post("/auth/refresh"), 200)
        .gets_cookies()
        .same_cookie(REFRESH, "second refresh")
        .pass(SECOND)
        .send(get("/auto/me"), 200)
        .sets_cookies(BOTH)
        .same_cookie(REFRESH, "second refresh")
}

/// A cache would give the tokens to others, so the handler can't allow it.
#[must_use]
pub fn a_refreshed_answer_is_kept_by_no_cache() -> Scenario {
    asleep("a_refreshed_answer_is_kept_by_no_cache")
        .send(get("/auto/public"), 200)
        .refreshes()
        .send(get("/auto/public"), 200)
        .header("cache-control", "public, max-age=60")
}

/// The response has the session's cookies and the handler's.
#[must_use]
pub fn cookies_of_the_handler_stay() -> Scenario {
    asleep("cookies_of_the_handler_stay")
        .send(get("/auto/theme"), 200)
        .sets_cookies(&[ACCESS, REFRESH, "theme"])
        .header("cache-control", "no-store")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(get("/auto/theme"), 200)
        .sets_cookies(&["theme"])
}

/// For example, the handler has logged the browser in again.
#[must_use]
pub fn a_handler_that_sets_a_cookie_of_the_session_decides_alone() -> Scenario {
    asleep("a_handler_that_sets_a_cookie_of_the_session_decides_alone")
        .send(get("/auto/own"), 200)
        .sets_cookies(&[ACCESS])
}

/// The cookies are in the head, which leaves before the body.
#[must_use]
pub fn a_streamed_answer_is_refreshed() -> Scenario {
    asleep("a_streamed_answer_is_refreshed")
        .send(get("/auto/stream"), 200)
        .refreshes()
        .send(get("/auto/stream"), 200)
}

/// A visitor who was logged in is logged in again.
#[must_use]
pub fn an_optional_gate_refreshes() -> Scenario {
    asleep("an_optional_gate_refreshes")
        .send(get("/auto/maybe"), 200)
        .json("/subject", "alice")
        .refreshes()
        .send(Request::get("/auto/maybe"), 200)
        .json("/subject", json!(null))
}

/// The browser sends the cookie unasked, so a bad one makes a stranger.
#[must_use]
pub fn an_optional_gate_takes_a_refused_refresh_for_none() -> Scenario {
    let maybe = |cookies: &str| Request::get("/auto/maybe").cookies(cookies);
    asleep("an_optional_gate_takes_a_refused_refresh_for_none")
        .send(maybe("__Host-gatepass-refresh=x"), 200)
        .json("/subject", json!(null))
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        .send(get("/auto/maybe"), 200)
        .json("/subject", json!(null))
}

/// A form of another site would act in the name of the user, even on a route for everyone.
#[must_use]
pub fn an_optional_gate_judges_where_a_request_comes_from_before_it_refreshes() -> Scenario {
    asleep("an_optional_gate_judges_where_a_request_comes_from_before_it_refreshes")
        .send(
            post("/auto/maybe").header("sec-fetch-site", "cross-site"),
            403,
        )
        .json("/reason", "cross_site")
        .send(get("/auto/maybe"), 200)
        .refreshes()
}

/// The gate also asks the store, which says that the session is live.
#[must_use]
pub fn a_strict_gate_refreshes() -> Scenario {
    asleep("a_strict_gate_refreshes")
        .send(get("/auto/strict"), 200)
        .refreshes()
        .send(get("/auto/strict"), 200)
}

/// A refresh doesn't change when the user typed the password.
#[must_use]
pub fn an_automatic_refresh_makes_no_authentication_recent() -> Scenario {
    asleep("an_automatic_refresh_makes_no_authentication_recent")
        .send(post("/auto/transfer"), 401)
        .json("/reason", "authentication_too_old")
        .refreshes()
        .send(
            post("/auth/reauthenticate").json(&json!({ "password": "alice's password" })),
            200,
        )
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(post("/auto/transfer"), 200)
}

/// The session has rotated, so the browser must get the cookies.
#[must_use]
pub fn a_refreshed_request_that_lacks_a_scope_brings_cookies() -> Scenario {
    asleep("a_refreshed_request_that_lacks_a_scope_brings_cookies")
        .send(get("/auto/admin"), 403)
        .json("/reason", "insufficient_scope")
        .refreshes()
        .send(get("/auto/admin"), 403)
}

/// A forged request doesn't rotate the session.
#[must_use]
pub fn a_cross_site_request_is_refused_before_it_is_refreshed() -> Scenario {
    let cross = |request: Request| request.header("sec-fetch-site", "cross-site");
    let origin = |request: Request| request.header("origin", "https://evil.test");
    let lost = || with_refresh_cookie(Request::post("/auto/profile"));
    let forged = [
        cross(post("/auto/profile")),
        origin(post("/auto/profile")),
        cross(lost()),
        origin(lost()),
        lost().header("sec-fetch-site", "same-site"),
    ];
    let scenario = asleep("a_cross_site_request_is_refused_before_it_is_refreshed");
    let scenario = forged.into_iter().fold(scenario, |scenario, request| {
        scenario.send(request, 403).json("/reason", "cross_site")
    });
    // It has not rotated: there is nothing to recover from.
    scenario.send(post("/auto/profile"), 200).refreshes()
}

/// A `GET` changes nothing, so it may come from any site.
#[must_use]
pub fn a_link_from_another_site_arrives_logged_in() -> Scenario {
    let link = get("/auto/me").header("sec-fetch-site", "cross-site");
    asleep("a_link_from_another_site_arrives_logged_in")
        .send(link, 200)
        .refreshes()
}

/// A script or a program refreshes its own tokens.
#[must_use]
pub fn a_bearer_is_not_refreshed_by_a_gate() -> Scenario {
    Scenario::new("a_bearer_is_not_refreshed_by_a_gate")
        .over(Transport::Both)
        .logged_in("alice")
        .pass(LATER)
        .send_bad_token(
            get("/auto/me").bearer("{access}"),
            "the token has expired",
            "expired",
        )
        .send(get("/auto/me"), 200)
        .refreshes()
}

/// The application ignores all cookies there.
#[must_use]
pub fn where_cookies_are_off_no_gate_refreshes() -> Scenario {
    Scenario::new("where_cookies_are_off_no_gate_refreshes")
        .logged_in("alice")
        .pass(LATER)
        .send_anonymous(get("/auto/me"))
        .send_bad_token(
            get("/auto/me").bearer("{access}"),
            "the token has expired",
            "expired",
        )
}

/// The other gates of the application don't refresh.
#[must_use]
pub fn a_gate_that_was_not_told_to_refreshes_nothing() -> Scenario {
    asleep("a_gate_that_was_not_told_to_refreshes_nothing")
        .send_bad_token(get("/me"), "the token has expired", "expired")
        .send_anonymous(with_refresh_cookie(Request::get("/me")))
}

/// A logout is final.
#[must_use]
pub fn a_browser_that_has_logged_out_is_not_refreshed() -> Scenario {
    asleep("a_browser_that_has_logged_out_is_not_refreshed")
        .send(post("/auth/logout"), 204)
        .clears_cookies()
        .send(get("/auto/me"), 401)
        .json("/reason", "session_ended")
        .send(with_refresh_cookie(Request::get("/auto/me")), 401)
        .json("/reason", "session_ended")
        .send_anonymous(Request::get("/auto/me"))
}

/// Another device of the user ended it.
#[must_use]
pub fn a_session_that_was_ended_elsewhere_is_not_refreshed() -> Scenario {
    Scenario::new("a_session_that_was_ended_elsewhere_is_not_refreshed")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send(login("alice", "alice's password"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "other access")
        .send(
            Request::post("/auth/logout-all").cookies("__Host-gatepass={other access}"),
            204,
        )
        .clears_cookies()
        .send_bad_token(get("/auto/me"), "the token has been revoked", "revoked")
        .pass(LATER)
        .send(get("/auto/me"), 401)
        .json("/reason", "session_ended")
}

/// The session was unused for too long.
#[must_use]
pub fn an_idle_session_is_not_refreshed() -> Scenario {
    Scenario::new("an_idle_session_is_not_refreshed")
        .over(Transport::Cookie)
        .idle_for(DAY)
        .logged_in_by_cookie("alice")
        .pass(DAY)
        .send(get("/auto/me"), 401)
        .json("/reason", "refresh_expired")
}

/// Refreshes don't extend the absolute lifetime.
#[must_use]
pub fn a_gate_keeps_no_session_beyond_its_absolute_end() -> Scenario {
    let scenario = Scenario::new("a_gate_keeps_no_session_beyond_its_absolute_end")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    let scenario = (0..8).fold(scenario, |scenario, _| {
        scenario
            .pass(11 * DAY)
            .send(get("/auto/me"), 200)
            .refreshes()
    });
    scenario
        .pass(2 * DAY)
        .send(get("/auto/me"), 401)
        .json("/reason", "session_ended")
}

/// The application reads the user again at each refresh.
#[must_use]
pub fn a_deleted_user_is_not_refreshed_by_a_gate() -> Scenario {
    asleep("a_deleted_user_is_not_refreshed_by_a_gate")
        .change_user("alice", UserChange::Deleted)
        .send(get("/auto/me"), 401)
        .json("/reason", "session_ended")
}

/// The application reads the user again at each refresh.
#[must_use]
pub fn changed_scopes_come_with_an_automatic_refresh() -> Scenario {
    asleep("changed_scopes_come_with_an_automatic_refresh")
        .change_user("alice", UserChange::Scope("profile admin"))
        .send(get("/auto/admin"), 200)
        .json("/scope", "admin profile")
        .refreshes()
}

/// The gate ends the session, as the refresh endpoint does.
#[must_use]
pub fn a_gate_finds_a_stolen_refresh_cookie() -> Scenario {
    asleep("a_gate_finds_a_stolen_refresh_cookie")
        .send(get("/auto/me"), 200)
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "second access")
        .keep_cookie(REFRESH, "second refresh")
        .pass(LATER)
        .send(
            Request::get("/auto/me").cookies("__Host-gatepass-refresh={second refresh}"),
            200,
        )
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "third access")
        .pass(MINUTE)
        .send(get("/auto/me"), 401)
        .json("/reason", "reused")
        .send_bad_token(
            me("{third access}"),
            "the token has been revoked",
            "revoked",
        )
}

/// The connection broke before the cookies arrived, and the browser tries again.
#[must_use]
pub fn a_lost_answer_of_a_gate_is_recovered_from() -> Scenario {
    asleep("a_lost_answer_of_a_gate_is_recovered_from")
        .send(get("/auto/me"), 200)
        .sets_cookies(BOTH)
        .keep_cookie(REFRESH, "lost refresh")
        .pass(10 * MINUTE)
        .send(get("/auto/me"), 200)
        .sets_cookies(BOTH)
        .same_cookie(REFRESH, "lost refresh")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .pass(LATER)
        .send(get("/auto/me"), 200)
        .refreshes()
}

/// Each refusal names its own reason.
#[must_use]
pub fn a_refresh_cookie_that_is_no_good_is_refused_by_a_gate() -> Scenario {
    let me = |cookies: &str| Request::get("/auto/me").cookies(cookies);
    let twice = "__Host-gatepass-refresh={refresh}; __Host-gatepass-refresh={refresh}";
    asleep("a_refresh_cookie_that_is_no_good_is_refused_by_a_gate")
        .send(me("__Host-gatepass-refresh=x"), 401)
        .json("/reason", "malformed")
        .send(me("__Host-gatepass-refresh={access}"), 401)
        .json("/reason", "wrong_type")
        .send_ambiguous(me(twice))
        .send_anonymous(me("__Host-gatepass-refresh="))
        .send_anonymous(me("gatepass-refresh={refresh}"))
        .send_bad_token(
            me("__Host-gatepass=x; __Host-gatepass-refresh={refresh}"),
            "the token is malformed",
            "malformed",
        )
        .send(get("/auto/me"), 200)
        .refreshes()
}

/// The store was restored from a backup.
#[must_use]
pub fn a_session_that_the_store_has_lost_is_not_refreshed() -> Scenario {
    asleep("a_session_that_the_store_has_lost_is_not_refreshed")
        .lose_sessions()
        .send(get("/auto/me"), 401)
        .json("/reason", "session_ended")
}
