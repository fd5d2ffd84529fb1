//! Answers of the example's routes.

use std::time::Duration;

use gatepass::Error;
use serde_json::{Value, json};

/// The answer to an action, for any framework.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The seconds in `Retry-After`, if the client may try again.
    pub retry_after: Option<u64>,
    /// The body, without any token. `null` means no body.
    pub body: Value,
}

/// How soon a client may try again after an error of the server. gatepass's own answers have the
/// same time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            retry_after: None,
            body,
        }
    }

    pub(crate) fn no_content() -> Self {
        Self {
            status: 204,
            retry_after: None,
            body: Value::Null,
        }
    }

    pub(crate) fn error(status: u16, reason: &str, description: &str) -> Self {
        let error = match status {
            429 => "slow_down",
            500.. => "temporarily_unavailable",
            _ => "invalid_request",
        };
        let body = json!({"error": error, "error_description": description, "reason": reason});
        Self {
            status,
            retry_after: None,
            body,
        }
    }

    pub(crate) fn store_unavailable(error: &Error) -> Self {
        Self::error(503, error.reason(), &error.description()).retry_after(RETRY_AFTER)
    }

    /// Rounded up, so that no client comes back too early.
    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        let begun = u64::from(time.subsec_nanos() > 0);
        self.retry_after = Some(time.as_secs().saturating_add(begun));
        self
    }
}

/// In whole milliseconds, because the page calculates with them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
