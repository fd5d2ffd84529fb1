//! The layer.

use gatepass::{Requirements, Verifier, wire};
use tower_layer::Layer;

use crate::{error_response::JsonErrors, service::Gate};

/// Puts a [`Gate`] before a service. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
#[must_use]
pub struct GateLayer<R = JsonErrors> {
    gate: wire::Gate,
    errors: R,
}

impl GateLayer {
    /// A gate that lets through the requests whose access token `verifier` accepts. Give it the
    /// [`Verifier`], or the [`Authority`](gatepass::Authority) that has one:
    /// `GateLayer::new(&authority)`.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self {
            gate: wire::Gate::new(verifier),
            errors: JsonErrors,
        }
    }
}

impl<R> GateLayer<R> {
    /// Requires more of each request than a good access token: scopes, a recent authentication,
    /// fresher revocation data. The requirements of several calls add up: after `optional`, a call
    /// that requires more lets strangers through no longer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use gatepass::Requirements;
    /// # fn example(verifier: gatepass::Verifier) {
    /// let gate = gatepass_tower::GateLayer::new(verifier);
    /// let recent = gate.clone().require(Requirements::new().max_age(Duration::from_secs(300)));
    /// let optional = gate.require(Requirements::new().optional());
    /// # }
    /// ```
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.gate = self.gate.require(requirements);
        self
    }

    /// Answers refused requests with what `respond` makes of the usual response: a page instead of
    /// JSON, say, or a body type that is not made of bytes. Extractors that refuse behind a gate,
    /// for a scope that is missing, answer by themselves.
    ///
    /// ```
    /// use axum::body::Body;
    /// use http::{Response, header::{CONTENT_TYPE, HeaderValue}};
    ///
    /// # fn example(verifier: gatepass::Verifier) -> impl Sized {
    /// gatepass_tower::GateLayer::new(verifier).error_response(|_: &gatepass::Error, usual: Response<Vec<u8>>| {
    ///     let mut page = usual.map(|_| Body::from("<h1>Please log in</h1>"));
    ///     page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    ///     page
    /// })
    /// # }
    /// ```
    pub fn error_response<F>(self, respond: F) -> GateLayer<F> {
        GateLayer {
            gate: self.gate,
            errors: respond,
        }
    }
}

impl<S, R: Clone> Layer<S> for GateLayer<R> {
    type Service = Gate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, self.gate.clone(), self.errors.clone())
    }
}
