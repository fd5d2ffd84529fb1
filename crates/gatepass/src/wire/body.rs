//! Bodies of requests to the endpoints.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    http::{
        head::{HeaderField, RequestHead},
        problem::Problem,
        reply::Reply,
    },
    model::json::strict_object,
};

/// A request's body, or the reason why the adapter did not read it.
#[derive(Clone, Copy)]
#[expect(
    clippy::exhaustive_enums,
    reason = "adapters make it, and each case is answered differently"
)]
pub enum RequestBody<'a> {
    /// The whole body.
    Complete(&'a [u8]),
    /// The body is longer than [`Endpoints::BODY_LIMIT`](super::Endpoints::BODY_LIMIT).
    TooLarge,
    /// The body did not arrive within [`Endpoints::BODY_TIMEOUT`](super::Endpoints::BODY_TIMEOUT).
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

/// A request that gatepass cannot understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRequest {
    TooLarge,
    Stalled,
    NotJson,
    NotAForm,
    MediaType(&'static str),
    Member(&'static str),
    Parameter(&'static str),
    UnknownPlace(&'static str),
    UnknownWait,
    NoWait,
    RepeatedParameter,
}

impl BadRequest {
    /// The stable name of the fault.
    pub(super) fn reason(self) -> &'static str {
        self.told().2
    }

    /// The status, the description and the reason.
    fn told(self) -> (u16, String, &'static str) {
        match self {
            BadRequest::TooLarge => (413, "the body is too large".to_owned(), "body_too_large"),
            BadRequest::Stalled => (
                408,
                "the body did not arrive in time".to_owned(),
                "body_stalled",
            ),
            BadRequest::NotJson => (
                400,
                "the body is not one JSON object".to_owned(),
                "body_unparseable",
            ),
            BadRequest::NotAForm => (
                400,
                "the body is not a form in UTF-8".to_owned(),
                "body_unparseable",
            ),
            BadRequest::MediaType(expected) => (
                415,
                format!("the body must be {expected}"),
                "unsupported_media_type",
            ),
            BadRequest::Member(name) => (
                400,
                format!("the member {name} is missing or not a string"),
                "missing_parameter",
            ),
            BadRequest::Parameter(name) => (
                400,
                format!("the parameter {name} is missing"),
                "missing_parameter",
            ),
            BadRequest::UnknownPlace(name) => (
                400,
                format!("the parameter {name} is not a value that this service has sent"),
                "bad_parameter",
            ),
            BadRequest::UnknownWait => (
                400,
                "the only value of the parameter wait is enforced".to_owned(),
                "bad_parameter",
            ),
            BadRequest::NoWait => (
                400,
                "this service does not let clients wait".to_owned(),
                "bad_parameter",
            ),
            BadRequest::RepeatedParameter => (
                400,
                "a parameter is there more than once".to_owned(),
                "repeated_parameter",
            ),
        }
    }
}

impl From<BadRequest> for Reply {
    fn from(bad: BadRequest) -> Self {
        let (status, description, reason) = bad.told();
        Self::of_problem(status, Problem::new("invalid_request", description, reason))
    }
}

impl<'a> RequestBody<'a> {
    /// Whether the body is empty.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Complete([]))
    }

    /// The body as a JSON object.
    pub(super) fn json_object(self, head: &RequestHead<'_>) -> Result<Members, BadRequest> {
        // JSON between systems is UTF-8, even if a parameter says otherwise (RFC 8259 §8.1).
        let bytes = self.of_type("application/json", head, BadRequest::NotJson)?;
        strict_object(bytes).map(Members).ok_or(BadRequest::NotJson)
    }

    /// The body as a form (RFC 6749 appendix B).
    pub(super) fn form(self, head: &RequestHead<'_>) -> Result<Form, BadRequest> {
        let media_type = "application/x-www-form-urlencoded";
        Form::parse(self.of_type(media_type, head, BadRequest::NotAForm)?)
    }

    fn of_type(
        self,
        media_type: &'static str,
        head: &RequestHead<'_>,
        broken: BadRequest,
    ) -> Result<&'a [u8], BadRequest> {
        match self {
            Self::Complete(bytes) if is_of_type(head.field("content-type"), media_type) => {
                Ok(bytes)
            }
            Self::Complete(_) => Err(BadRequest::MediaType(media_type)),
            Self::TooLarge => Err(BadRequest::TooLarge),
            Self::Stalled => Err(BadRequest::Stalled),
            Self::Broken => Err(broken),
        }
    }
}

/// Whether `content_type` is `media_type`, with any parameters.
pub(super) fn is_of_type(content_type: HeaderField<'_>, media_type: &str) -> bool {
    let HeaderField::Once(value) = content_type else {
        return false;
    };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(media_type.as_bytes())
}

/// The parameters of a form. Each is there once and has a value.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadRequest> {
        let text = str::from_utf8(bytes).map_err(|_| BadRequest::NotAForm)?;
        let mut parameters = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = url_decoded(name).ok_or(BadRequest::NotAForm)?;
            let value = url_decoded(value).ok_or(BadRequest::NotAForm)?;
            if parameters.insert(name, value).is_some() {
                return Err(BadRequest::RepeatedParameter);
            }
        }
        // A parameter without a value counts as missing (RFC 6749 §3.2).
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// The parameter `name`, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The parameter `name`, which must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, BadRequest> {
        self.get(name).ok_or(BadRequest::Parameter(name))
    }

    /// All parameters except `known`, as members of a JSON object.
    pub(super) fn others(&self, known: &[&str]) -> Map<String, Value> {
        let others = self.0.iter();
        others
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect()
    }
}

