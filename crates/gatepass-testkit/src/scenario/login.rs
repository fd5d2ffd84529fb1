//! Scenarios of logging in.

use std::time::Duration;

use serde_json::json;

use super::{
    Request, Scenario,
    wording::{login, me, refresh, refreshing, token},
};

fn resume(access: &str, refresh: &str) -> Request {
    Request::post("/auth/resume")
        .bearer(access)
        .json(&json!({ "refresh_token": refresh }))
}

/// Shows a login, a guarded request, and the form of the token body.
#[must_use]
pub fn a_login_gives_tokens_that_work() -> Scenario {
    Scenario::new("a_login_gives_tokens_that_work")
        .send(login("alice", "alice's password"), 200)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .json("/scope", "profile")
        .keep("/access_token", "access")
        .keep("/session_id", "session")
        .send(me("{access}"), 200)
        .json("/subject", "alice")
        .json("/scope", "profile")
        .same_as("/session_id", "session")
        .send(Request::post("/profile").bearer("{access}"), 200)
}

/// The application's own endpoints also give times of expiry as text. OAuth endpoints don't, since
/// OAuth libraries would take `expires_at` for their own number.
#[must_use]
pub fn token_bodies_say_when_the_tokens_expire() -> Scenario {
    let renew = Request::post("/auth/renew").bearer("{access}");
    Scenario::new("token_bodies_say_when_the_tokens_expire")
        .send(login("alice", "alice's password"), 200)
        .json("/expires_at", "2030-01-01T00:15:00Z")
        .json("/refresh_expires_at", "2030-01-15T00:00:00Z")
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .pass(Duration::from_secs(300))
        .send(resume("{access}", "{refresh}"), 200)
        .no_json("/access_token")
        .json("/expires_at", "2030-01-01T00:15:00Z")
        .no_json("/refresh_expires_at")
        .send(renew, 200)
        .json("/expires_at", "2030-01-01T00:20:00Z")
        .no_json("/refresh_expires_at")
        .send(refresh("{refresh}"), 200)
        .json("/expires_at", "2030-01-01T00:20:00Z")
        .json("/refresh_expires_at", "2030-01-15T00:05:00Z")
        .keep("/refresh_token", "refresh")
        .send(token(&refreshing("{refresh}")), 200)
        .no_json("/expires_at")
        .no_json("/refresh_expires_at")
}

/// The answer doesn't reveal who has an account.
#[must_use]
pub fn a_wrong_password_and_an_unknown_user_get_the_same_answer() -> Scenario {
    let told = "the user name or the password is wrong";
    Scenario::new("a_wrong_password_and_an_unknown_user_get_the_same_answer")
        .send_bad_grant(login("alice", "bob's password"), "bad_credentials")
        .json("/error_description", told)
        .send_bad_grant(login("nobody", "alice's password"), "bad_credentials")
        .json("/error_description", told)
        .send_bad_grant(login("", ""), "bad_credentials")
        .send_bad_grant(login("alice", &"x".repeat(8000)), "bad_credentials")
        .send(login("alice", "alice's password"), 200)
}

/// A member is missing, has the wrong type, or is there twice.
#[must_use]
pub fn a_login_that_is_not_understood_changes_nothing() -> Scenario {
    let send = |body: serde_json::Value| Request::post("/auth/login").json(&body);
    let doubled = r#"{"username":"alice","username":"root","password":"alice's password"}"#;
    Scenario::new("a_login_that_is_not_understood_changes_nothing")
        .send_bad_request(send(json!({ "username": "alice" })), 400, "missing_parameter")
        .send_bad_request(send(json!({ "password": "alice" })), 400, "missing_parameter")
        .send_bad_request(send(json!({ "username": ["alice"], "password": 1 })), 400, "missing_parameter")
        .send_bad_request(send(json!({ "username": "alice", "password": null, "otp": "1" })), 400, "missing_parameter")
        .send_bad_request(
            Request::post("/auth/login").header("content-type", "application/json").body(doubled),
            400,
            "body_unparseable",
        )
        .send(
            send(json!({ "username": "alice", "password": "alice's password", "otp": "123456", "device": "phone" })),
            200,
        )
}

/// The authenticator gets the other members in place of the password. This application's
/// authenticator requires a password, and so does the password grant.
#[must_use]
pub fn credentials_without_a_password_are_for_the_authenticator_to_judge() -> Scenario {
    let other = json!({ "username": "alice", "code": "493021" });
    let again = Request::post("/auth/reauthenticate")
        .bearer("{access}")
        .json(&json!({ "code": "493021" }));
    let grant = [
        ("grant_type", "password"),
        ("username", "alice"),
        ("code", "493021"),
    ];
    Scenario::new("credentials_without_a_password_are_for_the_authenticator_to_judge")
        .send_bad_grant(Request::post("/auth/login").json(&other), "bad_credentials")
        .logged_in("alice")
        .send_bad_grant(again, "bad_credentials")
        .send_bad_request(token(&grant), 400, "missing_parameter")
        .send(me("{access}"), 200)
}

/// The server reads it neither from the query nor from HTTP Basic.
#[must_use]
pub fn a_password_is_not_accepted_from_anywhere_but_the_body() -> Scenario {
    let query = "/auth/login?username=alice&password=alice%27s%20password";
    let basic = "Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==";
    Scenario::new("a_password_is_not_accepted_from_anywhere_but_the_body")
        .send_bad_request(
            Request::post(query).json(&json!({})),
            400,
            "missing_parameter",
        )
        .send_bad_request(
            Request::post("/auth/login")
                .header("authorization", basic)
                .json(&json!({})),
            400,
            "missing_parameter",
        )
}
