//! The result of a gate, and the methods for extractors.

use std::{error, fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use crate::{
    authority::issued::AccessToken,
    env::internal_error::InternalError,
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{
        device::Device,
        identity::Identity,
        ids::Issuer,
        refusal::Refusal,
        scopes::{self, RequiredScopes, Scopes},
    },
    observe,
    token::pass::Pass,
    verifier::{connection::Connection, requirements::Requirements, verifier::Verifier},
    wire::{
        cookie, credentials,
        outgoing::{Outgoing, REFRESH, TARGETED},
        refusal::ErrorFormat,
        users::AnyUser,
    },
};

/// The result of a gate: the user who makes a request, or the reason why there is no user. An
/// adapter puts it into the request's extensions.
///
/// An extractor finds it with [`find`](Self::find). If there is none, the route has no gate, which
/// is a mistake in the application. The client then gets a 500 without details, and the log names
/// the route.
///
/// ```
/// use gatepass::{Pass, wire::{AuthRejection, AuthState, RequestHead}};
///
/// fn extract(found: Option<&AuthState>, head: RequestHead<'_>) -> Result<Pass, AuthRejection> {
///     Ok(AuthState::find(found, "my_adapter::Gate", head)?.pass()?.clone())
/// }
/// # let head = RequestHead::new("GET", "/me", |_| std::iter::empty());
/// # let rejection = extract(None, head).unwrap_err();
/// # assert_eq!((rejection.reply().status(), rejection.refusal()), (500, None));
/// ```
#[derive(Clone, Debug)]
pub struct AuthState {
    outcome: Result<Pass, Refusal>,
    verifier: Verifier,
    requirements: Option<Arc<Requirements>>,
    outgoing: Outgoing,
    user: Option<AnyUser>,
}

impl AuthState {
    pub(super) fn new(
        outcome: Result<Pass, Refusal>,
        verifier: &Verifier,
        requirements: Option<Arc<Requirements>>,
        mut outgoing: Outgoing,
    ) -> Self {
        outgoing.outdated = outcome.as_ref().is_ok_and(Pass::is_outdated);
        Self {
            outcome,
            verifier: verifier.clone(),
            requirements,
            outgoing,
            user: None,
        }
    }

    pub(super) fn loaded(mut self, user: Option<AnyUser>) -> Self {
        self.user = user;
        self
    }

    /// Adds the application's own record of the user, for the extractor `User<T>`.
    #[must_use]
    pub fn with_user<T: Send + Sync + 'static>(mut self, user: Arc<T>) -> Self {
        self.user = Some(user);
        self
    }

    /// The state that a gate has put into a request, with the head of that request.
    ///
    /// `gate` is the name of the gate in your adapter. If the request has no state, the log shows
    /// this name with the method and the path. Pass an empty path if the framework doesn't provide
    /// it.
    ///
    /// # Errors
    ///
    /// The rejection of a request whose route has no gate: 500.
    pub fn find<'s, 'h>(
        found: Option<&'s Self>,
        gate: &'static str,
        head: RequestHead<'h>,
    ) -> Result<AuthRequest<'s, 'h>, AuthRejection> {
        match found {
            Some(state) => Ok(state.of(head)),
            None => {
                let place = (head.method(), head.path());
                observe::gate_missing(gate, Some(place).filter(|(_, path)| !path.is_empty()));
                Err(AuthRejection::ours("no gate"))
            }
        }
    }

    /// The pass of the user who is logged in, if there is one.
    #[must_use]
    pub fn optional_pass(&self) -> Option<&Pass> {
        self.outcome.as_ref().ok()
    }

    /// The state, with the head of its request.
    pub fn of<'s, 'h>(&'s self, head: RequestHead<'h>) -> AuthRequest<'s, 'h> {
        AuthRequest { state: self, head }
    }

    /// The changes that the gate makes to the response of the handler.
    pub fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }
}

