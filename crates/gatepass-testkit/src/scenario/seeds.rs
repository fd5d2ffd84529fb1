//! Scenarios named after systems that people build by hand, and that gatepass must do better.

use std::time::Duration;

use super::{
    Request, Scenario, UserChange,
    wording::{logout, me, password, refresh, refreshing, revoke, token},
};

/// A service that issues tokens for some minutes, tells expired from invalid, and logs each outcome
/// with its user. There, expiry was checked twice, once in local time.
#[must_use]
pub fn seed_expiry_and_logging() -> Scenario {
    let forged = "the signature of the token is not valid";
    Scenario::new("seed_expiry_and_logging")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .json("/subject", "alice")
        .send_bad_token(me("{access}AAAA"), forged, "bad_signature")
        .send_bad_token(me("not-a-token"), "the token is malformed", "malformed")
        .pass(Duration::from_secs(1800))
        .send_bad_token(me("{access}"), "the token has expired", "expired")
}

/// A token endpoint that takes a user name and a password, as generic OAuth clients send them. There, the
/// password could be in the query, and nothing could be refreshed or ended.
#[must_use]
pub fn seed_token_endpoint() -> Scenario {
    let query = "/auth/token?grant_type=password&username=alice&password=alice%27s%20password";
    Scenario::new("seed_token_endpoint")
        .send(token(&password("alice", "alice's password")), 200)
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(me("{access}"), 200)
        .json("/subject", "alice")
        .send_refused(
            token(&password("alice", "a guess")),
            "invalid_grant",
            "bad_credentials",
        )
        .send_refused(
            Request::post(query).form(&[]),
            "invalid_request",
            "missing_parameter",
        )
        .send(token(&refreshing("{refresh}")), 200)
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(revoke("{refresh}"), 200)
        .has_ended("{access}", "{refresh}")
}

/// A table of tokens that are in force, asked at every request, from which a logout removes one. There,
/// a logout removed whichever row came first, and a deleted user's tokens went on.
#[must_use]
pub fn seed_logout_allow_list() -> Scenario {
    let strict = |token: &str| Request::get("/strict").bearer(token);
    let revoked = "the token has been revoked";
    Scenario::new("seed_logout_allow_list")
        .logged_in("bob")
        .logged_in_as("bob", "phone access", "phone refresh")
        .send(strict("{access}"), 200)
        .send(strict("{phone access}"), 200)
        .send(logout("{phone access}"), 204)
        .send_bad_token(strict("{phone access}"), revoked, "revoked")
        .send(strict("{access}"), 200)
        .send_bad_token(
            strict("{access}AAAA"),
            "the signature of the token is not valid",
            "bad_signature",
        )
        .send_bad_token(strict("x"), "the token is malformed", "malformed")
        .change_user("bob", UserChange::Deleted)
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .send_bad_token(strict("{access}"), revoked, "revoked")
}
