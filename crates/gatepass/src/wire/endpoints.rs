//! The endpoints: login, refresh, logout, and the list of sessions.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Reply, RequestBody, RequestHead, Surface, body::BadRequest, credentials, refuse};
use crate::{
    Authority, BuildError, Credentials, Demand, Error, Grant, Issued, Pass, Refusal, Session,
    SessionId, Staleness,
};

/// Answers the requests to the endpoints, whatever framework they came through.
///
/// | method, path | asks for | answers |
/// |---|---|---|
/// | `POST /auth/login` | JSON `username`, `password`, whatever else the authenticator wants | 200, tokens |
/// | `POST /auth/refresh` | JSON `refresh_token` | 200, tokens |
/// | `POST /auth/logout` | an access token, or JSON `refresh_token` | 204, also if it was ended before |
/// | `POST /auth/logout-all` | an access token | 204, every session of the subject ended |
/// | `GET /auth/sessions` | an access token | 200, the subject's sessions |
/// | `DELETE /auth/sessions` | an access token | 204, every session but this one ended |
/// | `DELETE /auth/sessions/{id}` | an access token | 204; 404 if it is not the subject's own |
///
/// Without an [`Authenticator`](crate::Authenticator) there is no login endpoint: the application does
/// its logins itself, and answers them with [`issued`](Endpoints::issued). Authentication is judged
/// before the body. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoints {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authority: Authority,
    mount: String,
}

/// Configures [`Endpoints`]. Made by [`Endpoints::builder`].
#[derive(Debug)]
#[must_use]
pub struct EndpointsBuilder {
    authority: Authority,
    mount: String,
}

impl EndpointsBuilder {
    /// Where the endpoints are mounted. Default `/auth`.
    pub fn mount(mut self, path: impl Into<String>) -> Self {
        self.mount = path.into();
        self
    }

