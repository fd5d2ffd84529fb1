//! The user who is logged in, from a call's request.

use std::sync::Arc;

use gatepass::{
    AccessToken, Device, Pass, RequiredScopes,
    wire::{AuthRejection, AuthRequest, AuthState, RequestHead},
};
use gatepass_tower::response;
use http::{HeaderMap, HeaderValue};
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

    /// The application's own record of the user who is logged in, behind a gate that loads
    /// [`Users`](gatepass::wire::Users).
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or [`Code::Internal`](tonic::Code::Internal) if the gate loads no
    /// users of this type.
    fn user<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Status>;

    /// The known facts about the client's device, for a login of your own: its `User-Agent`. Set
    /// the address by [`Request::remote_addr`](tonic::Request), which needs tonic's own server.
    ///
    /// # Errors
    ///
    /// That there is no gate.
    fn device(&self) -> Result<Device, Status>;

    /// The access token that the client presented. It is a secret: keep it out of logs.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthenticated`](tonic::Code::Unauthenticated) if there is none, and
    /// [`Code::InvalidArgument`](tonic::Code::InvalidArgument) if there are several.
    fn presented_token(&self) -> Result<AccessToken, Status>;

    /// Succeeds if the call doesn't come from a page of another site (CSRF).
    ///
    /// # Errors
    ///
    /// [`Code::PermissionDenied`](tonic::Code::PermissionDenied) if it does.
    fn same_site(&self) -> Result<(), Status>;

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
        judged(self)
            .and_then(|judged| judged.pass())
            .map_err(status)
    }

    fn optional_pass(&self) -> Result<Option<&Pass>, Status> {
        judged(self)
            .map(|judged| judged.optional_pass())
            .map_err(status)
    }

    fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Status> {
        judged(self)
            .and_then(|judged| judged.pass_with::<R>())
            .map_err(status)
    }

    fn connection(&self) -> Result<Connection, Status> {
        let connection = judged(self).and_then(|judged| judged.connection());
        connection.map(Connection).map_err(status)
    }

    fn user<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Status> {
        judged(self)
            .and_then(|judged| judged.user())
            .map_err(status)
    }

    fn device(&self) -> Result<Device, Status> {
        judged(self).map(|judged| judged.device()).map_err(status)
    }

    fn presented_token(&self) -> Result<AccessToken, Status> {
        let token = judged(self).and_then(|judged| judged.presented_token());
        token.map_err(status)
    }

    fn same_site(&self) -> Result<(), Status> {
        let verdict = judged(self).and_then(|judged| judged.same_site());
        verdict.map_err(status)
    }

    fn claims<T: DeserializeOwned>(&self) -> Result<T, Status> {
        judged(self)
            .and_then(|judged| judged.claims())
            .map_err(status)
    }
}

/// The call with what its gate has found. tonic doesn't tell a method which path it has.
fn judged<M>(request: &Request<M>) -> Result<AuthRequest<'_, '_>, AuthRejection> {
    let metadata: &HeaderMap = request.metadata().as_ref();
    let head = RequestHead::new("POST", "", |name| {
        metadata.get_all(name).iter().map(HeaderValue::as_bytes)
    });
    AuthState::find(request.extensions().get(), "gatepass_tonic::gate", head)
}

fn status(rejection: AuthRejection) -> Status {
    told(rejection.error(), &response(rejection.reply().clone()))
}

mod sealed {
    pub trait Sealed {}

    impl<M> Sealed for tonic::Request<M> {}
}
