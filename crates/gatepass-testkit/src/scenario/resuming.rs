//! Scenarios of sessions that continue by their access tokens: resumed, and renewed.

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{ACCESS, COOKIES, REFRESH, logout, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);

fn resume(access: &str, refresh: &str) -> Request {
    Request::post("/auth/resume")
        .bearer(access)
        .json(&json!({ "refresh_token": refresh }))
}

fn resume_by_cookie() -> Request {
    Request::post("/auth/resume").cookies(COOKIES)
}

fn renew(access: &str) -> Request {
    Request::post("/auth/renew").bearer(access)
}

/// The access token alone decides. The refresh token that comes with it makes no difference.
#[must_use]
pub fn a_good_access_token_is_resumed_with_nothing_new() -> Scenario {
    let scenario = Scenario::new("a_good_access_token_is_resumed_with_nothing_new")
        .logged_in_as("bob", "bob's access", "bob's refresh")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .keep("/session_id", "session")
        .pass(MINUTE);
    let scenario = [
        "{refresh}",
        "{bob's refresh}",
        "gpr_nonsense",
        "",
        "{access}",
    ]
    .into_iter()
    .fold(scenario, |scenario, token| {
        scenario
            .send(resume("{access}", token), 200)
            .tells_no_tokens()
            .json("/expires_in", 840)
            .json("/scope", "profile")
            .same_as("/session_id", "session")
    });
    // The requests spent neither alice's nor bob's token.
    scenario
        .pass(2 * MINUTE)
        .lives("{access}", "{refresh}")
        .lives("{bob's access}", "{bob's refresh}")
}

/// The client was away longer than the life of an access token.
#[must_use]
pub fn an_expired_access_token_is_resumed_by_the_refresh_token() -> Scenario {
    Scenario::new("an_expired_access_token_is_resumed_by_the_refresh_token")
        .over(Transport::Both)
        .logged_in("alice")
        .pass(20 * MINUTE)
        .send(resume("{access}", "{refresh}"), 200)
        .other_than("/access_token", "access")
        .other_than("/refresh_token", "refresh")
        .json("/expires_in", 900)
        .keep("/access_token", "second access")
        .keep("/refresh_token", "second refresh")
        .send(me("{second access}"), 200)
        // The answer may be lost.
        .send(resume("{access}", "{refresh}"), 200)
        .same_as("/refresh_token", "second refresh")
        .pass(20 * MINUTE)
        .send(refresh("{second refresh}"), 200)
        .gets_tokens()
        .pass(20 * MINUTE)
        .send(resume_by_cookie(), 200)
        .gets_cookies()
        .other_cookie(ACCESS, "access")
        .other_cookie(REFRESH, "refresh")
        .keep_cookie(REFRESH, "third refresh")
        .pass(2 * MINUTE)
        // A token that was spent long ago belongs to a thief.
        .send_bad_grant(resume("{access}", "{second refresh}"), "reused")
        .send_bad_grant(refresh("{third refresh}"), "session_ended")
}

/// The access token was renewed meanwhile. It proves the client together with the expired refresh
/// token; one alone would not suffice.
#[must_use]
pub fn an_idle_session_is_resumed_by_both_of_its_tokens() -> Scenario {
    Scenario::new("an_idle_session_is_resumed_by_both_of_its_tokens")
        .over(Transport::Both)
        .idle_for(20 * MINUTE)
        .logged_in_as("bob", "bob's access", "bob's refresh")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "current")
        .pass(14 * MINUTE)
        .send(renew("{access}"), 200)
        .keep("/access_token", "access")
        .pass(7 * MINUTE)
        .send_bad_grant(refresh("{current}"), "refresh_expired")
        // The refresh token is spent, foreign or missing. The access token is good, so nothing is
        // new.
        .send(resume("{access}", "{refresh}"), 200)
        .tells_no_tokens()
        .send(resume("{access}", "{bob's refresh}"), 200)
        .tells_no_tokens()
        .send_anonymous(Request::post("/auth/resume").bearer("{access}"))
        .send(resume("{access}", "{current}"), 200)
        .json("/expires_in", 900)
        .other_than("/refresh_token", "current")
        .keep("/access_token", "new access")
        .keep("/refresh_token", "new refresh")
        .lives("{new access}", "{new refresh}")
        .logged_in("alice")
        .pass(14 * MINUTE)
        .send(renew("{access}"), 200)
        .keep("/access_token", "access")
        .pass(7 * MINUTE)
        .send(resume_by_cookie(), 200)
        .gets_cookies()
        .other_cookie(REFRESH, "refresh")
        // When both are too old, the session is over.
        .pass(20 * MINUTE)
        .send_bad_grant(resume("{access}", "{refresh}"), "refresh_expired")
}

