//! The gate.

use std::{
    fmt,
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use gatepass::{
    Authority, LocalPath, Requirements, Verifier,
    wire::{self, AuthRejection, AuthState, Users},
};

use crate::{
    convert::{head, response},
    future::GateFuture,
};

/// Middleware that lets only authorized requests through, for `wrap` of a
/// [`Route`](actix_web::Route::wrap), a [`Resource`](actix_web::Resource::wrap), a
/// [`Scope`](actix_web::Scope::wrap) or an [`App`](actix_web::App::wrap).
///
/// For each request
///
/// 1. the one access token is found and verified, and what the route requires of it;
/// 2. a request that passes goes on, with the [`AuthState`](gatepass::wire::AuthState) in its
///    extensions, where the extractors find it;
/// 3. the gate answers any other request, as RFC 6750 §3 says, and it never reaches the handler.
///    The gate also answers a request that it cannot judge because it does not know the revocations
///    freshly enough: with a 503.
///
/// If tokens travel in cookies, the gate adds `Cache-Control: private` to a response that has no
/// `Cache-Control` of its own, and can [refresh the cookies](Gate::auto_refresh).
///
/// A refusal is a response, and no [`Error`]: middleware further out, such as CORS headers and
/// logging, treats it as any other, and [`ErrorHandlers`](actix_web::middleware::ErrorHandlers) can
/// put a page in its place. Cheap to clone.
///
/// # Deployment caveat
///
/// Middleware guards what it is put around. A gate of a route guards what the route answers, so
/// that strangers get 404 and 405 where there is nothing, as every client does. A gate of a
/// resource also guards the methods that the resource does not have. A gate of an app or a scope
/// also guards the paths below it that do not exist: strangers get 401 there.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::{App, web};
/// use gatepass_actix::{Auth, Gate, Requirements};
///
/// async fn me(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let gate = Gate::new(verifier);
/// let recently = gate.clone().require(Requirements::new().max_age(Duration::from_secs(300)));
/// let app = App::new()
///     .route("/me", web::get().to(me).wrap(gate))
///     .route("/transfer", web::post().to(me).wrap(recently));
/// # let _ = app;
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gate(wire::Gate);

impl Gate {
    /// A gate that lets through the requests whose access token `verifier` accepts. Give it the
    /// [`Verifier`], or the [`Authority`](gatepass::Authority) that has one:
    /// `Gate::new(&authority)`.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self(wire::Gate::new(verifier))
    }

    /// Requires more of each request than a good access token: scopes, a recent authentication,
    /// fresher revocation data. The requirements of several calls add up: after `optional`, a call
    /// that requires more lets strangers through no longer. Handlers behind a gate that is
    /// [`optional`](Requirements::optional) take [`MaybeAuth`](crate::MaybeAuth).
    pub fn require(self, requirements: Requirements) -> Self {
        Self(self.0.require(requirements))
    }

    /// Refreshes a browser's cookies. If the access cookie has expired or is missing and the
    /// refresh cookie is good, the gate serves the request, and the response sets both cookies. For
    /// example, a page without JavaScript stays logged in. The rules are documented in
    /// [`wire::Gate::auto_refresh`](gatepass::wire::Gate::auto_refresh).
    ///
    /// ```
    /// # fn example(authority: &gatepass::Authority) -> Result<(), gatepass::InvalidLocalPath> {
    /// let pages = gatepass_actix::Gate::new(authority)
    ///     .auto_refresh(authority)
    ///     .login_page("/login".parse()?);
    /// # Ok(()) }
    /// ```
    pub fn auto_refresh(self, authority: &Authority) -> Self {
        Self(self.0.auto_refresh(authority))
    }

    /// Renews access tokens while their clients use them, for clients that keep one token and no
    /// refresh token. If a token has half of its life behind it, the response brings a fresh one,
    /// in the access cookie or in the header that
    /// [`renewed_token_header`](gatepass::AuthorityBuilder::renewed_token_header) names. The rules
    /// are documented in [`wire::Gate::auto_renew`](gatepass::wire::Gate::auto_renew).
    pub fn auto_renew(self, authority: &Authority) -> Self {
        Self(self.0.auto_renew(authority))
    }

    /// Also accepts the tokens of the old system that `authority`
    /// [adopts](gatepass::AuthorityBuilder::adopt), until the date of the move. A browser with the
    /// old system's cookie gets gatepass's cookies in the response. The rules are documented in
    /// [`wire::Gate::adopt`](gatepass::wire::Gate::adopt).
    pub fn adopt(self, authority: &Authority) -> Self {
        Self(self.0.adopt(authority))
    }

    /// Sends browsers to a login page in place of a 401, if they ask for a page to show. Programs
    /// still get the 401. See [`wire::Gate::login_page`](gatepass::wire::Gate::login_page) for the
    /// rules.
    pub fn login_page(self, page: LocalPath) -> Self {
        Self(self.0.login_page(page))
    }

    /// Loads the application's own record of the user of each request that the gate lets through,
    /// for [`User<T>`](crate::User). [`Users`](gatepass::wire::Users) has the rules.
    pub fn users<T: Send + Sync + 'static>(self, users: &Users<T>) -> Self {
        Self(self.0.users(users))
    }
}

impl<S, B> Transform<S, ServiceRequest> for Gate
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = GateMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(GateMiddleware {
            service: Rc::new(service),
            gate: self.clone(),
        }))
    }
}

/// A service behind a [`Gate`]. actix-web makes it where a gate is put on.
pub struct GateMiddleware<S> {
    service: Rc<S>,
    gate: Gate,
}

impl<S, B> Service<ServiceRequest> for GateMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = GateFuture<S::Future, B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let Gate(gate) = &self.gate;
        let judged = gate.try_judge(&head(request.head()));
        match judged {
            Some(Err(rejection)) => begin(&*self.service, request, Err(rejection)),
            Some(Ok(state)) if !state.outgoing().waits() => {
                begin(&*self.service, request, Ok(state))
            }
            judged => {
                let (service, gate) = (Rc::clone(&self.service), gate.clone());
                GateFuture::waiting(Box::pin(async move {
                    let judged = match judged {
                        Some(judged) => judged,
                        None => gate.judge(&head(request.head())).await,
                    };
                    begin(&*service, request, judged).settled().await
                }))
            }
        }
    }
}

/// Lets a request through to `service`, or answers it.
fn begin<S, B>(
    service: &S,
    request: ServiceRequest,
    judged: Result<AuthState, AuthRejection>,
) -> GateFuture<S::Future, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    match judged {
        Ok(state) => {
            let outgoing = state.outgoing();
            request.extensions_mut().insert(state);
            GateFuture::through(service.call(request), outgoing)
        }
        Err(rejection) => {
            GateFuture::refused(request.into_response(response(rejection.into_reply())))
        }
    }
}

impl<S> fmt::Debug for GateMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateMiddleware")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
