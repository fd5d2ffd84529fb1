//! Why a request was not let through.

use gatepass::{Refusal, wire::Rejection};
use gatepass_tower::response;
use warp::reply::Response;

/// Why a request was not let through. As a [`warp::Reply`] it is the complete response.
///
/// ```
/// use gatepass::Refusal;
/// use gatepass_warp::{Auth, Denied};
/// use warp::Reply;
///
/// // Behind a `gate`, for those who want to answer refusals in their own way.
/// async fn page(auth: Result<Auth, Denied>) -> Result<impl Reply, Denied> {
///     match auth {
///         Err(denied) if denied.refusal() == Some(&Refusal::Missing) => Ok("please log in".to_owned()),
///         auth => Ok(format!("hello, {}", auth?.0.subject())),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request that was denied must be answered with this"]
pub struct Denied(pub(crate) Rejection);

impl Denied {
    /// The refusal. None where nobody was refused: we failed to judge, there is no gate, or the claims do
    /// not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal()
    }
}

impl warp::Reply for Denied {
    fn into_response(self) -> Response {
        response(self.0.into_reply()).into_response()
    }
}
