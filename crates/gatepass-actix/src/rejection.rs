//! How extractors refuse.

use std::{error, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use gatepass::{
    Refusal,
    wire::{Admission, Reply},
};

use crate::convert::response;

/// Why an extractor did not let the handler run. Its response is complete.
#[derive(Clone, Debug)]
pub struct AuthRejection {
    reply: Reply,
    refusal: Option<Refusal>,
}

impl AuthRejection {
    /// The refusal, unless it is the application's own mistake: no gate, or claims that do not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
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

impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            Some(refusal) => refusal.fmt(f),
            None => f.write_str("the application cannot tell who is logged in"),
        }
    }
}

impl error::Error for AuthRejection {}

impl ResponseError for AuthRejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        response(self.reply.clone())
    }
}
