//! Why a request was not let through.

use gatepass::{
    Error, Refusal, Verifier,
    wire::{Admission, Reply},
};
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
pub struct Denied {
    reply: Reply,
    refusal: Option<Refusal>,
}

impl Denied {
    /// The refusal. None where nobody was refused: we failed to judge, there is no gate, or the claims do
    /// not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    pub(crate) fn by_gate(verifier: &Verifier, error: Error) -> Self {
        let reply = verifier.refusal(&error);
        let refusal = match error {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        };
        Self { reply, refusal }
    }

    pub(crate) fn refused(admission: &Admission, refusal: Refusal) -> Self {
        Self {
            reply: admission.refusal(&refusal),
            refusal: Some(refusal),
        }
    }

    pub(crate) fn ours(reply: Reply) -> Self {
        Self {
            reply,
            refusal: None,
        }
    }
}

impl warp::Reply for Denied {
    fn into_response(self) -> Response {
        response(self.reply).into_response()
    }
}
