//! The user who is logged in, in a handler's signature.

use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    sync::Arc,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use gatepass::{
    AccessToken, Device, Pass, RequiredScopes,
    wire::{self, AuthRequest, AuthState},
};
use serde::de::DeserializeOwned;

use crate::{convert::head, rejection::AuthRejection};

/// The user who is logged in. Behind a gate that is optional, take [`MaybeAuth`].
///
/// ```
/// use gatepass_actix::Auth;
///
/// async fn me(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
/// # let _ = actix_web::App::new().route("/me", actix_web::web::get().to(me));
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct Auth(pub Pass);

/// The user who is logged in, if there is one, behind a gate that is
/// [`optional`](gatepass::Requirements::optional).
///
/// Don't take `Option<Auth>`: actix-web turns any error of an extractor in an `Option` into `None`.
/// If you forget the gate, your handler would take every user for a stranger. This extractor
/// answers 500 instead, like the other extractors. (`Option<Auth>` still compiles, because
/// actix-web implements it for every extractor. If the gate is missing, gatepass then logs an error
/// for each request.)
///
/// ```
/// use gatepass_actix::MaybeAuth;
///
/// async fn greeting(MaybeAuth(pass): MaybeAuth) -> String {
///     pass.map_or("hello, stranger".to_owned(), |pass| format!("hello, {}", pass.subject()))
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(greeting));
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct MaybeAuth(pub Option<Pass>);

/// The user who is logged in, with all the scopes that `R` lists. A user who lacks a scope gets
/// 403.
///
/// ```
/// use gatepass_actix::{RequiredScopes, Scoped};
///
/// struct Admin;
///
/// impl RequiredScopes for Admin {
///     const SCOPES: &'static [&'static str] = &["admin"];
/// }
///
/// async fn dashboard(admin: Scoped<Admin>) -> String {
///     format!("welcome, {}", admin.pass().subject())
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(dashboard));
/// ```
///
/// Any other type doesn't compile, and the compiler says what to write:
///
/// ```compile_fail,E0277
/// async fn dashboard(admin: gatepass_actix::Scoped<String>) {}
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(dashboard));
/// ```
pub struct Scoped<R: RequiredScopes> {
    pass: Pass,
    required: PhantomData<fn() -> R>,
}

impl<R: RequiredScopes> Scoped<R> {
    /// The pass of the user who is logged in.
    #[must_use]
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// The pass of the user who is logged in, owned.
    #[must_use]
    pub fn into_pass(self) -> Pass {
        self.pass
    }
}

impl<R: RequiredScopes> Clone for Scoped<R> {
    fn clone(&self) -> Self {
        Self {
            pass: self.pass.clone(),
            required: PhantomData,
        }
    }
}

impl<R: RequiredScopes> fmt::Debug for Scoped<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.pass).finish()
    }
}

/// The custom claims of the user who is logged in, as a type of yours.
///
/// ```
/// use gatepass_actix::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Tenant { tenant: u32 }
///
/// async fn tenant(Claims(claims): Claims<Tenant>) -> String {
///     claims.tenant.to_string()
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(tenant));
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct Claims<T>(pub T);

/// Your application's own record of the user who is logged in. The gate must load
/// [`Users`](gatepass::wire::Users).
///
/// ```
/// use gatepass_actix::{Authority, Gate, User, Users};
/// use actix_web::{Route, web};
///
/// struct Account { name: String }
///
/// async fn hello(User(account): User<Account>) -> String {
///     format!("hello, {}", account.name)
/// }
///
/// # async fn find(_: String) -> Result<Option<Account>, gatepass::StoreError> { Ok(None) }
/// fn route(authority: &Authority) -> Route {
///     let users = Users::new(|pass| find(pass.subject().to_string()));
///     web::get().to(hello).wrap(Gate::new(authority).users(&users))
/// }
/// ```
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct User<T>(pub Arc<T>);

/// The client's device: its `User-Agent` and its address. Take it in a login of your own, behind a
/// gate that is [`open`](gatepass::Requirements::open).
///
/// ```
/// use actix_web::{HttpResponse, web};
/// use gatepass_actix::{Authority, ClientDevice, Identity};
///
/// async fn log_in(ClientDevice(device): ClientDevice, authority: web::Data<Authority>) -> HttpResponse {
///     // After your own code has found out who this is:
///     let Ok(identity) = Identity::new("alice") else { return HttpResponse::BadRequest().finish() };
///     match authority.issue(identity, device).await {
///         Ok(_) => HttpResponse::Ok().finish(),
///         Err(_) => HttpResponse::ServiceUnavailable().finish(),
///     }
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::post().to(log_in));
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct ClientDevice(pub Device);

