//! The endpoints: login, refresh, logout, the list of sessions, the endpoints of OAuth, keys and
//! metadata.

mod adopt;
mod backchannel;
mod config;
mod delivery;
mod discovery;
mod forms;
mod login;
mod oauth;
mod openapi;
mod sessions;
mod times;

use std::{sync::Arc, time::Duration};

use crate::{
    authority::authority::Authority,
    denylist::staleness::Staleness,
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{local_path::LocalPath, scopes::Scopes, transport::BrowserPolicy},
    observe::Refusals,
    token::pass::Pass,
    verifier::requirements::Requirements,
    wire::{body::RequestBody, client::Client, credentials::Source, refusal::ErrorFormat},
};

pub use self::{
    config::EndpointsBuilder,
    delivery::{Delivered, Delivery},
};

/// Answers the requests to the endpoints, from any framework.
///
/// The application's own endpoints take and return JSON:
///
/// | method, path | asks for | answers |
/// |---|---|---|
/// | `POST /auth/login` | `username`, `password` or other credentials, whatever else the authenticator wants | 200, tokens |
/// | `POST /auth/reauthenticate` | an access token, `password` or other credentials | 200, tokens; the authentication is recent again |
/// | `POST /auth/refresh` | `refresh_token` | 200, tokens |
/// | `POST /auth/resume` | an access token, `refresh_token`; only if [configured](EndpointsBuilder::resume) | 200, tokens if there are new ones |
/// | `POST /auth/adopt` | a token of the old system; only if that is [adopted](crate::Adopt) | 200, tokens |
/// | `POST /auth/renew` | an access token; only if [configured](EndpointsBuilder::renew) | 200, an access token |
/// | `POST /auth/logout` | an access token, or `refresh_token` | 204, also if it was ended before |
/// | `POST /auth/logout-all` | an access token | 204, every session of the subject ended |
/// | `GET /auth/sessions` | an access token | 200, the subject's sessions |
/// | `DELETE /auth/sessions` | an access token | 204, every session but this one ended |
/// | `DELETE /auth/sessions/{id}` | an access token | 204; 404 if it is not the subject's own |
///
/// The endpoints of OAuth take forms:
///
/// | method, path | is |
/// |---|---|
/// | `POST /auth/token` | the token endpoint (RFC 6749 §3.2): `refresh_token`, and `password` where [allowed](EndpointsBuilder::password_grant) |
/// | `POST /auth/revoke` | revocation (RFC 7009) |
/// | `POST /auth/introspect` | introspection (RFC 7662), only if [configured](EndpointsBuilder::introspection) |
/// | `POST /auth/backchannel-logout` | logouts at an OpenID Connect provider, only if [configured](crate::AuthorityBuilder::backchannel_logout) |
/// | `GET /.well-known/jwks.json` | the public keys (RFC 7517 §5) |
/// | `GET /.well-known/oauth-protected-resource/…` | the description of the service as a protected resource (RFC 9728), only if [configured](crate::AuthorityBuilder::protected_resource) |
/// | `GET /.well-known/oauth-authorization-server` | what of all this there is (RFC 8414), if the issuer or the [base URL](EndpointsBuilder::base_url) is a URL |
///
/// If the [transport](crate::Transport) has cookies, tokens may also be in cookies. If the token of
/// a request came in a cookie, the answer puts the new tokens only into cookies.
///
/// Without an [`Authenticator`](crate::Authenticator), there is no login endpoint. Your application
/// then handles logins itself, and answers them with [`issue`](Endpoints::issue) and
/// [`reauthenticated`](Endpoints::reauthenticated).
///
/// Endpoints judge the authentication before the body. They are cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoints {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authority: Authority,
    /// The mounted endpoints, with their paths.
    mounted: Vec<(Endpoint, String)>,
    /// The URL at which clients reach the service, if it is known, without a slash at the end.
    base_url: Option<String>,
    /// The application's own client comes first.
    clients: Vec<Client>,
    /// The pages to which browsers' forms lead, if the endpoints accept forms.
    forms: Option<Forms>,
    /// Whether clients may wait until a logout is enforced.
    waits: bool,
    introspection_scopes: Option<Scopes>,
}

/// The pages to which browsers' forms lead.
#[derive(Clone, Debug)]
struct Forms {
    /// The page with the form.
    page: LocalPath,
    /// The page after a login without a `return_to`.
    home: LocalPath,
}