/// A request with the result of its gate, for extractors. From [`AuthState::find`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthRequest<'s, 'h> {
    state: &'s AuthState,
    head: RequestHead<'h>,
}

impl<'s, 'h> AuthRequest<'s, 'h> {
    /// The pass of the user who is logged in.
    ///
    /// # Errors
    ///
    /// The rejection of a request that an optional gate let through without credentials, or with a
    /// bad cookie.
    pub fn pass(&self) -> Result<&'s Pass, AuthRejection> {
        let pass = self.state.outcome.as_ref();
        pass.map_err(|refusal| self.rejection(refusal.clone()))
    }

    /// The pass of the user who is logged in, if there is one, behind a gate that is
    /// [`optional`](crate::Requirements::optional).
    #[must_use]
    pub fn optional_pass(&self) -> Option<&'s Pass> {
        self.state.optional_pass()
    }

    /// The pass of the user who is logged in, if it has all the scopes that `R` requires.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or the rejection of a token that lacks a scope: 403.
    pub fn pass_with<R: RequiredScopes>(&self) -> Result<&'s Pass, AuthRejection> {
        let pass = self.pass()?;
        if scopes::required::<R>().all(|scope| pass.scopes().contains(scope)) {
            return Ok(pass);
        }
        let required = Scopes::new(scopes::required::<R>()).unwrap_or_default();
        Err(self.rejection(Refusal::InsufficientScope { required }))
    }

    /// The custom claims of the user who is logged in, as a type of your application.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass). If the claims don't fit `T`, 500, since the application wrote both.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, AuthRejection> {
        self.pass()?.claims().map_err(|error| {
            observe::claims_unfit(&error, std::any::type_name::<T>());
            self.mistake("custom claims that do not fit")
        })
    }

    /// The application's own record of the user who is logged in, behind a gate that loads
    /// [`Users`](crate::wire::Users).
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass). If the gate loads no users of this type, 500.
    pub fn user<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, AuthRejection> {
        let pass = self.pass()?;
        let user = self.state.user.clone();
        if user.is_none() && pass.is_of_other_service() {
            return Err(self.rejection(Refusal::WrongIssuer));
        }
        let user = user.and_then(|user| user.downcast().ok());
        user.ok_or_else(|| {
            observe::users_missing(std::any::type_name::<T>());
            self.mistake("the gate does not load the users that the handler needs")
        })
    }

    /// The application's own record of the user, if there is a user of this service. A request with
    /// credentials of your own ([`authenticated`](Self::authenticated)) has no record, unless you
    /// have [added one](AuthState::with_user).
    ///
    /// # Errors
    ///
    /// If the gate loads no users of this type, 500.
    pub fn optional_user<T: Send + Sync + 'static>(&self) -> Result<Option<Arc<T>>, AuthRejection> {
        match self.optional_pass() {
            Some(pass) if self.state.user.is_some() || !pass.is_of_other_service() => {
                self.user().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The connection of the user who is logged in, for a long response, such as a WebSocket or an
    /// event stream. A token that renews the connection must meet the requirements of the gate.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass).
    pub fn connection(&self) -> Result<Connection, AuthRejection> {
        let connection = self.state.verifier.connection(self.pass()?);
        Ok(match &self.state.requirements {
            Some(requirements) => connection.require(Requirements::clone(requirements)),
            None => connection,
        })
    }

    /// The state of a request whose user your own code has authenticated, for example by an API
    /// key. For tokens of a system that you replace, [`Adopt`](crate::Adopt) is better.
    ///
    /// Your middleware puts this state into the request's extensions, in place of the gate's own.
    /// So the route still needs a gate, which must be [optional](crate::Requirements::optional) to
    /// let requests without a token of gatepass through.
    ///
    /// `issuer` names your kind of credentials. A handler sees it in [`Pass::foreign_issuer`]. The
    /// pass has no session, and no time of authentication. A connection with this pass ends after
    /// `lifetime`. gatepass keeps nothing: your code judges the credentials of each request. The
    /// state has no record of [`Users`](crate::wire::Users), unless you add one with
    /// [`with_user`](AuthState::with_user).
    ///
    /// Use a header of your own for the credentials, such as `X-Api-Key`. An optional gate refuses
    /// a `Bearer` that isn't gatepass's before your code runs. Answer bad credentials with
    /// [`rejection`](Self::rejection).
    ///
    /// If the credentials aren't in `Authorization`, your handlers must set `Cache-Control:
    /// private`. Otherwise, a shared cache may keep the answer (RFC 9111 §3.5).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use gatepass::{Identity, wire::{AuthRejection, AuthRequest, AuthState}};
    ///
    /// /// After the key was found in your database.
    /// fn of_key(
    ///     request: &AuthRequest<'_, '_>,
    ///     owner: &Identity,
    /// ) -> Result<AuthState, AuthRejection> {
    ///     request.authenticated("api-key", owner, Duration::from_secs(60))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The rejection of a pass that doesn't meet the gate's requirements: scopes, a recent
    /// authentication, or this service as its [issuer](crate::Requirements::own_issuer). If
    /// `issuer` isn't a valid name, 500.
    pub fn authenticated(
        &self,
        issuer: &str,
        identity: &Identity,
        lifetime: Duration,
    ) -> Result<AuthState, AuthRejection> {
        let AuthState {
            verifier,
            requirements,
            ..
        } = self.state;
        let Ok(issuer) = Issuer::new(issuer) else {
            return Err(self.mistake("the issuer of the credentials has an invalid name"));
        };
        let now = verifier.now();
        let pass = Pass::of_identity(identity, issuer, now, now + lifetime);
        if let Some(requirements) = requirements {
            let judged = verifier.check_requirements(&pass, requirements);
            judged.map_err(|refusal| self.rejection(refusal))?;
        }
        let outgoing = Outgoing::new(verifier, None, None);
        let requirements = requirements.clone();
        Ok(AuthState::new(Ok(pass), verifier, requirements, outgoing))
    }

    /// The head of the request.
    #[must_use]
    pub fn head(&self) -> &RequestHead<'h> {
        &self.head
    }

    /// The known facts about the client's device, for a login of your own.
    #[must_use]
    pub fn device(&self) -> Device {
        self.state.verifier.device(&self.head)
    }

    /// The access token that the client presented, as text, for example to call another service on
    /// the user's behalf. It is a secret, so keep it out of logs. Behind a gate that is
    /// [open](crate::Requirements::open) or optional, gatepass may not have verified it.
    ///
    /// # Errors
    ///
    /// The rejection of a request without a token, with several tokens, or with a cookie that the
    /// request may not use (CSRF).
    pub fn presented_token(&self) -> Result<AccessToken, AuthRejection> {
        let policy = self.state.verifier.browser_policy();
        let (_, token) = credentials::of_gated(&self.head, policy);
        match token.and_then(|token| token.ok_or(Refusal::Missing)) {
            Ok(token) => Ok(AccessToken::new(token.to_owned())),
            Err(refusal) => Err(self.rejection(refusal)),
        }
    }

    /// Checks that the request may change something with the user's cookies, by where it comes from
    /// (CSRF). gatepass checks its own cookies in this way. Call this in handlers that read a
    /// cookie of your own, or that log a browser in.
    ///
    /// A `GET` always passes, because a `GET` must not change anything. If a link logs a browser
    /// in, compare a secret of that browser, such as the `state` of OpenID Connect.
    ///
    /// # Errors
    ///
    /// The rejection of a request from another site: 403.
    pub fn same_site(&self) -> Result<(), AuthRejection> {
        let policy = self.state.verifier.browser_policy();
        let judged = cookie::check(&self.head, policy);
        judged.map_err(|refusal| self.rejection(refusal))
    }

    /// The changes that the gate makes to the response of the handler.
    pub fn outgoing(&self) -> Outgoing {
        self.state.outgoing()
    }

    /// The rejection for a mistake in the application: 500.
    fn mistake(&self, what: &'static str) -> AuthRejection {
        let AuthRejection { error, reply } = AuthRejection::ours(what);
        let reply = self.state.verifier.in_own_format(&self.head, reply);
        AuthRejection { error, reply }
    }

    /// The rejection of credentials that your own code refused or couldn't judge. It has the format
    /// of the gate, or [your own](crate::VerifierBuilder::error_response). A refusal is 401 or 403
    /// with a challenge. A failure of the store is 503.
    ///
    /// ```
    /// use gatepass::{Identity, Refusal, StoreError, wire::{AuthRejection, AuthRequest}};
    ///
    /// /// `found` is the owner of an API key, as your database says.
    /// fn owner(
    ///     request: &AuthRequest<'_, '_>,
    ///     found: Result<Option<Identity>, StoreError>,
    /// ) -> Result<Identity, AuthRejection> {
    ///     let found = found.map_err(|error| request.rejection(error))?;
    ///     found.ok_or_else(|| request.rejection(Refusal::Revoked))
    /// }
    /// ```
    pub fn rejection(&self, error: impl Into<Error>) -> AuthRejection {
        let verifier = &self.state.verifier;
        let error = error.into();
        let space = verifier.protection_space(self.state.requirements.as_deref());
        let mut reply = Reply::of_error(&error, space, ErrorFormat::Resource);
        if self.state.outgoing.outdated {
            // For adapters where the reply of an extractor doesn't pass the gate.
            reply = reply.header(REFRESH.0, REFRESH.1);
        }
        let reply = verifier.in_own_format(&self.head, reply);
        AuthRejection { error, reply }
    }
}

