//! The user who is logged in, in a handler's signature.

use std::{fmt, marker::PhantomData, sync::Arc};

use gatepass::{
    AccessToken, Device, Pass, RequiredScopes,
    wire::{AuthRejection, AuthRequest},
};
use serde::de::DeserializeOwned;

use crate::connection::Connection;

/// A value that a gate can extract. The handler's signature says which one.
///
/// You can implement it for types of your own. For example, this one is the user who acts as
/// another user:
///
/// ```
/// use gatepass::{Subject, wire::{AuthRejection, AuthRequest}};
/// use gatepass_warp::FromAuthRequest;
///
/// struct Actor(Option<Subject>);
///
/// impl FromAuthRequest for Actor {
///     fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
///         Ok(Self(request.pass()?.actor().cloned()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a gate cannot extract `{Self}`",
    label = "gates can extract only some types",
    note = "gates extract `Auth`, `Option<Auth>`, `Scoped<R>`, `Claims<T>`, `User<T>`, `ClientDevice`, `PresentedToken`, `SameSite`, `Connection`, and pairs of these"
)]
pub trait FromAuthRequest: Sized + Send + 'static {
    /// Whether the value needs the headers, the path or the address of the request. The gate copies
    /// them only if it does.
    const READS_HEAD: bool = false;

    /// Extracts the value from a request and the verdict of its gate.
    ///
    /// # Errors
    ///
    /// A rejection if the handler requires more than its gate, for example a scope.
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection>;
}

/// The user who is logged in. Behind a gate that is optional, take `Option<Auth>`.
///
/// ```
/// use gatepass_warp::{Auth, Requirements, gate, gated};
/// use warp::Filter;
///
/// async fn me(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// async fn greeting(auth: Option<Auth>) -> String {
///     auth.map_or("hello, stranger".to_owned(), |Auth(pass)| format!("hello, {}", pass.subject()))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let gate = gate(verifier);
/// let optional = gate.clone().require(Requirements::new().optional());
/// let routes = gated(warp::path!("me"), gate, me)
///     .or(gated(warp::path!("greeting"), optional, greeting));
/// # let _ = routes;
/// # }
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
/// use gatepass_warp::{RequiredScopes, Scoped, gate, gated};
/// use warp::Filter;
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
/// # fn example(verifier: gatepass::Verifier) {
/// # let _ =
/// gated(warp::path!("dashboard").and(warp::get()), gate(verifier), dashboard);
/// # }
/// ```
///
/// Any other type doesn't compile, and the compiler says what to write:
///
/// ```compile_fail,E0277
/// async fn dashboard(admin: gatepass_warp::Scoped<String>) {}
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

/// The custom claims of the user who is logged in, as a type of yours. To get the user as well,
/// extract a pair with [`Auth`].
///
/// ```
/// use gatepass_warp::{Auth, Claims, gate, gated};
///
/// #[derive(serde::Deserialize)]
/// struct Tenant { tenant: u32 }
///
/// async fn tenant((Auth(pass), Claims(claims)): (Auth, Claims<Tenant>)) -> String {
///     format!("{} of {}", pass.subject(), claims.tenant)
/// }
/// # fn example(verifier: gatepass::Verifier) {
/// # let _ =
/// gated(warp::path!("tenant"), gate(verifier), tenant);
/// # }
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
/// use gatepass_warp::{Authority, User, Users, gate, gated};
/// use warp::{Filter, filters::BoxedFilter, reply::Response};
///
/// struct Account { name: String }
///
/// async fn hello(User(account): User<Account>) -> String {
///     format!("hello, {}", account.name)
/// }
///
/// # async fn find(_: String) -> Result<Option<Account>, gatepass::StoreError> { Ok(None) }
/// fn route(authority: &Authority) -> BoxedFilter<(Response,)> {
///     let users = Users::new(|pass| find(pass.subject().to_string()));
///     gated(warp::path!("hello"), gate(authority).users(&users), hello).boxed()
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
/// use gatepass_warp::{Authority, ClientDevice, Identity, Requirements, gate, gated};
/// use warp::{Filter, http::StatusCode};
///
/// async fn log_in(authority: Authority, ClientDevice(device): ClientDevice) -> StatusCode {
///     // After your own code has found out who this is:
///     let Ok(identity) = Identity::new("alice") else { return StatusCode::BAD_REQUEST };
///     match authority.issue(identity, device).await {
///         Ok(_) => StatusCode::OK,
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
///
/// # fn example(authority: Authority) {
/// let open = gate(&authority).require(Requirements::new().open());
/// let authority = warp::any().map(move || authority.clone());
/// let route = gated(warp::path!("login").and(warp::post()).and(authority), open, log_in);
/// # let _ = route;
/// # }
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
/// use gatepass_warp::PresentedToken;
///
/// async fn forward(PresentedToken(token): PresentedToken) -> String {
///     format!("{} bytes go to the other service", token.as_str().len())
/// }
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
/// use gatepass_warp::SameSite;
///
/// async fn log_in(_: SameSite) -> &'static str {
///     "this form is ours"
/// }
/// ```
///
/// To answer in your own way, take `Option<SameSite>`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SameSite;

impl<T: Send + Sync + 'static> FromAuthRequest for User<T> {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.user()?))
    }
}

impl<T: Send + Sync + 'static> FromAuthRequest for Option<User<T>> {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(request.optional_user()?.map(User))
    }
}

impl FromAuthRequest for ClientDevice {
    const READS_HEAD: bool = true;

    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.device()))
    }
}

impl FromAuthRequest for PresentedToken {
    const READS_HEAD: bool = true;

    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.presented_token()?))
    }
}

impl FromAuthRequest for SameSite {
    const READS_HEAD: bool = true;

    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        request.same_site().map(|()| Self)
    }
}

impl FromAuthRequest for Option<SameSite> {
    const READS_HEAD: bool = true;

    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(request.same_site().ok().map(|()| SameSite))
    }
}

impl FromAuthRequest for Auth {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.pass()?.clone()))
    }
}

impl FromAuthRequest for Option<Auth> {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(request.optional_pass().cloned().map(Auth))
    }
}

impl FromAuthRequest for Connection {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.connection()?))
    }
}

impl<R: RequiredScopes> FromAuthRequest for Scoped<R> {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self {
            pass: request.pass_with::<R>()?.clone(),
            required: PhantomData,
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> FromAuthRequest for Claims<T> {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok(Self(request.claims()?))
    }
}

impl<A: FromAuthRequest, B: FromAuthRequest> FromAuthRequest for (A, B) {
    const READS_HEAD: bool = A::READS_HEAD || B::READS_HEAD;

    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        Ok((
            A::from_auth_request(request)?,
            B::from_auth_request(request)?,
        ))
    }
}
