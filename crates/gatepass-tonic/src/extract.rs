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

use crate::{connection::Connection, peer_addr::peer_addr, rejection::told};

/// Tells a method who is logged in, from any [`Request`] whose service is behind a
/// [`gate`](crate::gate).
///
/// Without a gate, each call returns [`Code::Internal`](tonic::Code::Internal). The log names the
/// mistake, and the client learns nothing of it. So ask before your method changes anything.
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
    /// The user who is logged in. Behind an optional gate, a call without a user gets the refusal
    /// that a gate would give.
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
    /// [`Code::Internal`](tonic::Code::Internal) if there is no gate.
    fn optional_pass(&self) -> Result<Option<&Pass>, Status>;

    /// The user who is logged in, with all the scopes that `R` lists.
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
    /// The errors of [`pass`](Self::pass), and
    /// [`Code::PermissionDenied`](tonic::Code::PermissionDenied) if the user lacks a scope.
    fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Status>;

    /// Your application's own record of the user who is logged in. The gate must load
    /// [`Users`](gatepass::wire::Users).
    ///
    /// # Errors
    ///
    /// The errors of [`pass`](Self::pass), and [`Code::Internal`](tonic::Code::Internal) if the
    /// gate loads no users of this type.
    fn user<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Status>;

    /// The client's device, for a login of your own: its `User-Agent`, and its address if the
    /// server is tonic's own. Another server puts the address into the extension
    /// [`PeerAddr`](crate::PeerAddr).
    ///
    /// # Errors
    ///
    /// [`Code::Internal`](tonic::Code::Internal) if there is no gate.
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

    /// The connection of the user who is logged in, for a long stream.
    ///
    /// # Errors
    ///
    /// The errors of [`pass`](Self::pass).
    fn connection(&self) -> Result<Connection, Status>;

    /// The custom claims of the user who is logged in, as a type of yours.
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
    /// The errors of [`pass`](Self::pass), and [`Code::Internal`](tonic::Code::Internal) if the
    /// claims don't fit.
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

/// The call and the verdict of its gate. tonic doesn't tell a method its path.
fn judged<M>(request: &Request<M>) -> Result<AuthRequest<'_, '_>, AuthRejection> {
    let metadata: &HeaderMap = request.metadata().as_ref();
    let head = RequestHead::new("POST", "", |name| {
        metadata.get_all(name).iter().map(HeaderValue::as_bytes)
    });
    let head = head.address(peer_addr(request).map(|peer| peer.ip()));
    AuthState::find(request.extensions().get(), "gatepass_tonic::gate", head)
}

fn status(rejection: AuthRejection) -> Status {
    told(rejection.error(), &response(rejection.reply().clone()))
}

mod sealed {
    pub trait Sealed {}

    impl<M> Sealed for tonic::Request<M> {}
}
