//! Who is logged in, from a call's request.

use gatepass::{
    Error, InternalError, Pass, Refusal, RequiredScopes,
    wire::{Admission, Reply},
};
use gatepass_tower::response;
use serde::de::DeserializeOwned;
use tonic::{Request, Status};

use crate::refusal::told;

/// Who is logged in, of any [`Request`] whose service is behind a [`gate`](crate::gate).
///
/// Each method answers [`Code::Internal`](tonic::Code::Internal) where there is no gate: the log names the
/// mistake, the client learns nothing of it. So ask before anything is done.
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
    /// Who is logged in. Behind a gate that is optional, nobody is refused as a gate would refuse them.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthenticated`](tonic::Code::Unauthenticated) if nobody is.
    fn pass(&self) -> Result<&Pass, Status>;

    /// Who is logged in, if anybody is, behind a gate that is
    /// [`optional`](gatepass_tower::GateLayer::optional).
    ///
    /// # Errors
    ///
    /// That there is no gate.
    fn optional_pass(&self) -> Result<Option<&Pass>, Status>;

    /// Who is logged in, with all the scopes that `R` stands for.
    ///
    /// ```
    /// use gatepass::RequiredScopes;
    /// use gatepass_tonic::RequestAuth;
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

    /// The custom claims of whoever is logged in, as a type of the application's.
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
        let admission = admission(self)?;
        admission
            .pass()
            .map_err(|refusal| refused(admission, refusal))
    }

    fn optional_pass(&self) -> Result<Option<&Pass>, Status> {
        Ok(admission(self)?.pass().ok())
    }

    fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Status> {
        let admission = admission(self)?;
        admission
            .pass_with::<R>()
            .map_err(|refusal| refused(admission, refusal))
    }

    fn claims<T: DeserializeOwned>(&self) -> Result<T, Status> {
        let claims = self.pass()?.claims();
        claims.map_err(|error| {
            let what = InternalError::new("custom claims that do not fit");
            ours(what, Reply::unfit_claims(&error))
        })
    }
}

fn admission<M>(request: &Request<M>) -> Result<&Admission, Status> {
    let admission = request.extensions().get::<Admission>();
    admission.ok_or_else(|| {
        let reply = Reply::missing_guard("gatepass_tonic::gate");
        ours(InternalError::new("no guard"), reply)
    })
}

fn refused(admission: &Admission, refusal: Refusal) -> Status {
    let usual = response(admission.refusal(&refusal));
    told(&Error::Refused(refusal), &usual)
}

fn ours(error: InternalError, reply: Reply) -> Status {
    told(&Error::Internal(error), &response(reply))
}

mod sealed {
    pub trait Sealed {}

    impl<M> Sealed for tonic::Request<M> {}
}