/// The access token that the client presented, for example to ask another service on the user's
/// behalf. It is a secret: keep it out of logs.
///
/// ```
/// use gatepass_actix::PresentedToken;
///
/// async fn forward(PresentedToken(token): PresentedToken) -> String {
///     format!("{} bytes go to the other service", token.as_str().len())
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(forward));
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct PresentedToken(pub AccessToken);

/// Proof that a request doesn't come from a page of another site (CSRF protection). The browser's
/// headers decide; a request from another site gets 403. Take it in handlers that log a browser in,
/// or that check a cookie of your own. A `GET` always passes, because it must not change anything.
/// If a link logs a browser in, compare a secret of that browser, for example the `state` of OpenID
/// Connect.
///
/// ```
/// use gatepass_actix::SameSite;
///
/// async fn log_in(_: SameSite) -> &'static str {
///     "this form is ours"
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::post().to(log_in));
/// ```
///
/// To answer in your own way, take `Result<SameSite, AuthRejection>`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SameSite;

impl FromRequest for Auth {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.pass()?.clone())))
    }
}

impl FromRequest for MaybeAuth {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.optional_pass().cloned())))
    }
}

impl<R: RequiredScopes> FromRequest for Scoped<R> {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| {
            Ok(Self {
                pass: judged.pass_with::<R>()?.clone(),
                required: PhantomData,
            })
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Claims<T> {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.claims()?)))
    }
}

impl<T: Send + Sync + 'static> FromRequest for User<T> {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.user()?)))
    }
}

impl<T: Send + Sync + 'static> FromRequest for MaybeUser<T> {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.optional_user()?)))
    }
}

impl FromRequest for ClientDevice {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.device())))
    }
}

impl FromRequest for PresentedToken {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.presented_token()?)))
    }
}

impl FromRequest for SameSite {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| judged.same_site().map(|()| Self))
    }
}

/// Your application's own record of the user, if one is logged in, behind an optional gate. Don't
/// take `Option<User<T>>`: actix-web would turn a mistake into `None`, for example a gate that
/// loads no users.
///
/// ```
/// use gatepass_actix::MaybeUser;
///
/// struct Account { name: String }
///
/// async fn home(MaybeUser(account): MaybeUser<Account>) -> String {
///     account.map_or("hello, stranger".to_owned(), |account| format!("hello, {}", account.name))
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(home));
/// ```
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct MaybeUser<T>(pub Option<Arc<T>>);

/// Calls `question` with the request and the verdict of its gate, for extractors and middleware of
/// your own.
///
/// For example, this middleware also accepts API keys. It is behind an optional gate:
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::{
///     Error, HttpMessage, Route, body::MessageBody, dev::{ServiceRequest, ServiceResponse},
///     middleware::{Next, from_fn}, web,
/// };
/// use gatepass_actix::{Auth, Authority, Gate, Identity, Requirements, auth_request};
///
/// # fn owner_of(_: &str) -> Option<Identity> { None }
/// async fn api_keys<B: MessageBody>(
///     request: ServiceRequest,
///     next: Next<B>,
/// ) -> Result<ServiceResponse<B>, Error> {
///     let key = request.headers().get("x-api-key").and_then(|key| key.to_str().ok());
///     if let Some(owner) = key.and_then(owner_of) {
///         let lifetime = Duration::from_secs(60);
///         let state = auth_request(request.request(), |asked| asked.authenticated("api-key", &owner, lifetime))?;
///         request.extensions_mut().insert(state);
///     }
///     next.call(request).await
/// }
///
/// async fn orders(Auth(pass): Auth) -> String {
///     format!("orders of {}", pass.subject())
/// }
///
/// fn route(authority: &Authority) -> Route {
///     let optional = Gate::new(authority).require(Requirements::new().optional());
///     web::get().to(orders).wrap(from_fn(api_keys)).wrap(optional) // the last one runs first
/// }
/// ```
///
/// # Errors
///
/// A rejection with 500 if there is no gate before the route, or the rejection of `question`.
pub fn auth_request<T>(
    request: &HttpRequest,
    question: impl FnOnce(&AuthRequest<'_, '_>) -> Result<T, wire::AuthRejection>,
) -> Result<T, AuthRejection> {
    let extensions = request.extensions();
    let head = head(request.head());
    let judged = AuthState::find(extensions.get(), "gatepass_actix::Gate", head);
    let answer = judged.and_then(|judged| question(&judged));
    answer.map_err(AuthRejection::from)
}

/// The future of an extractor.
pub(crate) fn ask<T>(
    request: &HttpRequest,
    question: impl FnOnce(&AuthRequest<'_, '_>) -> Result<T, wire::AuthRejection>,
) -> Ready<Result<T, AuthRejection>> {
    ready(auth_request(request, question))
}
