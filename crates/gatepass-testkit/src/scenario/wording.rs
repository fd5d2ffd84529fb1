//! Phrases that many scenarios share.

use serde_json::json;

use super::{CLIENTS, Request, Scenario};

/// The realm of every challenge.
pub(super) const REALM: &str = r#"Bearer realm="https://issuer.test""#;

/// The names of the cookies.
pub(super) const ACCESS: &str = "__Host-gatepass";
pub(super) const REFRESH: &str = "__Host-gatepass-refresh";
pub(super) const BOTH: &[&str] = &[ACCESS, REFRESH];

/// The cookies of a browser, kept as `access` and `refresh`.
pub(super) const COOKIES: &str = "__Host-gatepass={access}; __Host-gatepass-refresh={refresh}";

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

/// The endpoints for the tokens of OAuth clients.
pub(super) const OAUTH: [&str; 3] = ["/auth/token", "/auth/revoke", "/auth/introspect"];

/// A form to the token endpoint. The name of a kept value in it has only letters and underscores.
pub(super) fn token(parameters: &[(&str, &str)]) -> Request {
    Request::post("/auth/token").form(parameters)
}

pub(super) fn revoke(token: &str) -> Request {
    Request::post("/auth/revoke").form(&[("token", token)])
}

/// Asks about a token as a confidential client.
pub(super) fn introspect(token: &str) -> Request {
    let asked = Request::post("/auth/introspect").form(&[("token", token)]);
    asked.by_gateway()
}

/// The parameters of a refresh.
pub(super) fn refreshing(token: &str) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

/// The parameters of a login.
pub(super) fn password<'a>(username: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("grant_type", "password"),
        ("username", username),
        ("password", password),
    ]
}

impl Request {
    /// Authenticates as the confidential client `gateway`.
    pub(super) fn by_gateway(self) -> Self {
        let [(id, secret), ..] = CLIENTS;
        self.basic(id, secret.unwrap_or_default())
    }

    /// Authenticates as the confidential client `backend`.
    pub(super) fn by_backend(self) -> Self {
        let [_, (id, secret), _] = CLIENTS;
        self.basic(id, secret.unwrap_or_default())
    }
}

impl Scenario {
    /// Logs `alice` in at the client `gateway`, and keeps the tokens under these names.
    pub(super) fn logged_in_by_gateway(self, access: &'static str, refresh: &'static str) -> Self {
        let login = token(&password("alice", "alice's password"));
        self.send(login.by_gateway(), 200)
            .keep("/access_token", access)
            .keep("/refresh_token", refresh)
    }

    /// Sends `request`, which the server must refuse as RFC 6749 §5.2 says, without a challenge.
    pub(super) fn send_refused(
        self,
        request: Request,
        error: &'static str,
        reason: &'static str,
    ) -> Self {
        self.send(request, 400)
            .no_header("www-authenticate")
            .header("cache-control", "no-store")
            .json("/error", error)
            .json("/reason", reason)
    }

    /// Sends `request`, which the server must refuse because its client doesn't prove itself.
    pub(super) fn send_bad_client(self, request: Request) -> Self {
        self.send(request, 401)
            .header(
                "www-authenticate",
                r#"Basic realm="https://issuer.test", charset="UTF-8""#,
            )
            .header("cache-control", "no-store")
            .json("/error", "invalid_client")
            .json("/reason", "invalid_client")
    }

    /// Logs `name` in with its password, and keeps the tokens as `access` and `refresh`.
    pub(super) fn logged_in(self, name: &'static str) -> Self {
        self.logged_in_as(name, "access", "refresh")
    }

    /// Logs `name` in with its password, and keeps the tokens under these names.
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

    /// Logs `name` in at an application with cookies, and keeps their values as `access` and
    /// `refresh`.
    pub(super) fn logged_in_by_cookie(self, name: &'static str) -> Self {
        self.send(login(name, &format!("{name}'s password")), 200)
            .gets_cookies()
            .keep_cookie(ACCESS, "access")
            .keep_cookie(REFRESH, "refresh")
    }

    /// The response sets both cookies, and its body has no tokens.
    pub(super) fn gets_cookies(self) -> Self {
        self.sets_cookies(BOTH).tells_no_tokens()
    }

    /// The response's body has no tokens.
    pub(super) fn tells_no_tokens(self) -> Self {
        self.no_json("/access_token")
            .no_json("/refresh_token")
            .no_json("/token_type")
            .header("cache-control", "no-store")
    }

    /// The response's body has both tokens, and it sets no cookie.
    pub(super) fn gets_tokens(self) -> Self {
        self.json("/token_type", "Bearer")
            .keep("/access_token", "access")
            .keep("/refresh_token", "refresh")
    }

    /// Sends a request that the server must refuse as caused by a page of another site.
    pub(super) fn send_cross_site(self, request: Request) -> Self {
        self.send(request, 403)
            .json("/error", "cross_site_request")
            .json("/reason", "cross_site")
            .no_header("www-authenticate")
    }

    /// Sends `request`, which the server must refuse as RFC 6750 §3.1 says for a bad token.
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

    /// Sends a request without credentials, which the server must refuse as such.
    pub(super) fn send_anonymous(self, request: Request) -> Self {
        self.send(request, 401)
            .header("www-authenticate", REALM)
            .json("/error", "missing_token")
            .json("/reason", "missing")
    }

    /// Sends `request`, which the server must refuse as a bad grant (RFC 6749 §5.2).
    pub(super) fn send_bad_grant(self, request: Request, reason: &'static str) -> Self {
        self.send(request, 401)
            .header("www-authenticate", REALM)
            .json("/error", "invalid_grant")
            .json("/reason", reason)
    }

    /// Sends `request`, which the server can't understand.
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

    /// The server must refuse both tokens of a session, because it was ended.
    pub(super) fn has_ended(self, access: &str, token: &str) -> Self {
        self.send_bad_token(me(access), "the token has been revoked", "revoked")
            .send_bad_grant(refresh(token), "session_ended")
    }

    /// Both tokens of a session must work. This spends the refresh token.
    pub(super) fn lives(self, access: &str, token: &str) -> Self {
        self.send(me(access), 200).send(refresh(token), 200)
    }
}
