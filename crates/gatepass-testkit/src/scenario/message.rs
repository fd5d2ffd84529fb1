//! Requests and responses as plain data.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// A request as plain data. In header values and the body, `{name}` is a placeholder for the value
/// that the scenario kept as `name`.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "drivers take it apart")]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The header fields, in order.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response as plain data.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "drivers build it")]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A `POST`.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A `DELETE`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// A request of any method.
    pub fn method(method: &'static str, path: impl Into<String>) -> Self {
        Self::new(method, path)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Authorizes with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sends a form.
    #[must_use]
    pub fn form(self, parameters: &[(&str, &str)]) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            body.append_pair(name, value);
        }
        // `run` fills kept values in later, and finds a placeholder by its braces.
        let body = body.finish().replace("%7B", "{").replace("%7D", "}");
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Authenticates an OAuth client by HTTP Basic (RFC 6749 §2.3.1).
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Self {
        let encoded =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let pair = format!("{}:{}", encoded(id), encoded(secret));
        self.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Sends cookies, as a browser does: `name=value; name=value`.
    #[must_use]
    pub fn cookies(self, cookies: &str) -> Self {
        self.header("cookie", cookies)
    }

    /// Sends a body without a declared type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}