/// The reason why a handler does not run, and the reply.
#[derive(Clone, Debug)]
#[must_use = "a request that was rejected must be answered with this"]
pub struct AuthRejection {
    error: Error,
    reply: Reply,
}

impl AuthRejection {
    /// The rejection of a request that the framework did not pass through the gate: 500.
    pub fn unseen() -> Self {
        Self::ours("the request did not pass the gate")
    }

    /// The error, which says whose fault it is.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The refusal. `None` if gatepass failed to judge the request, or for a mistake in the
    /// application: a missing gate, or claims that do not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.error {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The complete reply.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The complete reply, without copying it.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        self.reply
    }

    /// The error and the complete reply.
    #[must_use]
    pub fn into_parts(self) -> (Error, Reply) {
        (self.error, self.reply)
    }

    /// The rejection with the reply for a request with this `method`: see [`Reply::for_method`].
    pub fn for_method(self, method: &str) -> Self {
        Self {
            reply: self.reply.for_method(method),
            error: self.error,
        }
    }

    /// Adds the cookies that the gate has refreshed. Call this if the gate has let the request
    /// through, and an extractor or your own code then rejects it. Otherwise, the browser would
    /// lose the cookies. Adapters whose gates are layers around their handlers don't need it.
    pub async fn behind(mut self, mut gate: Outgoing) -> Self {
        if gate.waits() {
            gate.settle().await;
            gate.apply(&mut self.reply);
        }
        self
    }

    pub(super) fn new(error: Error, reply: Reply) -> Self {
        Self { error, reply }
    }

    /// Adds these cookies to the reply.
    pub(super) fn with_cookies<'c>(self, cookies: impl Iterator<Item = &'c str>) -> Self {
        // No cache may keep tokens, even if the application's own error format allows it.
        let reply = TARGETED
            .iter()
            .fold(self.reply, |reply, name| reply.without_header(name));
        let reply = reply.with_header("cache-control", "no-store");
        let reply = cookies.fold(reply, |reply, cookie| reply.header("set-cookie", cookie));
        Self { reply, ..self }
    }

    fn ours(what: &'static str) -> Self {
        Self {
            error: InternalError::new(what).into(),
            reply: Reply::internal(),
        }
    }
}

/// Shows the description that the client gets.
impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.description())
    }
}

impl error::Error for AuthRejection {}