/// One of them belongs to another session, of the same user or of another user.
#[must_use]
pub fn tokens_of_two_sessions_do_not_resume() -> Scenario {
    Scenario::new("tokens_of_two_sessions_do_not_resume")
        .logged_in_as("alice", "phone access", "phone refresh")
        .logged_in_as("bob", "bob's access", "bob's refresh")
        .logged_in("alice")
        .pass(20 * MINUTE)
        .send_ambiguous(resume("{access}", "{phone refresh}"))
        .send_ambiguous(resume("{access}", "{bob's refresh}"))
        .send_ambiguous(resume("{bob's access}", "{refresh}"))
        .pass(MINUTE)
        .send(refresh("{phone refresh}"), 200)
        .send(refresh("{bob's refresh}"), 200)
        .send(resume("{access}", "{refresh}"), 200)
}

/// Both tokens must be authentic.
#[must_use]
pub fn forged_tokens_do_not_resume() -> Scenario {
    Scenario::new("forged_tokens_do_not_resume")
        .logged_in("alice")
        .send_bad_grant(resume("a.b.c", "{refresh}"), "malformed")
        .send_bad_grant(resume("{access}AAAA", "{refresh}"), "bad_signature")
        .send_bad_grant(resume("{refresh}", "{refresh}"), "wrong_type")
        .send_anonymous(
            Request::post("/auth/resume").json(&json!({ "refresh_token": "{refresh}" })),
        )
        .pass(20 * MINUTE)
        .send_bad_grant(resume("{access}", "gpr_nonsense"), "malformed")
        .send_bad_grant(resume("{access}", "{refresh}A"), "malformed")
        .send_bad_grant(resume("{access}", "{access}"), "wrong_type")
        .send_bad_grant(resume("{access}AAAA", "{refresh}"), "bad_signature")
        .send_bad_request(
            Request::post("/auth/resume")
                .bearer("{access}")
                .json(&json!({})),
            400,
            "missing_parameter",
        )
        .send(resume("{access}", "{refresh}"), 200)
}

/// No earlier token resumes it, not even one that has not expired.
#[must_use]
pub fn an_ended_session_is_not_resumed() -> Scenario {
    Scenario::new("an_ended_session_is_not_resumed")
        .logged_in("alice")
        .send(logout("{access}"), 204)
        .send_bad_grant(resume("{access}", "{refresh}"), "revoked")
        .pass(20 * MINUTE)
        .send_bad_grant(resume("{access}", "{refresh}"), "session_ended")
        .logged_in("bob")
        .pass(20 * MINUTE)
        .change_user("bob", UserChange::Deleted)
        .send_bad_grant(resume("{access}", "{refresh}"), "session_ended")
        .send_bad_grant(refresh("{refresh}"), "session_ended")
}

/// One of them advances the session, and the client can't tell which.
#[must_use]
pub fn sixty_four_resumes_at_once_get_the_same_successor() -> Scenario {
    Scenario::new("sixty_four_resumes_at_once_get_the_same_successor")
        .over(Transport::Both)
        .logged_in("alice")
        .pass(20 * MINUTE)
        .send_at_once(64, resume("{access}", "{refresh}"), 200)
        .other_than("/refresh_token", "refresh")
        .send(resume("{access}", "{refresh}"), 200)
        .keep("/refresh_token", "successor")
        .send_at_once(64, resume("{access}", "{refresh}"), 200)
        .same_as("/refresh_token", "successor")
        .send_at_once(64, resume_by_cookie(), 200)
        .gets_cookies()
        .same_cookie(REFRESH, "successor")
        .pass(MINUTE)
        .send(refresh("{successor}"), 200)
        .other_than("/refresh_token", "successor")
}

