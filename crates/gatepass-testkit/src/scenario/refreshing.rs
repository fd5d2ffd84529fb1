//! Scenarios of refreshing.

use std::time::Duration;

use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{login, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Both tokens are new, and the old access token works until it expires.
#[must_use]
pub fn a_refresh_gives_a_new_pair() -> Scenario {
    Scenario::new("a_refresh_gives_a_new_pair")
        .logged_in("alice")
        .pass(MINUTE)
        .send(refresh("{refresh}"), 200)
        .header("cache-control", "no-store")
        .other_than("/access_token", "access")
        .other_than("/refresh_token", "refresh")
        .json("/expires_in", 900)
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .send(me("{access}"), 200)
        .send(me("{second access}"), 200)
        .send(refresh("{second refresh}"), 200)
}

/// A client tries again, or a second tab refreshes, within the overlap.
#[must_use]
pub fn a_refresh_sent_twice_gets_the_same_successor() -> Scenario {
    Scenario::new("a_refresh_sent_twice_gets_the_same_successor")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "successor")
        .keep("/access_token", "second access")
        .pass(Duration::from_secs(20))
        .send(refresh("{refresh}"), 200)
        .same_as("/refresh_token", "successor")
        .other_than("/access_token", "second access")
        // The server computes it for this answer.
        .json("/expires_in", 880)
        // A session rotates at most once per overlap.
        .send(refresh("{successor}"), 200)
        .same_as("/refresh_token", "successor")
        .other_than("/access_token", "second access")
        .pass(MINUTE)
        .send(refresh("{successor}"), 200)
        .other_than("/refresh_token", "successor")
}

/// One of them advances the session, and the client can't tell which.
#[must_use]
pub fn sixty_four_refreshes_at_once_get_the_same_successor() -> Scenario {
    Scenario::new("sixty_four_refreshes_at_once_get_the_same_successor")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .pass(MINUTE)
        .send(refresh("{second}"), 200)
        .other_than("/refresh_token", "second")
        .keep("/refresh_token", "third")
        .pass(2 * MINUTE)
        .send_at_once(64, refresh("{third}"), 200)
        .other_than("/refresh_token", "third")
        .send(refresh("{third}"), 200)
        .keep("/refresh_token", "fourth")
        .send_at_once(64, refresh("{third}"), 200)
        .same_as("/refresh_token", "fourth")
}

/// A client that lost an answer comes back after the overlap with its last token. The server
/// recovers once, and not twice in a row.
#[must_use]
pub fn a_lost_answer_is_recovered_from_once() -> Scenario {
    Scenario::new("a_lost_answer_is_recovered_from_once")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "lost")
        .pass(50 * MINUTE)
        .send(refresh("{refresh}"), 200)
        .same_as("/refresh_token", "lost")
        .json("/expires_in", 900)
        .keep("/access_token", "access")
        .send(me("{access}"), 200)
        .send(refresh("{lost}"), 200)
        .keep("/access_token", "last access")
        .keep("/refresh_token", "last")
        .pass(2 * MINUTE)
        .send_bad_grant(refresh("{lost}"), "reused")
        .has_ended("{last access}", "{last}")
}

/// Five tabs wake up one after the other, while a request with the first token is on its way.
#[must_use]
pub fn quick_refreshes_raise_no_false_alarm() -> Scenario {
    let scenario = Scenario::new("quick_refreshes_raise_no_false_alarm")
        .logged_in_as("alice", "access", "first")
        .send(refresh("{first}"), 200)
        .keep("/refresh_token", "refresh");
    let quick = (0..5).fold(scenario, |scenario, _| {
        scenario
            .send(refresh("{refresh}"), 200)
            .keep("/refresh_token", "refresh")
            .keep("/access_token", "access")
    });
    quick
        .pass(Duration::from_secs(20))
        .send(refresh("{first}"), 200)
        .same_as("/refresh_token", "refresh")
        .lives("{access}", "{refresh}")
}

/// The thief uses the token first, and the owner comes back with it later. The session ends for
/// both.
#[must_use]
pub fn a_stolen_refresh_token_ends_the_session_for_both() -> Scenario {
    Scenario::new("a_stolen_refresh_token_ends_the_session_for_both")
        .logged_in("alice")
        .logged_in_as("alice", "other access", "other refresh")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "thief's")
        .pass(MINUTE)
        .send(refresh("{thief's}"), 200)
        .keep("/access_token", "thief's access")
        .keep("/refresh_token", "thief's second")
        .pass(MINUTE)
        .send_bad_grant(refresh("{refresh}"), "reused")
        .json("/error_description", "the refresh token was used before")
        .has_ended("{thief's access}", "{thief's second}")
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .lives("{other access}", "{other refresh}")
}

