//! The user who is logged in, in a handler's signature.

use std::{fmt, marker::PhantomData};

use gatepass::{
    Pass, RequiredScopes,
    wire::{AuthRejection, AuthState},
};
use serde::de::DeserializeOwned;

use crate::connection::Connection;

/// A value that a gate can extract. The handler's signature says which one.
#[diagnostic::on_unimplemented(
    message = "a gate cannot extract `{Self}`",
    label = "not something that is known of whoever is logged in",
    note = "gates extract `Auth`, `Option<Auth>`, `Scoped<R>`, `Claims<T>`, `Connection`, and pairs of these"
)]
pub trait FromAuthState: Sized + Send + 'static {
    /// Extracts the value from what a gate has found.
    ///
    /// # Errors
    ///
    /// That the handler wants more than its gate.
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection>;
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

/// The user who is logged in, with all the scopes that `R` stands for. A user who lacks a scope is
/// refused with 403.
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
/// A type that is no set of scopes does not compile, and the compiler says what to write:
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

/// The custom claims of the user who is logged in, as a type of the application's. With [`Auth`] in
/// a pair.
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

impl FromAuthState for Auth {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok(Self(state.pass()?.clone()))
    }
}

impl FromAuthState for Option<Auth> {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok(state.optional_pass().cloned().map(Auth))
    }
}

impl FromAuthState for Connection {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok(Self(state.connection()?))
    }
}

impl<R: RequiredScopes> FromAuthState for Scoped<R> {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok(Self {
            pass: state.pass_with::<R>()?.clone(),
            required: PhantomData,
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> FromAuthState for Claims<T> {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok(Self(state.claims()?))
    }
}

impl<A: FromAuthState, B: FromAuthState> FromAuthState for (A, B) {
    fn from_auth_state(state: &AuthState) -> Result<Self, AuthRejection> {
        Ok((A::from_auth_state(state)?, B::from_auth_state(state)?))
    }
}
