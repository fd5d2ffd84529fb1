//! The response to a refused request.

use gatepass::Error;
use http::Response;

/// Makes the response to a refused request from the usual one.
///
/// [`JsonErrors`] implements it for all bodies that are made of bytes. Functions also implement it:
/// `Fn(&Error, Response<Vec<u8>>) -> Response<B>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a response with a `{B}`",
    label = "the gate's refusals do not fit the service's response body",
    note = "a body that is not `From<Vec<u8>>` needs `GateLayer::error_response(|_, response| response.map(…))`"
)]
pub trait ErrorResponse<B> {
    /// The response to a request that the gate refused with `error`. `usual` is complete: status,
    /// challenge and JSON body.
    fn respond(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B>;

    /// Whether [`respond`](Self::respond) keeps the body of the usual response unchanged. If so,
    /// the gate removes the body from the answer to a `HEAD` and keeps its length. If not, the
    /// server must remove it, which hyper does only in HTTP/1.
    fn keeps_body(&self) -> bool {
        false
    }
}

/// Answers with the usual response: the JSON body that all endpoints have.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a unit struct without state to grow"
)]
pub struct JsonErrors;

impl<B: From<Vec<u8>>> ErrorResponse<B> for JsonErrors {
    fn respond(&self, _: &Error, usual: Response<Vec<u8>>) -> Response<B> {
        usual.map(B::from)
    }

    fn keeps_body(&self) -> bool {
        true
    }
}

impl<B, F: Fn(&Error, Response<Vec<u8>>) -> Response<B>> ErrorResponse<B> for F {
    fn respond(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B> {
        self(error, usual)
    }
}
