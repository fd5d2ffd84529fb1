//! How a refused request is answered.

use gatepass::Error;
use http::Response;

/// Makes the response to a refused request out of the usual one.
///
/// Implemented by [`JsonRefusal`] for all bodies that are made of bytes, and by functions
/// `Fn(&Error, Response<Vec<u8>>) -> Response<B>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a response with a `{B}`",
    label = "the gate's refusals do not fit the service's response body",
    note = "a body that is not `From<Vec<u8>>` needs `GateLayer::refusal(|_, response| response.map(…))`"
)]
pub trait Refuse<B> {
    /// The response to a request that was refused with `error`. `usual` is complete: status,
    /// challenge, JSON body.
    fn refuse(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B>;

    /// Whether [`refuse`](Self::refuse) keeps the body of the usual response as it is. Then that which answers a `HEAD` has
    /// none, but its length. Any other body is left in for the server to leave out, which hyper does in HTTP/1 alone.
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
pub struct JsonRefusal;

impl<B: From<Vec<u8>>> Refuse<B> for JsonRefusal {
    fn refuse(&self, _: &Error, usual: Response<Vec<u8>>) -> Response<B> {
        usual.map(B::from)
    }

    fn keeps_body(&self) -> bool {
        true
    }
}

impl<B, F: Fn(&Error, Response<Vec<u8>>) -> Response<B>> Refuse<B> for F {
    fn refuse(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B> {
        self(error, usual)
    }
}
