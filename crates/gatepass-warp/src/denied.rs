//! Why a request was not let through.

use gatepass::{Refusal, wire::Rejection};
use gatepass_tower::response;
use warp::reply::Response;

/// Why a request was not let through. As a [`warp::Reply`] it is the complete response.
///
/// ```
/// use gatepass::Refusal;
/// use gatepass_warp::{Admitted, Auth, Denied};
/// use warp::{Reply, reply::Response};
///
/// // Behind a `gate`, for those who want to answer refusals in their own way.
/// async fn page(auth: Result<Admitted<Auth>, Denied>) -> Response {
///     match auth {
///         Ok(admitted) => admitted.reply(format!("hello, {}", admitted.extracted().0.subject())),
///         Err(denied) if denied.refusal() == Some(&Refusal::Missing) => "please log in".into_response(),
///         Err(denied) => denied.into_response(),
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
