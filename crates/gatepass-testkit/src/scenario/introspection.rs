//! Scenarios of introspection by resource servers (RFC 7662).

use std::time::Duration;

use serde_json::json;

use super::{
    CLIENTS, Request, Scenario,
    wording::{introspect, login, me, refresh, refreshing, revoke, token},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The answer has the claims of the token (RFC 7662 §2.2).
#[must_use]
pub fn introspection_says_what_an_access_token_is() -> Scenario {
    Scenario::new("introspection_says_what_an_access_token_is")
        .send(login("root", "root's password"), 200)
        .keep("/access_token", "access")
        .keep("/session_id", "session")
        .keep("/server_time", "now")
        .send(introspect("{access}"), 200)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .json("/active", true)
        .json("/token_type", "Bearer")
        .json("/iss", "https://issuer.test")
        .json("/aud", "gatepass-example")
        .json("/sub", "root")
        .json("/client_id", "default")
        .json("/scope", "admin profile")
        .same_as("/iat", "now")
        .same_as("/auth_time", "now")
        .other_than("/exp", "now")
        .some_json("/jti")
        .same_as("/sid", "session")
        .logged_in_by_gateway("gateway_access", "gateway_refresh")
        .send(introspect("{gateway_access}"), 200)
        .json("/client_id", "gateway")
}

/// Active are the current token, and a spent one that a refresh would still answer with its
/// successor.
#[must_use]
pub fn introspection_says_what_a_refresh_token_is() -> Scenario {
    let active = |scenario: Scenario| {
        scenario
            .json("/active", true)
            .json("/iss", "https://issuer.test")
            .json("/sub", "alice")
            .json("/client_id", "default")
            .json("/scope", "profile")
            .same_as("/sid", "session")
            .same_as("/iat", "begun")
            .same_as("/auth_time", "begun")
            .other_than("/exp", "begun")
            .no_json("/token_type")
    };
    let scenario = Scenario::new("introspection_says_what_a_refresh_token_is")
        .send(login("alice", "alice's password"), 200)
        .keep("/refresh_token", "refresh")
        .keep("/session_id", "session")
        .keep("/server_time", "begun")
        .pass(MINUTE)
        .send(introspect("{refresh}"), 200);
    let scenario = active(scenario)
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .send(introspect("{second}"), 200);
    active(active(scenario).send(introspect("{refresh}"), 200))
}

/// The answer says neither what is wrong nor whose token it is.
#[must_use]
pub fn introspection_of_what_is_no_good_says_nothing_more() -> Scenario {
    let inactive = |scenario: Scenario, token: &str| {
        scenario
            .send(introspect(token), 200)
            .json("", json!({ "active": false }))
    };
    // A token of another issuer, without a signature.
    let foreign = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.AAAA";
    let unknown = ["x", "gpr_", "a.b.c", foreign, "{access}A", "{refresh}A"];
    let scenario = Scenario::new("introspection_of_what_is_no_good_says_nothing_more")
        .logged_in("alice")
        .logged_in_as("alice", "ended_access", "ended")
        .logged_in_as("alice", "revoked_access", "idle")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .pass(MINUTE)
        .send(refresh("{second}"), 200)
        .pass(2 * MINUTE)
        .send(revoke("{ended}"), 200)
        .send(revoke("{revoked_access}"), 200);
    let scenario = unknown.into_iter().fold(scenario, inactive);
    // `refresh` was spent long ago.
    let dead = ["{ended_access}", "{ended}", "{revoked_access}", "{refresh}"];
    let scenario = dead.into_iter().fold(scenario, inactive);
    let expired = ["{access}", "{idle}"];
    expired.into_iter().fold(scenario.pass(14 * DAY), inactive)
}

/// A question about a token spent long ago ends no session, and a question about a good one doesn't
/// spend it.
#[must_use]
pub fn introspection_changes_nothing() -> Scenario {
    Scenario::new("introspection_changes_nothing")
        .logged_in("alice")
        .send(introspect("{refresh}"), 200)
        .pass(2 * MINUTE)
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .pass(2 * MINUTE)
        .send(refresh("{second}"), 200)
        .keep("/refresh_token", "third")
        .pass(2 * MINUTE)
        .send(introspect("{refresh}"), 200)
        .json("/active", false)
        .send(introspect("{third}"), 200)
        .json("/active", true)
        .pass(2 * MINUTE)
        .lives("{access}", "{third}")
        // A refresh with the spent token would still succeed, as the first recovery.
        .send(introspect("{third}"), 200)
        .json("/active", true)
        .pass(2 * MINUTE)
        .send(introspect("{third}"), 200)
        .json("/active", true)
        .send(token(&refreshing("{third}")), 200)
}

/// It is not for users, and not for public clients, which any caller could pretend to be.
#[must_use]
pub fn introspection_is_for_confidential_clients() -> Scenario {
    let asked = |parameters: &[(&str, &str)]| {
        let parameters = [&[("token", "{access}")], parameters].concat();
        Request::post("/auth/introspect").form(&parameters)
    };
    let [_, (backend, secret), _] = CLIENTS;
    let in_body = [
        ("client_id", backend),
        ("client_secret", secret.unwrap_or_default()),
    ];
    Scenario::new("introspection_is_for_confidential_clients")
        .logged_in("root")
        .send_bad_client(asked(&[]))
        .send_bad_client(asked(&[("client_id", "default")]))
        .send_bad_client(asked(&[("client_id", "desktop")]))
        .send_bad_client(asked(&[]).basic("desktop", ""))
        .send_bad_client(asked(&[]).basic("", ""))
        .send_bad_client(asked(&[]).bearer("{access}"))
        .send_bad_client(Request::post("/auth/introspect").form(&[]))
        .send(asked(&[]).by_backend(), 200)
        .json("/active", true)
        .send(asked(&in_body), 200)
        .json("/active", true)
        .send(me("{access}"), 200)
}
