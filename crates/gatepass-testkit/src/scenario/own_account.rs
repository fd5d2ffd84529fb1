//! Scenarios of users who change their own account.

use std::time::Duration;

use gatepass::Transport;
use serde_json::{Value, json};

use super::{
    Request, Scenario,
    wording::{COOKIES, login, me},
};

const OLD: &str = "alice's password";
const NEW: &str = "another password";

fn change(body: &Value) -> Request {
    Request::method("PUT", "/me/password").json(body)
}

fn change_from(current: &str, new: &str) -> Request {
    change(&json!({ "current_password": current, "new_password": new }))
}

fn delete(token: &str) -> Request {
    Request::delete("/me").bearer(token)
}

/// The session in which the user changed it stays logged in.
#[must_use]
pub fn a_new_password_ends_all_other_sessions_of_the_user() -> Scenario {
    Scenario::new("a_new_password_ends_all_other_sessions_of_the_user")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .logged_in_as("bob", "bob access", "bob refresh")
        .send(change_from(OLD, NEW).bearer("{access}"), 204)
        .empty()
        .has_ended("{phone access}", "{phone refresh}")
        .lives("{access}", "{refresh}")
        .lives("{bob access}", "{bob refresh}")
        .send_bad_grant(login("alice", OLD), "bad_credentials")
        .send(login("alice", NEW), 200)
}

/// The attempts count as logins, so a thief with an access token can't evade the limit.
#[must_use]
pub fn a_new_password_needs_the_current_one() -> Scenario {
    let scenario = Scenario::new("a_new_password_needs_the_current_one")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .send_anonymous(change_from(OLD, NEW))
        .send_anonymous(Request::method("PUT", "/me/password"));
    let scenario = [
        (json!({ "new_password": NEW }), "body_unparseable"),
        (
            json!({ "current_password": OLD, "new_password": 1 }),
            "body_unparseable",
        ),
        (
            json!({ "current_password": OLD, "new_password": "" }),
            "bad_password",
        ),
        (
            json!({ "current_password": OLD, "new_password": "x".repeat(1025) }),
            "bad_password",
        ),
    ]
    .iter()
    .fold(scenario, |scenario, (body, reason)| {
        scenario.send_bad_request(change(body).bearer("{access}"), 400, reason)
    });
    let too_long = change_from(&"x".repeat(16 * 1024), NEW).bearer("{access}");
    let scenario = scenario.send_bad_request(too_long, 413, "body_too_large");
    let guess = || change_from("a guess", NEW).bearer("{access}");
    let elsewhere = login("alice", OLD).header("x-forwarded-for", "203.0.113.7");
    // The user has logged in from this address, so the attempts count for this name and address
    // together.
    (0..5)
        .fold(scenario, |scenario, _| {
            scenario.send_bad_request(guess(), 403, "bad_credentials")
        })
        .send(change_from(OLD, NEW).bearer("{access}"), 429)
        .json("/error", "slow_down")
        .json("/reason", "too_many_attempts")
        .header("retry-after", "1")
        .send(elsewhere, 200)
        .lives("{access}", "{refresh}")
        .lives("{phone access}", "{phone refresh}")
        .pass(Duration::from_secs(1))
        .send(change_from(OLD, NEW).bearer("{access}"), 204)
}

/// A page of another site changes nothing in the user's name.
#[must_use]
pub fn a_new_password_by_cookie_comes_from_the_services_own_pages() -> Scenario {
    let from = |request: Request, site: &str| {
        request
            .cookies(COOKIES)
            .header("host", "service.test")
            .header("sec-fetch-site", site)
    };
    Scenario::new("a_new_password_by_cookie_comes_from_the_services_own_pages")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .send_cross_site(from(change_from(OLD, NEW), "cross-site"))
        .send_cross_site(from(Request::delete("/me"), "cross-site"))
        .send(from(change_from(OLD, NEW), "same-origin"), 204)
        .empty()
        .header("cache-control", "private")
        .send(from(Request::delete("/me"), "same-origin"), 204)
        .empty()
        .send(Request::get("/me").cookies(COOKIES), 401)
        .json("/reason", "revoked")
}

/// The sessions end at once, and not at their next refresh.
#[must_use]
pub fn a_user_is_deleted_with_all_sessions() -> Scenario {
    Scenario::new("a_user_is_deleted_with_all_sessions")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .logged_in_as("bob", "bob access", "bob refresh")
        .send(delete("{access}"), 204)
        .empty()
        .has_ended("{access}", "{refresh}")
        .has_ended("{phone access}", "{phone refresh}")
        .lives("{bob access}", "{bob refresh}")
        .send_bad_grant(login("alice", OLD), "bad_credentials")
}

/// A token stolen from an old session can't delete the user.
#[must_use]
pub fn a_deletion_needs_a_recent_login() -> Scenario {
    Scenario::new("a_deletion_needs_a_recent_login")
        .logged_in("alice")
        .send_anonymous(Request::delete("/me"))
        .pass(Duration::from_secs(301))
        .send(delete("{access}"), 401)
        .json("/reason", "authentication_too_old")
        .send(me("{access}"), 200)
        .send(login("alice", OLD), 200)
        .keep("/access_token", "recent")
        .send(delete("{recent}"), 204)
        .send(me("{access}"), 401)
        .json("/reason", "revoked")
}
