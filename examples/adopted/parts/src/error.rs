//! The service's own errors, in the same format as gatepass's.

use gatepass::StoreError;
use gatepass_warp::AuthRejection;
use serde_json::json;
use warp::{
    Rejection, Reply,
    filters::body::BodyDeserializeError,
    http::StatusCode,
    reject::{MethodNotAllowed, PayloadTooLarge},
    reply::{self, Response},
};

/// An answer with the reason why a request failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Own {
        status: StatusCode,
        error: &'static str,
        description: &'static str,
    },
    /// gatepass refused the request. Its response is complete.
    Rejected(AuthRejection),
}

impl Failed {
    pub(crate) const fn new(
        status: StatusCode,
        error: &'static str,
        description: &'static str,
    ) -> Self {
        Self::Own {
            status,
            error,
            description,
        }
    }

    pub(crate) const fn bad_request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(crate) const fn not_found() -> Self {
        let description = "there is nothing here";
        Self::new(StatusCode::NOT_FOUND, "not_found", description)
    }
}

impl From<AuthRejection> for Failed {
    fn from(rejection: AuthRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the database failed"
        );
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "temporarily_unavailable", "try again")
    }
}

impl Reply for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Own {
                status,
                error,
                description,
            } => {
                let body = json!({ "error": error, "error_description": description });
                reply::with_status(reply::json(&body), status).into_response()
            }
            Self::Rejected(rejection) => rejection.into_response(),
        }
    }
}

/// The answer to a request that no route handles.
pub(crate) fn of_rejection(rejection: &Rejection) -> Failed {
    if rejection.is_not_found() {
        Failed::not_found()
    } else if rejection.find::<BodyDeserializeError>().is_some() {
        // Before the methods, because warp also reports the other routes of this path that it
        // tried.
        Failed::bad_request("the body is not the JSON that this route takes")
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Failed::new(status, "method_not_allowed", "use another method")
    } else if rejection.find::<PayloadTooLarge>().is_some() {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Failed::new(status, "too_large", "the body is too large")
    } else {
        Failed::bad_request("the request can't be read")
    }
}