/// An endpoint. Use it to choose which endpoints there are, and their paths. [`EndpointsBuilder`]
/// has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /auth/login`.
    Login,
    /// `POST /auth/reauthenticate`.
    Reauthenticate,
    /// `POST /auth/refresh`.
    Refresh,
    /// `POST /auth/resume`, off by default.
    Resume,
    /// `POST /auth/renew`, off by default.
    Renew,
    /// `POST /auth/adopt`, if the authority [adopts](crate::Adopt) the tokens of an old system.
    Adopt,
    /// `POST /auth/logout`.
    Logout,
    /// `POST /auth/logout-all`.
    LogoutAll,
    /// `GET` and `DELETE /auth/sessions`.
    Sessions,
    /// `DELETE /auth/sessions/{id}`.
    Session,
    /// `POST /auth/token` (RFC 6749 §3.2).
    Token,
    /// `POST /auth/revoke` (RFC 7009).
    Revoke,
    /// `POST /auth/introspect` (RFC 7662), off by default.
    Introspect,
    /// `POST /auth/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0), off by default.
    BackchannelLogout,
    /// `GET /.well-known/jwks.json` (RFC 7517 §5).
    Jwks,
    /// `GET /.well-known/oauth-authorization-server` (RFC 8414).
    Metadata,
    /// `GET /.well-known/oauth-protected-resource`, followed by the path of the resource (RFC
    /// 9728). Off by default.
    ResourceMetadata,
}

impl Endpoint {
    const ALL: [Self; 17] = [
        Self::Login,
        Self::Reauthenticate,
        Self::Refresh,
        Self::Resume,
        Self::Renew,
        Self::Adopt,
        Self::Logout,
        Self::LogoutAll,
        Self::Sessions,
        Self::Session,
        Self::Token,
        Self::Revoke,
        Self::Introspect,
        Self::BackchannelLogout,
        Self::Jwks,
        Self::Metadata,
        Self::ResourceMetadata,
    ];

    /// The usual path: below the mount point, or from the root for a well-known one (RFC 8615).
    /// `{id}` stands for one segment.
    const fn path(self) -> &'static str {
        match self {
            Self::Login => "/login",
            Self::Reauthenticate => "/reauthenticate",
            Self::Refresh => "/refresh",
            Self::Resume => "/resume",
            Self::Renew => "/renew",
            Self::Adopt => "/adopt",
            Self::Logout => "/logout",
            Self::LogoutAll => "/logout-all",
            Self::Sessions => "/sessions",
            Self::Session => "/sessions/{id}",
            Self::Token => "/token",
            Self::Revoke => "/revoke",
            Self::Introspect => "/introspect",
            Self::BackchannelLogout => "/backchannel-logout",
            Self::Jwks => "/.well-known/jwks.json",
            Self::Metadata => "/.well-known/oauth-authorization-server",
            Self::ResourceMetadata => "/.well-known/oauth-protected-resource",
        }
    }

    const fn is_well_known(self) -> bool {
        matches!(self, Self::Jwks | Self::Metadata | Self::ResourceMetadata)
    }

    /// The allowed methods, for `Allow` (RFC 9110 §10.2.1).
    const fn allowed(self) -> &'static str {
        match self {
            Self::Sessions => "GET, HEAD, DELETE",
            Self::Session => "DELETE",
            Self::Jwks | Self::Metadata | Self::ResourceMetadata => "GET, HEAD",
            _ => "POST",
        }
    }
}

impl Endpoints {
    /// Longest body in bytes that an endpoint reads. This is far more than credentials need, and
    /// too little to exhaust memory.
    pub const BODY_LIMIT: usize = 16 * 1024;
    /// How long a body may take to arrive.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

