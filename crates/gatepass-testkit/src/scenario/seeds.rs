//! Scenarios named after programs that people wrote by hand. gatepass must do better.

use std::time::Duration;

use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{logout, me, password, refresh, refreshing, revoke, token},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A service issues tokens for some minutes, tells expired from invalid, and logs each outcome with
/// its user. The original checked expiry twice, once in local time.
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

/// A token endpoint takes a user name and a password from generic OAuth clients. The original
/// accepted the password in the query, and could neither refresh nor end a session.
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

/// A session is a token. The service verifies it at each request, and exchanges a good one for a
/// new one. The original's new token had no expiry, so it was good forever.
#[must_use]
pub fn seed_session_renewal() -> Scenario {
    let renew = |token: &str| Request::post("/auth/renew").bearer(token);
    Scenario::new("seed_session_renewal")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .json("/subject", "alice")
        .keep("/session_id", "session")
        .pass(10 * MINUTE)
        .send(renew("{access}"), 200)
        .json("/expires_in", 900)
        .json("/scope", "profile")
        .same_as("/session_id", "session")
        .no_json("/refresh_token")
        .keep("/access_token", "renewed")
        .send(me("{renewed}"), 200)
        .json("/subject", "alice")
        .json("/scope", "profile")
        .send_bad_token(
            renew("{renewed}AAAA"),
            "the signature of the token is not valid",
            "bad_signature",
        )
        .send_bad_token(renew("renewed"), "the token is malformed", "malformed")
        .pass(16 * MINUTE)
        .send_bad_token(me("{renewed}"), "the token has expired", "expired")
        .send_bad_token(renew("{renewed}"), "the token has expired", "expired")
        .send_bad_token(renew("{access}"), "the token has expired", "expired")
}

/// A client comes back with both tokens and is logged in again, even if one has expired. The
/// original kept both in one object in memory, called an expired token "not found", and accepted a
/// refresh token any number of times.
#[must_use]
pub fn seed_auto_login() -> Scenario {
    let resume = |access: &str, refresh: &str| {
        Request::post("/auth/resume")
            .bearer(access)
            .json(&json!({ "refresh_token": refresh }))
    };
    let renew = |token: &str| Request::post("/auth/renew").bearer(token);
    Scenario::new("seed_auto_login")
        .idle_for(20 * MINUTE)
        .logged_in("alice")
        // Both are good, so nothing is new.
        .send(resume("{access}", "{refresh}"), 200)
        .no_json("/access_token")
        .no_json("/refresh_token")
        // The access token has expired, and the refresh token has not.
        .pass(16 * MINUTE)
        .send_bad_token(me("{access}"), "the token has expired", "expired")
        .send(resume("{access}", "{refresh}"), 200)
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .send(me("{second access}"), 200)
        // The refresh token has expired, and the access token has not.
        .pass(14 * MINUTE)
        .send(renew("{second access}"), 200)
        .keep("/access_token", "renewed")
        .pass(7 * MINUTE)
        .send_bad_grant(refresh("{second refresh}"), "refresh_expired")
        .send(resume("{renewed}", "{second refresh}"), 200)
        .keep("/access_token", "third access")
        .keep("/refresh_token", "third refresh")
        .send(me("{third access}"), 200)
        // Both have expired.
        .pass(21 * MINUTE)
        .send_bad_grant(
            resume("{third access}", "{third refresh}"),
            "refresh_expired",
        )
        // The error differs from that of an expired token.
        .send_bad_grant(resume("{third access}", "gpr_nonsense"), "malformed")
        // The server takes no replaced token: its sender is a thief, or a thief's victim.
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "next refresh")
        .pass(MINUTE)
        .send(refresh("{next refresh}"), 200)
        .keep("/access_token", "last access")
        .keep("/refresh_token", "last refresh")
        .pass(2 * MINUTE)
        .send_bad_grant(refresh("{refresh}"), "reused")
        .has_ended("{last access}", "{last refresh}")
        // A logout ends both at once.
        .logged_in("alice")
        .send(Request::get("/auth/sessions").bearer("{access}"), 200)
        .keep("/sessions/0/created_at", "time for people")
        .send(logout("{access}"), 204)
        .has_ended("{access}", "{refresh}")
        .send_bad_grant(resume("{access}", "{refresh}"), "revoked")
}

/// The service asks a table of live tokens at every request, and a logout removes one. The
/// original's logout removed the first row, and tokens of a deleted user still worked.
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
