//! Scenarios of logouts, and of the list of sessions.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Request, Scenario,
    wording::{login, logout, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);

fn logout_with_body(token: &str) -> Request {
    Request::post("/auth/logout").json(&json!({ "refresh_token": token }))
}

fn logout_all(token: &str) -> Request {
    Request::post("/auth/logout-all").bearer(token)
}

fn sessions(token: &str) -> Request {
    Request::get("/auth/sessions").bearer(token)
}

/// The endpoint refuses a way to wait that it doesn't know, so the client can't take its answer for
/// a promise.
#[must_use]
pub fn a_logout_everywhere_can_be_waited_for() -> Scenario {
    let waiting = |query: &str| Request::post(format!("/auth/logout-all?{query}"));
    Scenario::new("a_logout_everywhere_can_be_waited_for")
        .logged_in("alice")
        .send(waiting("wait=enforced"), 401)
        .send(waiting("wait=durable").bearer("{access}"), 400)
        .send(
            waiting("wait=enforced&wait=enforced").bearer("{access}"),
            400,
        )
        .send(me("{access}"), 200)
        .send(waiting("other=1&wait=enforced").bearer("{access}"), 204)
        .empty()
        .has_ended("{access}", "{refresh}")
}

/// Both tokens of the session end.
#[must_use]
pub fn a_logout_by_access_token_ends_the_session() -> Scenario {
    Scenario::new("a_logout_by_access_token_ends_the_session")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .send(logout("{access}"), 204)
        .empty()
        .header("cache-control", "no-store")
        .has_ended("{access}", "{refresh}")
        .has_ended("{second access}", "{second refresh}")
}

/// This is for clients whose access token is gone or expired.
#[must_use]
pub fn a_logout_by_refresh_token_ends_the_session() -> Scenario {
    Scenario::new("a_logout_by_refresh_token_ends_the_session")
        .logged_in("alice")
        .send(logout_with_body("{refresh}"), 204)
        .empty()
        .has_ended("{access}", "{refresh}")
}

/// A logout that loses a race against a rotation still ends the session.
#[must_use]
pub fn a_logout_by_a_spent_refresh_token_ends_the_session() -> Scenario {
    Scenario::new("a_logout_by_a_spent_refresh_token_ends_the_session")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .pass(5 * MINUTE)
        .send(logout_with_body("{refresh}"), 204)
        .has_ended("{second access}", "{second refresh}")
}

/// The tab stayed open over lunch, and its logout must still end the session.
#[must_use]
pub fn a_logout_by_an_expired_access_token_ends_the_session() -> Scenario {
    Scenario::new("a_logout_by_an_expired_access_token_ends_the_session")
        .logged_in("alice")
        .pass(30 * MINUTE)
        .send_bad_token(me("{access}"), "the token has expired", "expired")
        .send(logout("{access}"), 204)
        .send_bad_grant(refresh("{refresh}"), "session_ended")
}

/// A second logout is no error.
#[must_use]
pub fn a_logout_can_be_repeated() -> Scenario {
    Scenario::new("a_logout_can_be_repeated")
        .logged_in("alice")
        .send(logout("{access}"), 204)
        .send(logout("{access}"), 204)
        .send(logout_with_body("{refresh}"), 204)
        .pass(Duration::from_secs(100 * 86_400))
        .send(logout("{access}"), 204)
        .send(logout_with_body("{refresh}"), 204)
}

/// A forged token logs no user out. If there is a bearer token, it decides alone.
#[must_use]
pub fn a_logout_needs_a_token_of_ours() -> Scenario {
    let both = Request::post("/auth/logout")
        .bearer("a.b.c")
        .json(&json!({ "refresh_token": "{refresh}" }));
    Scenario::new("a_logout_needs_a_token_of_ours")
        .logged_in("alice")
        .send_anonymous(Request::post("/auth/logout"))
        .send_bad_token(logout("a.b.c"), "the token is malformed", "malformed")
        .send_bad_token(
            logout_with_body("gpr_nonsense"),
            "the token is malformed",
            "malformed",
        )
        .send_bad_token(both, "the token is malformed", "malformed")
        .send_bad_request(
            Request::post("/auth/logout").json(&json!({ "refresh_token": 5 })),
            400,
            "missing_parameter",
        )
        .lives("{access}", "{refresh}")
}

/// The logout ends one session.
#[must_use]
pub fn a_logout_leaves_other_devices_alone() -> Scenario {
    Scenario::new("a_logout_leaves_other_devices_alone")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .logged_in_as("bob", "bob access", "bob refresh")
        .send(logout("{access}"), 204)
        .has_ended("{access}", "{refresh}")
        .lives("{phone access}", "{phone refresh}")
        .lives("{bob access}", "{bob refresh}")
}

/// This includes sessions that were refreshed. A login in the same instant begins a new session,
/// which lives.
#[must_use]
pub fn a_logout_everywhere_ends_every_session_and_later_logins_live() -> Scenario {
    Scenario::new("a_logout_everywhere_ends_every_session_and_later_logins_live")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .send(refresh("{phone refresh}"), 200)
        .keep("/access_token", "phone access 2")
        .keep("/refresh_token", "phone refresh 2")
        .logged_in_as("bob", "bob access", "bob refresh")
        .send(logout_all("{access}"), 204)
        .empty()
        .logged_in_as("alice", "new access", "new refresh")
        .has_ended("{access}", "{refresh}")
        .has_ended("{phone access}", "{phone refresh}")
        .has_ended("{phone access 2}", "{phone refresh 2}")
        .lives("{new access}", "{new refresh}")
        .lives("{bob access}", "{bob refresh}")
        .send_anonymous(Request::post("/auth/logout-all"))
}

