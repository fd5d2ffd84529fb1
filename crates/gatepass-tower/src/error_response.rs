//! How a refused request is answered.

use gatepass::Error;
use http::Response;

/// Makes the response to a refused request out of the usual one.
///
/// Implemented by [`JsonErrors`] for all bodies that are made of bytes, and by functions
/// `Fn(&Error, Response<Vec<u8>>) -> Response<B>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a response with a `{B}`",
    label = "the gate's refusals do not fit the service's response body",
    note = "a body that is not `From<Vec<u8>>` needs `GateLayer::error_response(|_, response| response.map(…))`"
)]
pub trait ErrorResponse<B> {
    /// The response to a request that was refused with `error`. `usual` is complete: status,
    /// challenge, JSON body.
    fn respond(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B>;

    /// Whether [`respond`](Self::respond) keeps the body of the usual response as it is. Then that
    /// which answers a `HEAD` has none, but its length. Any other body is left in for the server to
    /// leave out, which hyper does in HTTP/1 alone.
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