/// Each refresh extends the idle lifetime.
#[must_use]
pub fn a_refresh_token_expires_when_it_is_not_used() -> Scenario {
    Scenario::new("a_refresh_token_expires_when_it_is_not_used")
        .logged_in("alice")
        .pass(13 * DAY)
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .pass(13 * DAY)
        .send(refresh("{second}"), 200)
        .keep("/refresh_token", "third")
        .pass(14 * DAY)
        .send_bad_grant(refresh("{third}"), "refresh_expired")
}

/// Refreshes don't extend the absolute lifetime, and no access token outlives it.
#[must_use]
pub fn a_session_ends_at_its_absolute_end() -> Scenario {
    (0..9)
        .fold(
            Scenario::new("a_session_ends_at_its_absolute_end").logged_in("alice"),
            |scenario, _| {
                let scenario = scenario
                    .pass(10 * DAY - MINUTE)
                    .send(refresh("{refresh}"), 200);
                scenario
                    .keep("/refresh_token", "refresh")
                    .keep("/access_token", "access")
            },
        )
        .pass(2 * MINUTE)
        .send(refresh("{refresh}"), 200)
        .json("/expires_in", 420)
        .keep("/refresh_token", "refresh")
        .keep("/access_token", "access")
        .pass(7 * MINUTE + Duration::from_secs(30))
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .send_bad_token(me("{access}"), "the token has expired", "expired")
}

/// The server reads the user again before each refresh.
#[must_use]
pub fn a_deleted_user_is_refused_at_the_next_refresh() -> Scenario {
    Scenario::new("a_deleted_user_is_refused_at_the_next_refresh")
        .logged_in("bob")
        .change_user("bob", UserChange::Deleted)
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .send_bad_token(me("{access}"), "the token has been revoked", "revoked")
        .send_bad_grant(login("bob", "bob's password"), "bad_credentials")
}

/// A refresh gives the scopes that the user has now.
#[must_use]
pub fn changed_scopes_take_effect_at_the_next_refresh() -> Scenario {
    let admin = |token: &str| Request::get("/admin").bearer(token);
    Scenario::new("changed_scopes_take_effect_at_the_next_refresh")
        .logged_in("root")
        .send(admin("{access}"), 200)
        .change_user("root", UserChange::Scope("profile"))
        .send(refresh("{refresh}"), 200)
        .json("/scope", "profile")
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .send_bad_token(
            admin("{access}"),
            "the rights of the session have changed: refresh the access token",
            "stale_grant",
        )
        .send(admin("{second access}"), 403)
        .change_user("root", UserChange::Scope("admin profile"))
        .send(refresh("{second refresh}"), 200)
        .json("/scope", "admin profile")
        .keep("/access_token", "third access")
        .send(admin("{third access}"), 200)
}

/// A thief with a bearer token could otherwise keep the session forever.
#[must_use]
pub fn an_access_token_does_not_refresh() -> Scenario {
    Scenario::new("an_access_token_does_not_refresh")
        .logged_in("alice")
        .send_bad_grant(refresh("{access}"), "wrong_type")
        .send_bad_request(
            Request::post("/auth/refresh")
                .bearer("{access}")
                .json(&json!({})),
            400,
            "missing_parameter",
        )
        .lives("{access}", "{refresh}")
}

/// The token is garbage, or authentic with one changed character.
#[must_use]
pub fn a_forged_refresh_token_changes_nothing() -> Scenario {
    let zeros = format!("gpr_{}", "A".repeat(79));
    Scenario::new("a_forged_refresh_token_changes_nothing")
        .logged_in("alice")
        .send_bad_grant(refresh(""), "malformed")
        .send_bad_grant(refresh("gpr_"), "malformed")
        .send_bad_grant(refresh("{refresh}A"), "malformed")
        .send_bad_grant(refresh("{refresh} "), "malformed")
        .send_bad_grant(refresh(&zeros), "malformed")
        .send_bad_grant(refresh(&"x".repeat(10_000)), "malformed")
        .lives("{access}", "{refresh}")
}

/// A broken request costs the client no token.
#[must_use]
pub fn a_refresh_that_is_not_understood_spends_nothing() -> Scenario {
    let with_type = |content_type: &str| {
        let body = r#"{"refresh_token":"{refresh}"}"#;
        Request::post("/auth/refresh")
            .header("content-type", content_type)
            .body(body)
    };
    Scenario::new("a_refresh_that_is_not_understood_spends_nothing")
        .logged_in("alice")
        .send_bad_request(with_type("text/plain"), 415, "unsupported_media_type")
        .send_bad_request(
            Request::post("/auth/refresh").json(&json!({ "refresh_token": null })),
            400,
            "missing_parameter",
        )
        .pass(2 * MINUTE)
        .send(with_type("Application/JSON; charset=utf-8"), 200)
}
