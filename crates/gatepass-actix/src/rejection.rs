//! How extractors refuse.

use std::{error, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use gatepass::{Refusal, wire::Rejection};

use crate::convert::response;

/// Why an extractor did not let the handler run. Its response is complete.
#[derive(Clone, Debug)]
pub struct AuthRejection(Rejection);

impl AuthRejection {
    /// The refusal, unless it is the application's own mistake: no gate, or claims that do not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal()
    }
}

/// For extractors of the application's own.
impl From<Rejection> for AuthRejection {
    fn from(rejection: Rejection) -> Self {
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
