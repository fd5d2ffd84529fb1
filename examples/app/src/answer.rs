//! The answer to an act of the page.

use std::time::Duration;

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

    pub(crate) fn error(status: u16, reason: &str, description: &str) -> Self {
        let error = match status {
            500.. => "temporarily_unavailable",
            _ => "invalid_request",
        };
        let body = json!({"error": error, "error_description": description, "reason": reason});
        Self { status, body }
    }

    pub(crate) fn store_unavailable(error: &Error) -> Self {
        Self::error(503, error.reason(), &error.description())
    }
}

/// In whole milliseconds, as the page computes with them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
