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

/// Middleware that lets only authorized requests through. Put it on a
/// [`Route`](actix_web::Route::wrap), a [`Resource`](actix_web::Resource::wrap), a
/// [`Scope`](actix_web::Scope::wrap) or an [`App`](actix_web::App::wrap) with `wrap`.
///
/// For each request
///
/// 1. the gate verifies the one access token and checks the requirements of the route;
/// 2. a request that passes goes on, with the [`AuthState`](gatepass::wire::AuthState) in its
///    extensions, where the extractors find it;
/// 3. the gate answers any other request, as RFC 6750 §3 says, and the request never reaches the
///    handler. If the gate's revocation data is too old, it answers 503.
///
/// If tokens travel in cookies, the gate adds `Cache-Control: private` to a response that has no
/// `Cache-Control` of its own, and can [refresh the cookies](Gate::auto_refresh).
///
/// A refusal is a response, not an [`Error`]. Outer middleware, for example CORS or logging, treats
/// it like any other response, and [`ErrorHandlers`](actix_web::middleware::ErrorHandlers) can
/// replace it with a page. A gate is cheap to clone.
///
/// # Deployment caveat
///
/// Middleware guards everything that you wrap in it. A gate on a route guards only that route. For
/// an unknown path or method, every client gets 404 or 405, with or without a token. A gate on a
/// resource also guards the methods that the resource doesn't have. A gate on an app or a scope
/// also guards unknown paths below it: strangers get 401 there.
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
    /// A gate that lets a request through if `verifier` accepts its access token. Give it a
    /// [`Verifier`], or the [`Authority`](gatepass::Authority) that has one:
    /// `Gate::new(&authority)`.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self(wire::Gate::new(verifier))
    }

    /// Requires more of each request than a valid access token: for example scopes, a recent
    /// authentication, or fresher revocation data. The requirements of several calls add up. For
    /// example, a gate that is `optional` and then requires a scope no longer lets strangers
    /// through. Handlers behind a gate that is [`optional`](Requirements::optional) take
    /// [`MaybeAuth`](crate::MaybeAuth).
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

    /// Renews access tokens while clients use them, for clients that have no refresh token. Once
    /// half of a token's lifetime has passed, the response brings a new one, in the access cookie
    /// or in the header that
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

    /// Redirects a browser that asks for a page to a login page, in place of a 401. Programs still
    /// get the 401. The rules are documented in
    /// [`wire::Gate::login_page`](gatepass::wire::Gate::login_page).
    pub fn login_page(self, page: LocalPath) -> Self {
        Self(self.0.login_page(page))
    }

    /// Loads your application's own record of the user for each request that the gate lets through,
    /// for [`User<T>`](crate::User). The rules are documented in [`Users`](gatepass::wire::Users).
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

/// A service behind a [`Gate`]. actix-web makes it when you call `wrap`.
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
