//! Scenarios of rights that change during a session.

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario,
    wording::{ACCESS, BOTH, COOKIES, REFRESH, introspect, logout, me, refresh},
};

const STALE: &str = "the rights of the session have changed: refresh the access token";

fn change(access: &str, path: &str) -> Request {
    Request::post(path).bearer(access).json(&json!({}))
}

fn admin(access: &str) -> Request {
    Request::get("/admin").bearer(access)
}

/// A user with two sessions. At a request of one, the application has taken the right `admin` away
/// from both.
fn demoted(name: &'static str) -> Scenario {
    Scenario::new(name)
        .logged_in_as("root", "other access", "other refresh")
        .logged_in("root")
        .send(admin("{access}"), 200)
        .send(change("{access}", "/auto/take"), 200)
}

/// Every route refuses the earlier tokens, and a refresh brings the remaining rights.
#[must_use]
pub fn a_right_that_is_taken_away_is_refused_at_once_and_the_session_goes_on() -> Scenario {
    demoted("a_right_that_is_taken_away_is_refused_at_once_and_the_session_goes_on")
        .send_bad_token(admin("{access}"), STALE, "stale_grant")
        .send_bad_token(me("{access}"), STALE, "stale_grant")
        .send_bad_token(me("{other access}"), STALE, "stale_grant")
        .send_bad_token(
            Request::get("/strict").bearer("{access}"),
            STALE,
            "stale_grant",
        )
        .send_bad_token(
            Request::get("/maybe").bearer("{access}"),
            STALE,
            "stale_grant",
        )
        .send(introspect("{access}"), 200)
        .json("/active", false)
        .send(refresh("{refresh}"), 200)
        .json("/scope", "profile")
        .keep("/access_token", "access")
        .send(me("{access}"), 200)
        .no_header("gatepass-refresh")
        .send(admin("{access}"), 403)
        .lives("{access}", "{other refresh}")
}

/// A stale token still identifies its session.
#[must_use]
pub fn a_stale_token_resumes_renews_and_ends_its_session() -> Scenario {
    demoted("a_stale_token_resumes_renews_and_ends_its_session")
        .send(Request::post("/auth/renew").bearer("{access}"), 200)
        .json("/scope", "profile")
        .keep("/access_token", "renewed")
        .send(me("{renewed}"), 200)
        .send(
            Request::post("/auth/resume")
                .bearer("{access}")
                .json(&json!({ "refresh_token": "{refresh}" })),
            200,
        )
        .json("/scope", "profile")
        .keep("/access_token", "resumed")
        .keep("/refresh_token", "resumed refresh")
        .send(me("{resumed}"), 200)
        .send(logout("{access}"), 204)
        .has_ended("{resumed}", "{resumed refresh}")
        .send_bad_token(me("{access}"), "the token has been revoked", "revoked")
}

/// The client may keep using its token, and learns that a refresh brings more rights.
#[must_use]
pub fn a_right_that_is_added_is_offered() -> Scenario {
    Scenario::new("a_right_that_is_added_is_offered")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .no_header("gatepass-refresh")
        .send(change("{access}", "/auto/give"), 200)
        .send(me("{access}"), 200)
        .header("gatepass-refresh", "grant_changed")
        .send(Request::get("/strict").bearer("{access}"), 200)
        .header("gatepass-refresh", "grant_changed")
        .send(admin("{access}"), 403)
        .send(refresh("{refresh}"), 200)
        .json("/scope", "admin profile")
        .keep("/access_token", "access")
        .send(admin("{access}"), 200)
        .no_header("gatepass-refresh")
}

/// The refresh costs one round trip, as after an expired cookie.
#[must_use]
pub fn a_gate_refreshes_a_browser_whose_rights_have_changed() -> Scenario {
    Scenario::new("a_gate_refreshes_a_browser_whose_rights_have_changed")
        .over(Transport::Cookie)
        .logged_in_by_cookie("root")
        .send(Request::get("/auto/admin").cookies(COOKIES), 200)
        .send(Request::post("/auto/take").cookies(COOKIES), 200)
        .send(Request::get("/auto/me").cookies(COOKIES), 200)
        .json("/scope", "profile")
        .sets_cookies(BOTH)
        .other_cookie(ACCESS, "access")
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(Request::get("/auto/me").cookies(COOKIES), 200)
        .no_header("set-cookie")
        .send(Request::get("/auto/admin").cookies(COOKIES), 403)
}
