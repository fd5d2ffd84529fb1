//! Bodies of requests to the endpoints.

use serde_json::{Map, Value};

use super::{Field, Reply, RequestHead};
use crate::codec;

/// A request's body as far as the adapter could, or would, read it.
#[derive(Clone, Copy)]
#[expect(
    clippy::exhaustive_enums,
    reason = "adapters make it, and each case is answered differently"
)]
pub enum RequestBody<'a> {
    /// All of it.
    Complete(&'a [u8]),
    /// It is longer than [`Endpoints::BODY_LIMIT`](super::Endpoints::BODY_LIMIT).
    TooLarge,
    /// It did not arrive within [`Endpoints::BODY_TIMEOUT`](super::Endpoints::BODY_TIMEOUT).
    Stalled,
    /// The connection or its framing broke.
    Broken,
}

impl std::fmt::Debug for RequestBody<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Complete(bytes) => write!(f, "Complete([{} bytes])", bytes.len()),
            Self::TooLarge => f.write_str("TooLarge"),
            Self::Stalled => f.write_str("Stalled"),
            Self::Broken => f.write_str("Broken"),
        }
    }
}

/// A request that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRequest {
    TooLarge,
    Stalled,
    Unparseable,
    MediaType,
    Parameter(&'static str),
}

impl From<BadRequest> for Reply {
    fn from(bad: BadRequest) -> Self {
        let (status, description, reason) = match bad {
            BadRequest::TooLarge => (413, "the body is too large".to_owned(), "body_too_large"),
            BadRequest::Stalled => (
                408,
                "the body did not arrive in time".to_owned(),
                "body_stalled",
            ),
            BadRequest::Unparseable => (
                400,
                "the body is not one JSON object".to_owned(),
                "body_unparseable",
            ),
            BadRequest::MediaType => (
                415,
                "the body must be application/json".to_owned(),
                "unsupported_media_type",
            ),
            BadRequest::Parameter(name) => (
                400,
                format!("the member {name} is missing or not a string"),
                "missing_parameter",
            ),
        };
        Self::error(status, "invalid_request", &description, reason)
    }
}

impl<'a> RequestBody<'a> {
    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Complete([]))
    }

    /// The JSON object that it is.
    pub(super) fn json_object(self, head: &RequestHead<'_>) -> Result<Members, BadRequest> {
        let bytes = match self {
            Self::Complete(bytes) => bytes,
            Self::TooLarge => return Err(BadRequest::TooLarge),
            Self::Stalled => return Err(BadRequest::Stalled),
            Self::Broken => return Err(BadRequest::Unparseable),
        };
        if !is_json(head.content_type) {
            return Err(BadRequest::MediaType);
        }
        codec::strict_object(bytes)
            .map(Members)
            .ok_or(BadRequest::Unparseable)
    }
}

/// `application/json`, whatever its parameters: JSON between systems is UTF-8 (RFC 8259 §8.1).
fn is_json(content_type: Field<'_>) -> bool {
    let Field::Once(value) = content_type else {
        return false;
    };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
}

/// The members of a JSON object.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Takes the string `name` out.
    pub(super) fn take_text(&mut self, name: &'static str) -> Result<String, BadRequest> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(BadRequest::Parameter(name)),
        }
    }

    /// What is left.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0
    }
}