    /// The paths of the endpoints, for a framework's router. A segment `{id}` matches any segment.
    /// Send requests of all methods to [`handle`](Self::handle), which knows the allowed ones.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.inner.mounted.iter().map(|(_, path)| path.clone())
    }

    /// Whether an endpoint has this `path`, for frameworks that try their routes one after another.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// Answers one request.
    pub async fn handle(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let endpoint = self.find(head.path());
        let head = &self.inner.authority.verifier().located(head);
        let reply = match endpoint {
            None => Reply::not_found(),
            Some(endpoint) => self.answer(endpoint, head, body).await,
        };
        let reply = match endpoint {
            // The clients of these endpoints parse the format of RFC 6749 §5.2.
            Some(
                Endpoint::Token
                | Endpoint::Revoke
                | Endpoint::Introspect
                | Endpoint::BackchannelLogout,
            ) => reply,
            _ => self.in_own_format(head, reply),
        };
        reply.for_method(head.method())
    }

    async fn answer(
        &self,
        endpoint: Endpoint,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        match (endpoint, head.method()) {
            (Endpoint::Login, "POST") => self.answer_login(head, body).await,
            (Endpoint::Reauthenticate, "POST") => self.reauthenticate(head, body).await,
            (Endpoint::Refresh, "POST") => self.answer_refresh(head, body).await,
            (Endpoint::Resume, "POST") => self.resume(head, body).await,
            (Endpoint::Renew, "POST") => self.renew(head).await,
            (Endpoint::Adopt, "POST") => self.adopt(head, body).await,
            (Endpoint::Logout, "POST") => self.logout(head, body).await,
            (Endpoint::LogoutAll, "POST") => self.logout_all(head).await,
            (Endpoint::Sessions, "GET" | "HEAD") => self.sessions(head).await,
            (Endpoint::Sessions, "DELETE") => self.end_others(head).await,
            (Endpoint::Session, "DELETE") => self.end_one(head).await,
            (Endpoint::Token, "POST") => self.token(head, body).await,
            (Endpoint::Revoke, "POST") => self.revoke(head, body).await,
            (Endpoint::Introspect, "POST") => self.introspect(head, body).await,
            (Endpoint::BackchannelLogout, "POST") => self.backchannel_logout(head, body).await,
            (Endpoint::Jwks, "GET" | "HEAD") => self.jwks(head),
            (Endpoint::Metadata, "GET" | "HEAD") => self.metadata(head),
            (Endpoint::ResourceMetadata, "GET" | "HEAD") => self.resource_metadata(head),
            (endpoint, _) => Reply::method_not_allowed(endpoint.allowed()),
        }
    }

    fn mounted(&self) -> impl Iterator<Item = Endpoint> {
        self.inner.mounted.iter().map(|(endpoint, _)| *endpoint)
    }

    fn is_mounted(&self, endpoint: Endpoint) -> bool {
        self.path(endpoint).is_some()
    }

    /// The path of the endpoint, if it is mounted.
    fn path(&self, endpoint: Endpoint) -> Option<&str> {
        let mut mounted = self.inner.mounted.iter();
        let found = mounted.find(|(mounted, _)| *mounted == endpoint);
        found.map(|(_, path)| path.as_str())
    }

    fn find(&self, path: &str) -> Option<Endpoint> {
        let mut mounted = self.inner.mounted.iter();
        let found = mounted.find(|(endpoint, own)| match endpoint {
            Endpoint::Session => session_id(own, path).is_some(),
            _ => own == path,
        });
        found.map(|(endpoint, _)| *endpoint)
    }

    /// The authority, with the device of this request.
    fn authority_for(&self, head: &RequestHead<'_>) -> Authority {
        self.inner.authority.for_device(head.device())
    }

    fn refusals(&self) -> &Refusals {
        self.inner.authority.verifier().refusals()
    }

    fn browser_policy(&self) -> &BrowserPolicy {
        self.inner.authority.verifier().browser_policy()
    }

    /// The pass of a request that acts on sessions, and the place of its token. This judges the
    /// token strictly. The request needs the store anyway, and a session that ended a moment ago
    /// must not end others.
    async fn owner(&self, head: &RequestHead<'_>) -> (Source, Result<Pass, Error>) {
        let requirements = Requirements::new()
            .staleness(Staleness::Strict)
            .own_issuer();
        let verifier = self.inner.authority.verifier();
        verifier.authorized(head, &requirements).await
    }

    fn in_own_format(&self, head: &RequestHead<'_>, reply: Reply) -> Reply {
        self.inner.authority.verifier().in_own_format(head, reply)
    }

    fn error_reply(&self, error: &Error, format: ErrorFormat) -> Reply {
        let space = self.inner.authority.verifier().protection_space(None);
        Reply::of_error(error, space, format)
    }
}

/// The id of a session in `path`, if the path has the form of `own`.
fn session_id<'p>(own: &str, path: &'p str) -> Option<&'p str> {
    let id = path.strip_prefix(own.strip_suffix("{id}")?)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
