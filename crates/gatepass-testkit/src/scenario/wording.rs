//! How scenarios say the things that many of them say.

use serde_json::json;

use super::{Request, Scenario};

/// The realm of every challenge.
pub(super) const REALM: &str = r#"Bearer realm="https://issuer.test""#;

pub(super) fn login(username: &str, password: &str) -> Request {
    Request::post("/auth/login").json(&json!({ "username": username, "password": password }))
}

pub(super) fn refresh(token: &str) -> Request {
    Request::post("/auth/refresh").json(&json!({ "refresh_token": token }))
}

pub(super) fn me(token: &str) -> Request {
    Request::get("/me").bearer(token)
}

pub(super) fn logout(token: &str) -> Request {
    Request::post("/auth/logout").bearer(token)
}

impl Scenario {
    /// Logs `name` in with its own password; its tokens are kept as `access` and `refresh`.
    pub(super) fn logged_in(self, name: &'static str) -> Self {
        self.logged_in_as(name, "access", "refresh")
    }

    /// Logs `name` in with its own password; its tokens are kept under these names.
    pub(super) fn logged_in_as(
        self,
        name: &'static str,
        access: &'static str,
        refresh: &'static str,
    ) -> Self {
        self.send(login(name, &format!("{name}'s password")), 200)
            .keep("/access_token", access)
            .keep("/refresh_token", refresh)
    }

    /// Sends `request`, which must be refused as RFC 6750 §3.1 says for a token that is no good.
    pub(super) fn send_bad_token(
        self,
        request: Request,
        description: &str,
        reason: &'static str,
    ) -> Self {
        let challenge =
            format!(r#"{REALM}, error="invalid_token", error_description="{description}""#);
        self.send(request, 401)
            .header("www-authenticate", challenge)
            .json("/error", "invalid_token")
            .json("/error_description", description)
            .json("/reason", reason)
            .header("cache-control", "no-store")
    }

    /// Sends a request without any credentials, which must be refused as such.
    pub(super) fn send_anonymous(self, request: Request) -> Self {
        self.send(request, 401)
            .header("www-authenticate", REALM)
            .json("/error", "missing_token")
            .json("/reason", "missing")
    }

    /// Sends `request`, which must be refused as a bad grant (RFC 6749 §5.2).
    pub(super) fn send_bad_grant(self, request: Request, reason: &'static str) -> Self {
        self.send(request, 401)
            .header("www-authenticate", REALM)
            .json("/error", "invalid_grant")
            .json("/reason", reason)
    }

    /// Sends `request`, which cannot be understood.
    pub(super) fn send_bad_request(
        self,
        request: Request,
        status: u16,
        reason: &'static str,
    ) -> Self {
        self.send(request, status)
            .json("/error", "invalid_request")
            .json("/reason", reason)
            .no_header("www-authenticate")
    }

    /// Both tokens of a session must be refused, because it was ended.
    pub(super) fn has_ended(self, access: &str, token: &str) -> Self {
        self.send_bad_token(me(access), "the token has been revoked", "revoked")
            .send_bad_grant(refresh(token), "session_ended")
    }

    /// Both tokens of a session must work. The refresh token is spent by it.
    pub(super) fn lives(self, access: &str, token: &str) -> Self {
        self.send(me(access), 200).send(refresh(token), 200)
    }
}