/// The newest session is first, and people can read the times.
#[must_use]
pub fn sessions_are_listed_with_the_current_one_marked() -> Scenario {
    let phone =
        json!({ "username": "alice", "password": "alice's password", "device": "Alice's phone" });
    Scenario::new("sessions_are_listed_with_the_current_one_marked")
        .logged_in("alice")
        .pass(MINUTE)
        .send(
            Request::post("/auth/login")
                .header("user-agent", "PhoneApp/1.0")
                .json(&phone),
            200,
        )
        .keep("/session_id", "phone")
        .logged_in_as("bob", "bob access", "bob refresh")
        .send(sessions("{access}"), 200)
        .header("cache-control", "no-store")
        .same_as("/sessions/0/id", "phone")
        .json("/sessions/0/device", "Alice's phone")
        .json("/sessions/0/user_agent", "PhoneApp/1.0")
        .json("/sessions/0/current", false)
        .some_json("/sessions/0/last_seen_at")
        .some_json("/sessions/0/expires_at")
        .json("/sessions/1/current", true)
        .json("/sessions/1/device", Value::Null)
        .no_json("/sessions/1/last_seen_at")
        .no_json("/sessions/1/expires_at")
        .send(sessions("{bob access}"), 200)
        .json("/sessions/0/current", true)
        .send_anonymous(Request::get("/auth/sessions"))
}

/// For example, the user ends the session of a lost phone.
#[must_use]
pub fn a_session_is_ended_from_another_device() -> Scenario {
    Scenario::new("a_session_is_ended_from_another_device")
        .logged_in("alice")
        .send(login("alice", "alice's password"), 200)
        .keep("/session_id", "phone")
        .keep("/access_token", "phone access")
        .keep("/refresh_token", "phone refresh")
        .send(
            Request::delete("/auth/sessions/{phone}").bearer("{access}"),
            204,
        )
        .empty()
        .has_ended("{phone access}", "{phone refresh}")
        .send(
            Request::delete("/auth/sessions/{phone}").bearer("{access}"),
            204,
        )
        .lives("{access}", "{refresh}")
}

/// The answer doesn't reveal that the session exists, and the session continues.
#[must_use]
pub fn a_foreign_session_is_not_found() -> Scenario {
    let told = "you have no such session";
    let delete = |id: &str| Request::delete(format!("/auth/sessions/{id}")).bearer("{access}");
    Scenario::new("a_foreign_session_is_not_found")
        .logged_in("alice")
        .send(login("bob", "bob's password"), 200)
        .keep("/session_id", "bob's")
        .keep("/access_token", "bob access")
        .keep("/refresh_token", "bob refresh")
        .send(delete("{bob's}"), 404)
        .json("/error_description", told)
        .send(delete("AAAAAAAAAAAAAAAAAAAAAAAA"), 404)
        .json("/error_description", told)
        .send(delete("no-session-id"), 404)
        .json("/error_description", told)
        .lives("{bob access}", "{bob refresh}")
        .send_anonymous(Request::delete("/auth/sessions/{bob's}"))
}

/// The current session continues.
#[must_use]
pub fn all_sessions_but_the_current_one_are_ended() -> Scenario {
    Scenario::new("all_sessions_but_the_current_one_are_ended")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .logged_in_as("alice", "tablet access", "tablet refresh")
        .send(Request::delete("/auth/sessions").bearer("{access}"), 204)
        .empty()
        .has_ended("{phone access}", "{phone refresh}")
        .has_ended("{tablet access}", "{tablet refresh}")
        .lives("{access}", "{refresh}")
}

/// The list of sessions asks the store, so a token of an ended session doesn't open it.
#[must_use]
pub fn an_ended_session_cannot_end_others() -> Scenario {
    let told = "the token has been revoked";
    Scenario::new("an_ended_session_cannot_end_others")
        .logged_in("alice")
        .logged_in_as("alice", "phone access", "phone refresh")
        .send(logout("{access}"), 204)
        .send_bad_token(logout_all("{access}"), told, "revoked")
        .send_bad_token(
            Request::delete("/auth/sessions").bearer("{access}"),
            told,
            "revoked",
        )
        .send_bad_token(sessions("{access}"), told, "revoked")
        .lives("{phone access}", "{phone refresh}")
}

/// The order doesn't matter: when the logout is answered, all tokens of concurrent refreshes have
/// ended.
#[must_use]
pub fn a_logout_among_refreshes_ends_the_session() -> Scenario {
    let refreshed: (Request, &[u16]) = (refresh("{refresh}"), &[200, 401]);
    let mut requests = vec![refreshed; 16];
    requests.insert(8, (logout("{access}"), &[204]));
    Scenario::new("a_logout_among_refreshes_ends_the_session")
        .logged_in("alice")
        .race(requests, "/access_token", "access")
        .has_ended("{access}", "{refresh}")
        .logged_in("alice")
        .send(sessions("{access}"), 200)
        .no_json("/sessions/1")
}
