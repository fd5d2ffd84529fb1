//! The answer of an extractor that refuses.

use std::{error, fmt};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use gatepass::{Refusal, wire};
use gatepass_tower::response;

/// Why an extractor did not let the handler run. Its response is complete.
#[derive(Clone, Debug)]
pub struct AuthRejection(wire::AuthRejection);

impl AuthRejection {
    /// The refusal, or `None` if the application made a mistake: it forgot the gate, or the claims
    /// don't fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal()
    }
}

/// For extractors of the application's own.
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

impl IntoResponse for AuthRejection {
    fn into_response(self) -> Response {
        response(self.0.into_reply()).map(Body::from)
    }
}