/// Decodes form-encoded `text`: `%2D` is `-`, and `+` is a space. `None` if the result is not
/// UTF-8.
pub(super) fn url_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    Some(decoded.ok()?.into_owned())
}

/// The members of a JSON object.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Removes and returns the string `name`.
    pub(super) fn take_text(&mut self, name: &'static str) -> Result<String, BadRequest> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(BadRequest::Member(name)),
        }
    }

    /// Removes and returns the string `name`, if it is there.
    pub(super) fn take_optional_text(
        &mut self,
        name: &'static str,
    ) -> Result<Option<String>, BadRequest> {
        if self.0.contains_key(name) {
            self.take_text(name).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The members that are left.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &[u8]) -> Result<Vec<(String, String)>, BadRequest> {
        Form::parse(text).map(|form| form.0.into_iter().collect())
    }

    #[test]
    fn each_reason_is_in_the_table_of_texts() {
        for bad in [
            BadRequest::TooLarge,
            BadRequest::Stalled,
            BadRequest::NotJson,
            BadRequest::NotAForm,
            BadRequest::MediaType("application/json"),
            BadRequest::Member("username"),
            BadRequest::Parameter("token"),
            BadRequest::UnknownPlace("after"),
            BadRequest::UnknownWait,
            BadRequest::NoWait,
            BadRequest::RepeatedParameter,
        ] {
            let listed = Problem::REASONS.iter();
            let listed = listed.filter(|(reason, _)| *reason == bad.reason());
            assert_eq!(listed.count(), 1, "{bad:?}");
        }
    }

    #[test]
    fn a_form_is_decoded() {
        let pairs = |of: &[(&str, &str)]| {
            Ok(of
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect())
        };
        assert_eq!(
            form(b"a=b+c%2Dd&e=%C3%A4%26"),
            pairs(&[("a", "b c-d"), ("e", "ä&")])
        );
        assert_eq!(form(b"&a=&b&=c&"), pairs(&[("", "c")]));
        assert_eq!(form(b"a=b=c%zz"), pairs(&[("a", "b=c%zz")]));
        assert_eq!(form(b""), pairs(&[]));
    }

    #[test]
    fn a_parameter_twice_or_not_in_utf_8_is_refused() {
        for text in [&b"a=1&a=1"[..], b"a=1&%61=2", b"a=&a=1", b"x=1&y&y="] {
            assert_eq!(form(text), Err(BadRequest::RepeatedParameter), "{text:?}");
        }
        for text in [&b"a=%ff"[..], b"\xff=a", b"%C3=a"] {
            assert_eq!(form(text), Err(BadRequest::NotAForm), "{text:?}");
        }
    }
}
