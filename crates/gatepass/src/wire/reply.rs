//! An HTTP response as plain data.

use serde_json::{Value, json};

/// A response: status, headers, body. Header values are visible ASCII by construction.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// Not shown by `Debug`, since it may hold tokens.
    body: Body,
}

#[derive(Clone, Default)]
struct Body(Vec<u8>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl Reply {
    /// A reply without a body, and nothing that may be kept of it.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: vec![("cache-control", "no-store".to_owned())],
            body: Body::default(),
        }
    }

    /// A reply with a JSON body, and nothing that may be kept of it.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let mut reply = Self::empty(status).header("content-type", "application/json");
        reply.body = Body(body.to_string().into_bytes());
        reply
    }

    /// A reply that says what is wrong.
    pub(super) fn error(status: u16, error: &str, description: &str, reason: &str) -> Self {
        let body = json!({ "error": error, "error_description": description, "reason": reason });
        Self::json(status, &body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let mut value = value.into();
        // Values are made of fixed text, numbers, checked realms and scopes. Should that ever fail
        // to hold, a framework must not be able to choke on it.
        value.retain(|c| matches!(c, ' '..='~'));
        self.headers.push((name, value));
        self
    }

    /// The same head without the body, as `HEAD` wants it.
    pub(super) fn without_body(mut self) -> Self {
        self.body = Body::default();
        self
    }

    /// What an extractor answers that finds no guard before it: 500, never the handler. The log
    /// names the mistake, the client learns nothing of it.
    #[must_use]
    pub fn missing_guard(guard: &'static str) -> Self {
        tracing::error!(
            target: "gatepass", guard,
            "guard.missing: a handler asks who is logged in, but no gatepass guard is in front of it"
        );
        Self::internal()
    }

    /// What an extractor answers where a pass's custom claims do not fit the type that the handler
    /// wants: 500, since the application wrote both.
    #[must_use]
    pub fn unfit_claims(error: &serde_json::Error) -> Self {
        // The category and the place, and not the text, which may quote a claim.
        tracing::error!(
            target: "gatepass", category = ?error.classify(),
            "claims.unfit: the custom claims of a token do not fit the type that a handler wants"
        );
        Self::internal()
    }

    pub(super) fn internal() -> Self {
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
        &self.body.0
    }

    /// The body, without copying it.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body.0
    }
}
