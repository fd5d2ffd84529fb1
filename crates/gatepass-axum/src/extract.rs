//! The user who is logged in, in a handler's signature.

use std::{fmt, marker::PhantomData, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use gatepass::{
    AccessToken, Device, Pass, RequiredScopes,
    wire::{AuthRequest, AuthState},
};
use serde::de::DeserializeOwned;

use crate::{gate::head, rejection::AuthRejection};

/// The user who is logged in. Behind a gate that is optional, take `Option<Auth>`.
///
/// ```
/// use gatepass_axum::Auth;
///
/// async fn me(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// async fn greeting(auth: Option<Auth>) -> String {
///     auth.map_or("hello, stranger".to_owned(), |Auth(pass)| format!("hello, {}", pass.subject()))
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::get(me).post(greeting));
/// ```
///
/// Middleware behind the gate can also take it. For example, this one refuses a member of the
/// support team who acts as the user ([`Pass::actor`]):
///
/// ```
/// use axum::{
///     Router, extract::Request, http::StatusCode, middleware::{Next, from_fn},
///     response::{IntoResponse, Response}, routing::put,
/// };
/// use gatepass_axum::{Auth, Authority, GateLayer};
///
/// async fn deny_actors(Auth(pass): Auth, request: Request, next: Next) -> Response {
///     if pass.actor().is_some() {
///         return StatusCode::FORBIDDEN.into_response();
///     }
///     next.run(request).await
/// }
///
/// fn own(authority: &Authority) -> Router {
///     Router::new()
///         .route("/me/password", put(async || StatusCode::NO_CONTENT))
///         .route_layer(from_fn(deny_actors))
///         .route_layer(GateLayer::new(authority)) // the last layer runs first
/// }
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct Auth(pub Pass);

/// The user who is logged in, with all the scopes that `R` lists. A user who lacks a scope gets
/// 403.
///
/// ```
/// use gatepass_axum::{RequiredScopes, Scoped};
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
/// # axum::Router::<()>::new().route("/", axum::routing::get(dashboard));
/// ```
///
/// Any other type doesn't compile, and the compiler says what to write:
///
/// ```compile_fail,E0277
/// async fn dashboard(admin: gatepass_axum::Scoped<String>) {}
/// # axum::Router::<()>::new().route("/", axum::routing::get(dashboard));
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
/// use gatepass_axum::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Tenant { tenant: u32 }
///
/// async fn tenant(Claims(claims): Claims<Tenant>) -> String {
///     claims.tenant.to_string()
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::get(tenant));
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct Claims<T>(pub T);

/// The client's device: its `User-Agent` and its address. Take it in a login of your own, behind a
/// gate that is [`open`](gatepass::Requirements::open).
///
/// ```
/// use axum::{Extension, http::StatusCode};
/// use gatepass_axum::{Authority, ClientDevice, Identity};
///
/// async fn log_in(ClientDevice(device): ClientDevice, Extension(authority): Extension<Authority>) -> StatusCode {
///     // After your own code has found out who this is:
///     let Ok(identity) = Identity::new("alice") else { return StatusCode::BAD_REQUEST };
///     match authority.issue(identity, device).await {
///         Ok(_) => StatusCode::OK,
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::post(log_in));
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
/// use gatepass_axum::PresentedToken;
///
/// async fn forward(PresentedToken(token): PresentedToken) -> String {
///     format!("{} bytes go to the other service", token.as_str().len())
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::get(forward));
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
/// use gatepass_axum::SameSite;
///
/// async fn log_in(_: SameSite) -> &'static str {
///     "this form is ours"
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::post(log_in));
/// ```
///
/// To answer in your own way, take `Result<SameSite, AuthRejection>`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SameSite;

