//! Scenarios of users who authenticate again (RFC 9470).

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario, UserChange,
    wording::{ACCESS, COOKIES, REALM, REFRESH, introspect, login, logout, me, refresh},
};

const MINUTE: Duration = Duration::from_secs(60);

fn reauthenticate(token: &str, password: &str) -> Request {
    Request::post("/auth/reauthenticate")
        .bearer(token)
        .json(&json!({ "password": password }))
}

fn transfer(token: &str) -> Request {
    Request::post("/transfer").bearer(token)
}

fn passkey(token: &str) -> Request {
    Request::post("/auto/passkey").bearer(token)
}

fn vault(token: &str) -> Request {
    Request::get("/auto/vault").bearer(token)
}

impl Scenario {
    /// The vault refuses the token because its authentication is too weak.
    fn needs_the_passkey(self, token: &str) -> Self {
        let told = "another kind of authentication is required";
        let challenge = format!(
            r#"{REALM}, error="insufficient_user_authentication", error_description="{told}", acr_values="phr phrh", amr_values="hwk""#
        );
        self.send(vault(token), 401)
            .json("/error", "insufficient_user_authentication")
            .json("/reason", "authentication_too_weak")
            .header("www-authenticate", challenge)
    }

    /// A transfer refuses the token because its authentication is too old.
    fn needs_the_password(self, token: &str) -> Self {
        let told = "a more recent authentication is required";
        let challenge = format!(
            r#"{REALM}, error="insufficient_user_authentication", error_description="{told}", max_age="300""#
        );
        self.send(transfer(token), 401)
            .json("/error", "insufficient_user_authentication")
            .json("/reason", "authentication_too_old")
            .header("www-authenticate", challenge)
    }
}

/// A refresh doesn't help, and earlier tokens keep their age.
#[must_use]
pub fn an_old_authentication_is_renewed_by_the_password() -> Scenario {
    Scenario::new("an_old_authentication_is_renewed_by_the_password")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .keep("/session_id", "session")
        .send(transfer("{access}"), 200)
        .pass(Duration::from_secs(301))
        .needs_the_password("{access}")
        .send(refresh("{refresh}"), 200)
        .gets_tokens()
        .needs_the_password("{access}")
        .pass(MINUTE)
        .send(reauthenticate("{access}", "alice's password"), 200)
        .header("cache-control", "no-store")
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .json("/scope", "profile")
        .same_as("/session_id", "session")
        .other_than("/refresh_token", "refresh")
        .keep("/access_token", "recent")
        .keep("/refresh_token", "next")
        .send(transfer("{recent}"), 200)
        .needs_the_password("{access}")
        .send(me("{access}"), 200)
        // A refresh keeps the new authentication.
        .send(refresh("{next}"), 200)
        .keep("/access_token", "recent")
        .send(transfer("{recent}"), 200)
        .pass(Duration::from_secs(301))
        .needs_the_password("{recent}")
}

/// The attempt changes nothing else either.
#[must_use]
pub fn a_wrong_password_renews_nothing() -> Scenario {
    let broken = |body: serde_json::Value| {
        Request::post("/auth/reauthenticate")
            .bearer("{access}")
            .json(&body)
    };
    Scenario::new("a_wrong_password_renews_nothing")
        .logged_in("alice")
        .pass(Duration::from_secs(301))
        .send_bad_grant(
            reauthenticate("{access}", "bob's password"),
            "bad_credentials",
        )
        .send_bad_grant(reauthenticate("{access}", ""), "bad_credentials")
        .send_bad_request(broken(json!({})), 400, "missing_parameter")
        .send_bad_request(broken(json!({ "password": 1 })), 400, "missing_parameter")
        .send_bad_request(
            Request::post("/auth/reauthenticate").bearer("{access}"),
            415,
            "unsupported_media_type",
        )
        .needs_the_password("{access}")
        .lives("{access}", "{refresh}")
}

/// The token decides whose password it is, and the body doesn't.
#[must_use]
pub fn nobody_reauthenticates_as_somebody_else() -> Scenario {
    let as_root = Request::post("/auth/reauthenticate")
        .bearer("{access}")
        .json(&json!({ "username": "root", "password": "root's password" }));
    let own = Request::post("/auth/reauthenticate")
        .bearer("{access}")
        .json(&json!({ "username": "root", "password": "alice's password" }));
    Scenario::new("nobody_reauthenticates_as_somebody_else")
        .logged_in("alice")
        .send_bad_grant(as_root, "bad_credentials")
        .send(own, 200)
        .json("/scope", "profile")
        .keep("/access_token", "access")
        .send(me("{access}"), 200)
        .json("/subject", "alice")
}

/// A refresh token alone, or no token, doesn't suffice either.
#[must_use]
pub fn an_ended_session_is_not_reauthenticated() -> Scenario {
    let password = "alice's password";
    Scenario::new("an_ended_session_is_not_reauthenticated")
        .logged_in("alice")
        .send_anonymous(
            Request::post("/auth/reauthenticate").json(&json!({ "password": password })),
        )
        .send(reauthenticate("{refresh}", password), 401)
        .json("/error", "invalid_token")
        .send(logout("{access}"), 204)
        .send_bad_token(
            reauthenticate("{access}", password),
            "the token has been revoked",
            "revoked",
        )
        .has_ended("{access}", "{refresh}")
        .logged_in("alice")
        .pass(20 * MINUTE)
        .send_bad_token(
            reauthenticate("{access}", password),
            "the token has expired",
            "expired",
        )
}