    /// The endpoints.
    ///
    /// # Errors
    ///
    /// [`BuildError::Mount`] if they cannot be mounted there.
    pub fn build(self) -> Result<Endpoints, BuildError> {
        let segments = self.mount.strip_prefix('/').unwrap_or_default().split('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if !segments
            .clone()
            .all(|segment| !segment.is_empty() && segment.chars().all(plain))
        {
            return Err(BuildError::Mount);
        }
        Ok(Endpoints {
            inner: Arc::new(Inner {
                authority: self.authority,
                mount: self.mount,
            }),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint<'a> {
    Login,
    Refresh,
    Logout,
    LogoutAll,
    Sessions,
    Session(&'a str),
}

const LOGIN: &str = "/login";

/// The paths under the mount point. `{id}` stands for one segment.
const PATHS: [&str; 6] = [
    LOGIN,
    "/refresh",
    "/logout",
    "/logout-all",
    "/sessions",
    "/sessions/{id}",
];

impl Endpoints {
    /// Longest body in bytes that is read. Far more than credentials need, far less than would hurt.
    pub const BODY_LIMIT: usize = 16 * 1024;
    /// How long a body may take to arrive.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

    /// Starts to configure the endpoints of `authority`.
    pub fn builder(authority: Authority) -> EndpointsBuilder {
        EndpointsBuilder {
            authority,
            mount: "/auth".to_owned(),
        }
    }

    /// The paths of the endpoints, for a framework's router. A segment `{id}` stands for any. All
    /// methods are to be sent here: which are allowed, [`handle`](Self::handle) knows.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let mounted = PATHS
            .iter()
            .filter(|path| **path != LOGIN || self.has_login());
        mounted.map(|path| format!("{}{path}", self.inner.mount))
    }

    /// Answers one request.
    pub async fn handle(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let reply = match self.endpoint(head.path()) {
            None => Reply::error(404, "not_found", "there is nothing here", "not_found"),
            Some(endpoint) => self.answer(endpoint, head, body).await,
        };
        if head.method() == "HEAD" {
            reply.without_body()
        } else {
            reply
        }
    }

    /// The reply to a login that the application has done itself, by OpenID Connect or a passkey:
    /// the same as that of the login endpoint.
    pub async fn issued(&self, grant: Grant, head: &RequestHead<'_>) -> Reply {
        let issued = self.inner.authority.issue(grant, head.device()).await;
        self.tokens(issued)
    }

    fn has_login(&self) -> bool {
        self.inner.authority.can_authenticate()
    }

    fn endpoint<'p>(&self, path: &'p str) -> Option<Endpoint<'p>> {
        Some(match path.strip_prefix(&self.inner.mount)? {
            LOGIN if self.has_login() => Endpoint::Login,
            "/refresh" => Endpoint::Refresh,
            "/logout" => Endpoint::Logout,
            "/logout-all" => Endpoint::LogoutAll,
            "/sessions" => Endpoint::Sessions,
            other => {
                let id = other.strip_prefix("/sessions/")?;
                (!id.is_empty() && !id.contains('/')).then_some(Endpoint::Session(id))?
            }
        })
    }

    async fn answer(
        &self,
        endpoint: Endpoint<'_>,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        match (endpoint, head.method()) {
            (Endpoint::Login, "POST") => self.login(head, body).await,
            (Endpoint::Refresh, "POST") => self.refresh(head, body).await,
            (Endpoint::Logout, "POST") => self.logout(head, body).await,
            (Endpoint::LogoutAll, "POST") => self.logout_all(head).await,
            (Endpoint::Sessions, "GET" | "HEAD") => self.sessions(head).await,
            (Endpoint::Sessions, "DELETE") => self.end_others(head).await,
            (Endpoint::Session(id), "DELETE") => self.end_one(head, id).await,
            (Endpoint::Sessions, _) => not_allowed("GET, HEAD, DELETE"),
            (Endpoint::Session(_), _) => not_allowed("DELETE"),
            (Endpoint::Login | Endpoint::Refresh | Endpoint::Logout | Endpoint::LogoutAll, _) => {
                not_allowed("POST")
            }
        }
    }

    async fn login(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let credentials = || -> Result<Credentials, BadRequest> {
            let mut members = body.json_object(head)?;
            let (username, password) = (
                members.take_text("username")?,
                members.take_text("password")?,
            );
            Ok(Credentials::new(username, password).with_extra(members.rest()))
        };
        match credentials() {
            Ok(credentials) => self.tokens(
                self.inner
                    .authority
                    .login(&credentials, head.device())
                    .await,
            ),
            Err(bad) => bad.into(),
        }
    }

    async fn refresh(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let token = body
            .json_object(head)
            .and_then(|mut members| members.take_text("refresh_token"));
        match token {
            Ok(token) => self.tokens(self.inner.authority.refresh(&token).await),
            Err(bad) => bad.into(),
        }
    }

    async fn logout(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let ended = match credentials::bearer(head) {
            Err(refusal) => Err(refusal.into()),
            Ok(Some(token)) => self.inner.authority.logout(token).await,
            Ok(None) if body.is_empty() => Err(Refusal::Missing.into()),
            Ok(None) => match body
                .json_object(head)
                .and_then(|mut body| body.take_text("refresh_token"))
            {
                Ok(token) => self.inner.authority.logout(&token).await,
                Err(bad) => return bad.into(),
            },
        };
        self.done(ended)
    }

    async fn logout_all(&self, head: &RequestHead<'_>) -> Reply {
        let ended = async {
            let pass = self.owner(head).await?;
            self.inner
                .authority
                .logout_all(pass.subject())
                .await
                .map(drop)
        };
        self.done(ended.await)
    }

    async fn sessions(&self, head: &RequestHead<'_>) -> Reply {
        let listed = async {
            let pass = self.owner(head).await?;
            let sessions = self.inner.authority.sessions(pass.subject()).await?;
            Ok(sessions
                .iter()
                .map(|session| listed(session, &pass))
                .collect::<Vec<_>>())
        };
        match listed.await {
            Ok(sessions) => Reply::json(200, &json!({ "sessions": sessions })),
            Err(error) => self.refuse(&error, Surface::Resource),
        }
    }

    async fn end_others(&self, head: &RequestHead<'_>) -> Reply {
        let ended = async {
            let pass = self.owner(head).await?;
            self.inner.authority.logout_others(&pass).await.map(drop)
        };
        self.done(ended.await)
    }

    async fn end_one(&self, head: &RequestHead<'_>, id: &str) -> Reply {
        let ended = async {
            let pass = self.owner(head).await?;
            // What is no session id is nobody's session.
            let Ok(id) = id.parse::<SessionId>() else {
                return Ok(false);
            };
            self.inner
                .authority
                .end_session_of(pass.subject(), id)
                .await
        };
        match ended.await {
            Ok(true) => Reply::empty(204),
            Ok(false) => Reply::error(404, "not_found", "you have no such session", "not_found"),
            Err(error) => self.refuse(&error, Surface::Resource),
        }
    }

    /// Whoever manages sessions. Strictly: the store is asked anyway, and a session that was ended a
    /// moment ago must not end others.
    async fn owner(&self, head: &RequestHead<'_>) -> Result<Pass, Error> {
        let demand = Demand::new().staleness(Staleness::Strict);
        self.inner.authority.verifier().admit(head, &demand).await
    }

    fn tokens(&self, issued: Result<Issued, Error>) -> Reply {
        match issued {
            Ok(issued) => Reply::json(200, &token_body(&issued)),
            Err(error) => self.refuse(&error, Surface::Grant),
        }
    }

    fn done(&self, ended: Result<(), Error>) -> Reply {
        match ended {
            Ok(()) => Reply::empty(204),
            Err(error) => self.refuse(&error, Surface::Resource),
        }
    }

    fn refuse(&self, error: &Error, surface: Surface) -> Reply {
        refuse(error, self.inner.authority.verifier().realm(), surface)
    }
}

fn not_allowed(allowed: &str) -> Reply {
    let description = "this method is not allowed here";
    Reply::error(405, "invalid_request", description, "method_not_allowed").header("allow", allowed)
}

/// RFC 6749 §5.1, with what a client needs to refresh in time whatever its clock says.
fn token_body(issued: &Issued) -> Value {
    json!({
        "access_token": issued.access_token.as_str(),
        "token_type": "Bearer",
        "expires_in": issued.expires_at.since(issued.server_time).as_secs(),
        "refresh_token": issued.refresh_token.as_str(),
        "scope": issued.scopes.as_str(),
        "session_id": issued.session_id.to_string(),
        "refresh_at": issued.refresh_at.unix_secs(),
        "server_time": issued.server_time.unix_secs(),
    })
}

fn listed(session: &Session, pass: &Pass) -> Value {
    json!({
        "id": session.id.to_string(),
        "created_at": session.created_at.to_string(),
        "last_seen_at": session.last_seen_at.to_string(),
        "expires_at": session.idle_expires_at.to_string(),
        "device": session.grant.device_label(),
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "current": session.id == pass.session_id(),
    })
}