/// An unknown caller doesn't learn what else is wrong.
#[must_use]
pub fn a_bad_access_token_outranks_a_bad_body_at_a_resume() -> Scenario {
    let broken = |token: &str| Request::post("/auth/resume").bearer(token).body("{");
    Scenario::new("a_bad_access_token_outranks_a_bad_body_at_a_resume")
        .logged_in("alice")
        .send_anonymous(Request::post("/auth/resume").body("{"))
        .send_bad_grant(broken("a.b.c"), "malformed")
        .send_bad_grant(broken("{access}AAAA"), "bad_signature")
        .send_bad_request(broken("{access}"), 415, "unsupported_media_type")
        .send(logout("{access}"), 204)
        .send_bad_grant(broken("{access}"), "revoked")
}

/// A thief with an access token can't keep the session forever.
#[must_use]
pub fn a_renewed_token_is_of_the_same_session_and_brings_no_refresh_token() -> Scenario {
    Scenario::new("a_renewed_token_is_of_the_same_session_and_brings_no_refresh_token")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .keep("/session_id", "session")
        .pass(10 * MINUTE)
        .send(renew("{access}"), 200)
        .header("cache-control", "no-store")
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .json("/scope", "profile")
        .same_as("/session_id", "session")
        .other_than("/access_token", "access")
        .no_json("/refresh_token")
        .keep("/access_token", "renewed")
        .pass(10 * MINUTE)
        .send_bad_token(me("{access}"), "the token has expired", "expired")
        .send(me("{renewed}"), 200)
        .same_as("/session_id", "session")
        // The authentication is no newer.
        .send(Request::post("/transfer").bearer("{renewed}"), 401)
        .send(logout("{renewed}"), 204)
        .has_ended("{renewed}", "{refresh}")
}

/// The refresh token expires as it would without renewals.
#[must_use]
pub fn a_renewal_does_not_keep_an_unused_session() -> Scenario {
    Scenario::new("a_renewal_does_not_keep_an_unused_session")
        .idle_for(20 * MINUTE)
        .logged_in("alice")
        .pass(14 * MINUTE)
        .send(renew("{access}"), 200)
        .keep("/access_token", "access")
        .pass(7 * MINUTE)
        .send_bad_grant(refresh("{refresh}"), "refresh_expired")
        .send(me("{access}"), 200)
}

/// The token is expired, altered, of another kind, or of an ended session.
#[must_use]
pub fn only_a_good_access_token_is_renewed() -> Scenario {
    let told = "the token has been revoked";
    Scenario::new("only_a_good_access_token_is_renewed")
        .logged_in("alice")
        .send_anonymous(Request::post("/auth/renew"))
        .send_anonymous(Request::post("/auth/renew").json(&json!({ "access_token": "{access}" })))
        .send_bad_token(renew("a.b.c"), "the token is malformed", "malformed")
        .send_bad_token(
            renew("{access}AAAA"),
            "the signature of the token is not valid",
            "bad_signature",
        )
        .send_bad_token(
            renew("{refresh}"),
            "the token is of another type",
            "wrong_type",
        )
        .send_at_once(16, renew("{access}"), 200)
        .other_than("/access_token", "access")
        .pass(20 * MINUTE)
        .send_bad_token(renew("{access}"), "the token has expired", "expired")
        .logged_in("alice")
        .send(
            Request::post("/auth/revoke").form(&[("token", "{access}")]),
            200,
        )
        .send_bad_token(renew("{access}"), told, "revoked")
        .send(refresh("{refresh}"), 200)
        .gets_tokens()
        .send(logout("{access}"), 204)
        .send_bad_token(renew("{access}"), told, "revoked")
}

/// The renewed token has the scopes that the user has now, but no more than the old token.
#[must_use]
pub fn a_renewal_reads_the_user_again() -> Scenario {
    Scenario::new("a_renewal_reads_the_user_again")
        .logged_in("root")
        .change_user("root", UserChange::Scope("profile"))
        .send(renew("{access}"), 200)
        .json("/scope", "profile")
        .keep("/access_token", "narrow")
        .send(Request::get("/admin").bearer("{narrow}"), 403)
        .change_user("root", UserChange::Scope("profile admin"))
        .send(renew("{narrow}"), 200)
        .json("/scope", "profile")
        .change_user("root", UserChange::Deleted)
        .send(renew("{narrow}"), 401)
        .no_json("/access_token")
        .send_bad_token(renew("{narrow}"), "the token has been revoked", "revoked")
        .has_ended("{narrow}", "{refresh}")
}