/// Another tab may still use the old refresh token.
#[must_use]
pub fn a_reauthentication_spends_the_refresh_token_as_a_refresh_does() -> Scenario {
    Scenario::new("a_reauthentication_spends_the_refresh_token_as_a_refresh_does")
        .logged_in("alice")
        .send(reauthenticate("{access}", "alice's password"), 200)
        .other_than("/refresh_token", "refresh")
        .keep("/refresh_token", "successor")
        .pass(Duration::from_secs(20))
        .send(refresh("{refresh}"), 200)
        .same_as("/refresh_token", "successor")
        .keep("/access_token", "access")
        .send(transfer("{access}"), 200)
        .pass(MINUTE)
        .send(refresh("{successor}"), 200)
        .keep("/refresh_token", "third")
        .keep("/access_token", "access")
        .pass(2 * MINUTE)
        .send_bad_grant(refresh("{refresh}"), "reused")
        .has_ended("{access}", "{third}")
}

/// The new tokens have the scopes that the user has now. A deleted user gets no tokens.
#[must_use]
pub fn a_reauthentication_reads_the_user_again() -> Scenario {
    Scenario::new("a_reauthentication_reads_the_user_again")
        .logged_in("root")
        .change_user("root", UserChange::Scope("profile"))
        .send(reauthenticate("{access}", "root's password"), 200)
        .json("/scope", "profile")
        .gets_tokens()
        .send(Request::get("/admin").bearer("{access}"), 403)
        .change_user("root", UserChange::Deleted)
        .send_bad_grant(
            reauthenticate("{access}", "root's password"),
            "bad_credentials",
        )
        .send_bad_grant(refresh("{refresh}"), "session_ended")
        .send_bad_token(
            reauthenticate("{access}", "root's password"),
            "the token has been revoked",
            "revoked",
        )
}

/// The application has verified the passkey itself. A refresh keeps the strength, and earlier
/// tokens stay weak.
#[must_use]
pub fn a_weak_authentication_is_made_strong_by_a_passkey() -> Scenario {
    Scenario::new("a_weak_authentication_is_made_strong_by_a_passkey")
        .logged_in("alice")
        .send(me("{access}"), 200)
        .keep("/session_id", "session")
        .pass(Duration::from_secs(301))
        .needs_the_passkey("{access}")
        .send(passkey("{access}"), 200)
        .header("cache-control", "no-store")
        .json("/token_type", "Bearer")
        .json("/expires_in", 900)
        .json("/scope", "profile")
        .same_as("/session_id", "session")
        .other_than("/refresh_token", "refresh")
        .keep("/access_token", "strong")
        .keep("/refresh_token", "next")
        .send(vault("{strong}"), 200)
        .send(transfer("{strong}"), 200)
        .needs_the_passkey("{access}")
        .needs_the_password("{access}")
        // The earlier token is still good, and a refresh would bring more rights.
        .send(me("{access}"), 200)
        .header("gatepass-refresh", "grant_changed")
        .send(refresh("{next}"), 200)
        .keep("/access_token", "strong")
        .send(vault("{strong}"), 200)
        .no_header("gatepass-refresh")
        .send(introspect("{strong}"), 200)
        .json("/amr", json!(["hwk", "user"]))
        .json("/acr", "phr")
        // The password doesn't say how strong it is, so the passkey's strength is gone.
        .send(reauthenticate("{strong}", "alice's password"), 200)
        .keep("/access_token", "weak")
        .needs_the_passkey("{weak}")
}

/// A client with cookies gets cookies.
#[must_use]
pub fn a_step_up_by_cookie_is_answered_by_cookies() -> Scenario {
    let post = |path: &str| Request::post(path).cookies(COOKIES);
    Scenario::new("a_step_up_by_cookie_is_answered_by_cookies")
        .over(Transport::Cookie)
        .send(login("alice", "alice's password"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(Request::get("/auto/vault").cookies(COOKIES), 401)
        .json("/reason", "authentication_too_weak")
        .send(
            post("/auto/passkey").header("sec-fetch-site", "cross-site"),
            403,
        )
        .json("/reason", "cross_site")
        .send(post("/auto/passkey"), 200)
        .gets_cookies()
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(Request::get("/auto/vault").cookies(COOKIES), 200)
}

/// The identity provider lets users choose an account, and they may choose another one.
#[must_use]
pub fn a_step_up_as_another_user_is_refused() -> Scenario {
    Scenario::new("a_step_up_as_another_user_is_refused")
        .logged_in("alice")
        .send_bad_grant(
            Request::post("/auto/passkey-of-root").bearer("{access}"),
            "bad_credentials",
        )
        .needs_the_passkey("{access}")
        .lives("{access}", "{refresh}")
}
