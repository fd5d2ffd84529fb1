//! The mapping from errors to gRPC statuses.

use gatepass::{Error, Verifier};
use gatepass_tower::{ErrorResponse, response};
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use tonic::{Code, Status, metadata::MetadataMap};

/// The metadata key of the reason of a refusal ([`Error::reason`]). A client can decide by it.
pub const REASON: &str = "gatepass-reason";

/// Answers refused calls with a gRPC status. [`gate`](crate::gate) uses it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a unit struct without state to grow"
)]
pub struct GrpcErrors;

impl<B: Default> ErrorResponse<B> for GrpcErrors {
    fn respond(&self, error: &Error, usual: Response<Vec<u8>>) -> Response<B> {
        told(error, &usual).into_http()
    }
}

/// The gRPC status of `error`, for methods that call an [`Authority`](gatepass::Authority)
/// themselves. The [crate's documentation](crate#refusals) lists the statuses.
///
/// ```
/// use gatepass::{Authority, Pass};
/// use tonic::Status;
///
/// async fn logout(authority: &Authority, pass: &Pass) -> Result<(), Status> {
///     if let Some(session) = pass.session_id() {
///         let ended = authority.end_session(session).await;
///         ended.map_err(|error| gatepass_tonic::status(authority.verifier(), &error))?;
///     }
///     Ok(())
/// }
/// ```
#[must_use]
pub fn status(verifier: &Verifier, error: &Error) -> Status {
    told(error, &response(verifier.error_reply(error)))
}

/// The only mapping from replies to statuses. `usual` is the reply to `error` over HTTP.
pub(crate) fn told<B>(error: &Error, usual: &Response<B>) -> Status {
    let mut headers = usual.headers().clone();
    // It describes the body, which a status doesn't have: its message and its reason say the same.
    headers.remove(CONTENT_TYPE);
    headers.insert(
        HeaderName::from_static(REASON),
        HeaderValue::from_static(error.reason()),
    );
    let metadata = MetadataMap::from_headers(headers);
    Status::with_metadata(code(usual.status()), error.description(), metadata)
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Internal,
    }
}
