//! The answer to an act of the page.

use gatepass::Error;
use serde_json::{Value, json};

/// The answer to an action, for any framework.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, without any token.
    pub body: Value,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub(crate) fn refused(status: u16, reason: &str, description: &str) -> Self {
        let error = "invalid_request";
        let body = json!({"error": error, "error_description": description, "reason": reason});
        Self { status, body }
    }

    pub(crate) fn store_unavailable(error: &Error) -> Self {
        Self::refused(503, error.reason(), &error.description())
    }
}
