//! The error of an extractor, as a response.

use std::{error, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use gatepass::{Refusal, wire};

use crate::convert::response;

/// The error of an extractor or of a call to the endpoints. As a response, it is complete.
#[derive(Clone, Debug)]
pub struct AuthRejection(wire::AuthRejection);

impl AuthRejection {
    /// The refusal, or `None` for a failure: for example, the store didn't answer, the route has no
    /// gate, or the claims don't fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal()
    }
}

/// For extractors of your own.
impl From<wire::AuthRejection> for AuthRejection {
    fn from(rejection: wire::AuthRejection) -> Self {
        Self(rejection)
    }
}

impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for AuthRejection {}

impl ResponseError for AuthRejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        response(self.0.reply().clone())
    }
}
