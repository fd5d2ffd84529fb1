//! An HTTP response as plain data.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    http::{head::HeaderField, problem::Problem},
    model::transport::is_token,
    observe,
};

/// How long clients may cache the public documents, in seconds. If a key is announced for longer
/// than this, every verifier knows it before it signs its first token.
const DOCUMENT_MAX_AGE: u32 = 300;

/// A response: status, headers, body. Header values are visible ASCII by construction.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    problem: Option<Box<Problem>>,
}

/// Shows neither the body nor cookies, since they may hold tokens.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.headers().map(|(name, value)| match name {
            "set-cookie" => (name, "[redacted]"),
            _ => (name, value),
        });
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &Vec::from_iter(shown))
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish()
    }
}

impl Reply {
    /// A reply without a body, which no cache may store.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: vec![("cache-control", "no-store".to_owned())],
            body: Vec::new(),
            problem: None,
        }
    }

    /// A reply with a JSON body, which no cache may store.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let mut reply = Self::empty(status).header("content-type", "application/json");
        reply.body = body.to_string().into_bytes();
        reply
    }

    /// A public document, which caches may keep for [`DOCUMENT_MAX_AGE`] and pages of all origins
    /// may read. The reply is 304 if `If-None-Match` shows that the client has the document (RFC
    /// 9111, RFC 9110 §13.1.2). A reply with 304 still holds the body, because the answer to a
    /// `HEAD` may state its length.
    pub(crate) fn document(json: String, if_none_match: HeaderField<'_>) -> Self {
        let hash = Sha256::digest(&json);
        let tag = format!(r#""{}""#, URL_SAFE_NO_PAD.encode(hash));
        let known = matches!(if_none_match, HeaderField::Once(tags) if has_tag(tags, &tag));
        let mut reply = Self {
            status: if known { 304 } else { 200 },
            headers: vec![
                ("access-control-allow-origin", "*".to_owned()),
                (
                    "cache-control",
                    format!("public, max-age={DOCUMENT_MAX_AGE}"),
                ),
            ],
            body: json.into_bytes(),
            problem: None,
        };
        if !known {
            reply = reply.header("content-type", "application/json");
        }
        reply.header("etag", tag)
    }

    /// A redirect to another page. It is 303, so that a browser follows a posted form with a `GET`
    /// (RFC 9110 §15.4.4).
    pub(crate) fn see_other(to: &str) -> Self {
        Self::empty(303).header("location", to)
    }

    /// A reply that reports a problem.
    pub(crate) fn of_problem(status: u16, problem: Problem) -> Self {
        let body = json!({
            "error": problem.error(),
            "error_description": problem.description(),
            "reason": problem.reason(),
        });
        let mut reply = Self::json(status, &body);
        reply.problem = Some(Box::new(problem));
        reply
    }

    /// A reply that reports a problem.
    pub(crate) fn error(
        status: u16,
        error: &'static str,
        description: &'static str,
        reason: &'static str,
    ) -> Self {
        Self::of_problem(status, Problem::new(error, description, reason))
    }

    /// The problem that this reply reports. `None` if it reports none, or if the application has
    /// written the reply.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_deref()
    }

    pub(crate) fn take_problem(&mut self) -> Option<Problem> {
        self.problem.take().map(|problem| *problem)
    }

    /// The same reply with another status.
    ///
    /// [`VerifierBuilder::error_response`](crate::VerifierBuilder::error_response) has an example.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same reply with this JSON as its body.
    #[must_use]
    pub fn with_json(self, body: &Value) -> Self {
        self.with_body("application/json", body.to_string())
    }

    /// The same reply with this body, such as a page with the media type `text/html;
    /// charset=utf-8`.
    #[must_use]
    pub fn with_body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut reply = self.with_header("content-type", media_type);
        reply.body = body.into();
        reply
    }

    /// The same reply with this header field, in place of all fields of the same name.
    ///
    /// Write the name in lower case. A name that isn't a token (RFC 9110 §5.6.2) in lower case adds
    /// no field. gatepass leaves out characters of the value that aren't visible ASCII.
    #[must_use]
    pub fn with_header(self, name: &'static str, value: &str) -> Self {
        let reply = self.without_header(name);
        if is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            reply.header(name, value)
        } else {
            reply
        }
    }

    /// The same reply without the header fields of this name, in lower case.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| *own != name);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let mut value = value.into();
        // Values consist of fixed text, numbers, checked realms and scopes. If one ever has other
        // characters, the framework must not fail on it.
        value.retain(|c| matches!(c, ' '..='~'));
        self.headers.push((name, value));
        self
    }

    /// The reply as the server sends it to a request by `method`. The answer to a `HEAD` has no
    /// body, but states its length (RFC 9110 §9.3.2).
    ///
    /// An adapter calls this for its replies to guarded requests, if its framework doesn't leave
    /// bodies out by itself. For example, hyper doesn't in HTTP/2, and clients take such an answer
    /// for a broken one (RFC 9113 §8.1.1). [`Endpoints::handle`](crate::wire::Endpoints::handle)
    /// has already called it.
    #[must_use]
    pub fn for_method(self, method: &str) -> Self {
        match method {
            "HEAD" => self.without_body(),
            _ => self.without_forbidden_body(),
        }
    }

    /// The same reply without the body, for a `HEAD`. Its `Content-Length` is the length of the
    /// body that a `GET` would get (RFC 9110 §8.6).
    fn without_body(mut self) -> Self {
        let length = std::mem::take(&mut self.body).len();
        match self.status {
            // A 204 must not have a length, and a 304 without a body has none to tell.
            204 | 304 if length == 0 => self,
            _ => self.header("content-length", length.to_string()),
        }
    }

    /// The same reply, without the body if its status forbids one.
    fn without_forbidden_body(mut self) -> Self {
        if self.status == 304 {
            self.body.clear();
        }
        self
    }

    /// The reply of an adapter if the application has read the body of a request before the
    /// endpoint could: 500, since the body can't be read twice.
    #[must_use]
    pub fn taken_body() -> Self {
        observe::body_taken();
        Self::internal()
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "not_found", "there is nothing here", "not_found")
    }

    /// A reply that names the allowed methods (RFC 9110 §15.5.6).
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let description = "this method is not allowed here";
        Self::error(405, "invalid_request", description, "method_not_allowed")
            .header("allow", allowed)
    }

    pub(crate) fn internal() -> Self {
        Self::error(500, "server_error", "the server failed", "internal")
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, without copying it.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// Whether a list of entity tags has `tag`, compared weakly, or is `*`.
fn has_tag(list: &[u8], tag: &str) -> bool {
    list.split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        let one = one.strip_prefix(b"W/").unwrap_or(one);
        one == tag.as_bytes() || one == b"*"
    })
}