/// Your application's own record of the user who is logged in. The gate must load
/// [`Users`](gatepass::wire::Users).
///
/// ```
/// use gatepass_axum::{Authority, GateLayer, User, Users};
/// use axum::{Router, routing::get};
///
/// struct Account { name: String }
///
/// async fn hello(User(account): User<Account>) -> String {
///     format!("hello, {}", account.name)
/// }
///
/// # async fn find(_: String) -> Result<Option<Account>, gatepass::StoreError> { Ok(None) }
/// fn app(authority: &Authority) -> Router {
///     let users = Users::new(|pass| find(pass.subject().to_string()));
///     let gate = GateLayer::new(authority).users(&users);
///     Router::new().route("/", get(hello).route_layer(gate))
/// }
/// ```
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their signatures"
)]
pub struct User<T>(pub Arc<T>);

/// The request and the verdict of its gate, for extractors and middleware of your own.
///
/// For example, this middleware also accepts API keys. It is behind an optional gate:
///
/// ```
/// use std::time::Duration;
///
/// use axum::{
///     Router, extract::Request, http::request::Parts, middleware::{Next, from_fn},
///     response::Response, routing::get,
/// };
/// use gatepass_axum::{
///     Auth, AuthRejection, AuthState, Authority, GateLayer, Identity, Refusal, Requirements,
///     auth_request,
/// };
///
/// # fn owner_of(_: &str) -> Option<Identity> { None }
/// fn admit(parts: &Parts, key: &str) -> Result<AuthState, AuthRejection> {
///     let request = auth_request(parts)?;
///     let owner = owner_of(key).ok_or_else(|| request.rejection(Refusal::Revoked))?;
///     Ok(request.authenticated("api-key", &owner, Duration::from_secs(60))?)
/// }
///
/// async fn api_keys(request: Request, next: Next) -> Result<Response, AuthRejection> {
///     let (mut parts, body) = request.into_parts();
///     let key = parts.headers.get("x-api-key");
///     if let Some(key) = key.and_then(|key| key.to_str().ok()) {
///         let state = admit(&parts, key)?;
///         parts.extensions.insert(state);
///     }
///     Ok(next.run(Request::from_parts(parts, body)).await)
/// }
///
/// async fn orders(Auth(pass): Auth) -> String {
///     format!("orders of {}", pass.subject())
/// }
///
/// fn app(authority: &Authority) -> Router {
///     let optional = GateLayer::new(authority).require(Requirements::new().optional());
///     Router::new()
///         .route("/orders", get(orders))
///         .route_layer(from_fn(api_keys))
///         .route_layer(optional) // the last layer runs first
/// }
/// ```
///
/// # Errors
///
/// A rejection with 500 if there is no gate before the route.
pub fn auth_request(parts: &Parts) -> Result<AuthRequest<'_, '_>, AuthRejection> {
    let found = parts.extensions.get();
    Ok(AuthState::find(
        found,
        "gatepass_axum::GateLayer",
        head(parts),
    )?)
}

impl<S: Sync> FromRequestParts<S> for Auth {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.pass()?.clone()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Auth {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthRejection> {
        Ok(auth_request(parts)?.optional_pass().cloned().map(Self))
    }
}

impl<S: Sync, R: RequiredScopes> FromRequestParts<S> for Scoped<R> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self {
            pass: auth_request(parts)?.pass_with::<R>()?.clone(),
            required: PhantomData,
        })
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.claims()?))
    }
}

impl<S: Sync, T: Send + Sync + 'static> FromRequestParts<S> for User<T> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.user()?))
    }
}

impl<S: Sync, T: Send + Sync + 'static> OptionalFromRequestParts<S> for User<T> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthRejection> {
        Ok(auth_request(parts)?.optional_user()?.map(Self))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientDevice {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.device()))
    }
}

impl<S: Sync> FromRequestParts<S> for PresentedToken {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.presented_token()?))
    }
}

impl<S: Sync> FromRequestParts<S> for SameSite {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        auth_request(parts)?.same_site()?;
        Ok(Self)
    }
}
