//! The user who is logged in, from a call's request.

use gatepass::{
    Pass, RequiredScopes,
    wire::{AuthRejection, AuthState},
};
use gatepass_tower::response;
use serde::de::DeserializeOwned;
use tonic::{Request, Status};

use crate::{connection::Connection, rejection::told};

/// Says who is logged in, for any [`Request`] whose service is behind a [`gate`](crate::gate).
///
/// Each method answers [`Code::Internal`](tonic::Code::Internal) where there is no gate: the log
/// names the mistake, the client learns nothing of it. So ask before anything is done.
///
/// ```
/// use gatepass_tonic::RequestAuth;
/// use tonic::{Request, Response, Status};
///
/// async fn me(request: Request<()>) -> Result<Response<String>, Status> {
///     let pass = request.pass()?;
///     Ok(Response::new(pass.subject().to_string()))
/// }
///
/// async fn greeting(request: Request<()>) -> Result<Response<String>, Status> {
///     let name = request.optional_pass()?.map_or("stranger", |pass| pass.subject().as_str());
///     Ok(Response::new(format!("hello, {name}")))
/// }
/// ```
pub trait RequestAuth: sealed::Sealed {
    /// The user who is logged in. Behind a gate that is optional, a call without a user is refused
    /// as a gate would refuse it.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthenticated`](tonic::Code::Unauthenticated) if no user is logged in.
    fn pass(&self) -> Result<&Pass, Status>;

    /// The user who is logged in, if there is one, behind a gate that is
    /// [`optional`](gatepass::Requirements::optional).
    ///
    /// # Errors
    ///
    /// That there is no gate.
    fn optional_pass(&self) -> Result<Option<&Pass>, Status>;

    /// The user who is logged in, with all the scopes that `R` stands for.
    ///
    /// ```
    /// use gatepass_tonic::{RequestAuth, RequiredScopes};
    /// use tonic::{Request, Response, Status};
    ///
    /// struct Admin;
    ///
    /// impl RequiredScopes for Admin {
    ///     const SCOPES: &'static [&'static str] = &["admin"];
    /// }
    ///
    /// async fn dashboard(request: Request<()>) -> Result<Response<String>, Status> {
    ///     let pass = request.pass_with::<Admin>()?;
    ///     Ok(Response::new(format!("welcome, {}", pass.subject())))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or [`Code::PermissionDenied`](tonic::Code::PermissionDenied).
    fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Status>;

    /// The connection of the user who is logged in, for a stream that lasts.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass).
    fn connection(&self) -> Result<Connection, Status>;

    /// The custom claims of the user who is logged in, as a type of the application's.
    ///
    /// ```
    /// use gatepass_tonic::RequestAuth;
    /// use tonic::{Request, Response, Status};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Tenant { tenant: u32 }
    ///
    /// async fn tenant(request: Request<()>) -> Result<Response<u32>, Status> {
    ///     let claims: Tenant = request.claims()?;
    ///     Ok(Response::new(claims.tenant))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or [`Code::Internal`](tonic::Code::Internal) where they do not fit.
    fn claims<T: DeserializeOwned>(&self) -> Result<T, Status>;
}

impl<M> RequestAuth for Request<M> {
    fn pass(&self) -> Result<&Pass, Status> {
        state(self).and_then(AuthState::pass).map_err(status)
    }

    fn optional_pass(&self) -> Result<Option<&Pass>, Status> {
        state(self).map(AuthState::optional_pass).map_err(status)
    }

    fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Status> {
        state(self)
            .and_then(AuthState::pass_with::<R>)
            .map_err(status)
    }

    fn connection(&self) -> Result<Connection, Status> {
        let connection = state(self).and_then(AuthState::connection);
        connection.map(Connection).map_err(status)
    }

    fn claims<T: DeserializeOwned>(&self) -> Result<T, Status> {
        state(self).and_then(AuthState::claims).map_err(status)
    }
}

fn state<M>(request: &Request<M>) -> Result<&AuthState, AuthRejection> {
    AuthState::find(request.extensions().get(), "gatepass_tonic::gate", None)
}

fn status(rejection: AuthRejection) -> Status {
    told(rejection.error(), &response(rejection.reply().clone()))
}

mod sealed {
    pub trait Sealed {}

    impl<M> Sealed for tonic::Request<M> {}
}
