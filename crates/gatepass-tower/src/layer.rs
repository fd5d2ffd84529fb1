//! The layer.

use gatepass::{
    Authority, LocalPath, Requirements, Verifier,
    wire::{self, Users},
};
use tower_layer::Layer;

use crate::{
    convert::{ReadsHead, head},
    error_response::JsonErrors,
    service::Gate,
};

/// Puts a [`Gate`] before a service. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
#[must_use]
pub struct GateLayer<R = JsonErrors> {
    gate: wire::Gate,
    errors: R,
    reads: ReadsHead,
}

impl GateLayer {
    /// A gate that lets through the requests whose access token `verifier` accepts. Give it the
    /// [`Verifier`], or the [`Authority`](gatepass::Authority) that has one:
    /// `GateLayer::new(&authority)`.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self {
            gate: wire::Gate::new(verifier),
            errors: JsonErrors,
            reads: head,
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

    /// Refreshes a browser's cookies. If the access cookie has expired or is missing and the
    /// refresh cookie is good, the gate serves the request, and the response sets both cookies. For
    /// example, a page without JavaScript stays logged in. The rules are documented in
    /// [`wire::Gate::auto_refresh`](gatepass::wire::Gate::auto_refresh).
    ///
    /// ```
    /// # fn example(authority: &gatepass::Authority) -> Result<(), gatepass::InvalidLocalPath> {
    /// let pages = gatepass_tower::GateLayer::new(authority)
    ///     .auto_refresh(authority)
    ///     .login_page("/login".parse()?);
    /// # Ok(()) }
    /// ```
    pub fn auto_refresh(mut self, authority: &Authority) -> Self {
        self.gate = self.gate.auto_refresh(authority);
        self
    }

    /// Renews access tokens while their clients use them, for clients that keep one token and no
    /// refresh token. If a token has half of its life behind it, the response brings a fresh one,
    /// in the access cookie or in the header that
    /// [`renewed_token_header`](gatepass::AuthorityBuilder::renewed_token_header) names. The rules
    /// are documented in [`wire::Gate::auto_renew`](gatepass::wire::Gate::auto_renew).
    pub fn auto_renew(mut self, authority: &Authority) -> Self {
        self.gate = self.gate.auto_renew(authority);
        self
    }

    /// Also accepts the tokens of the old system that `authority`
    /// [adopts](gatepass::AuthorityBuilder::adopt), until the date of the move. A browser with the
    /// old system's cookie gets gatepass's cookies in the response. The rules are documented in
    /// [`wire::Gate::adopt`](gatepass::wire::Gate::adopt).
    pub fn adopt(mut self, authority: &Authority) -> Self {
        self.gate = self.gate.adopt(authority);
        self
    }

    /// Sends browsers to a login page in place of a 401, if they ask for a page to show. Programs
    /// still get the 401. See [`wire::Gate::login_page`](gatepass::wire::Gate::login_page) for the
    /// rules.
    pub fn login_page(mut self, page: LocalPath) -> Self {
        self.gate = self.gate.login_page(page);
        self
    }

    /// Loads the application's own record of the user of each request that the gate lets through,
    /// for extractors of adapters. [`Users`](gatepass::wire::Users) has the rules.
    pub fn users<T: Send + Sync + 'static>(mut self, users: &Users<T>) -> Self {
        self.gate = self.gate.users(users);
        self
    }

    /// Answers refused requests with what `respond` makes of the usual response: a page instead of
    /// JSON, say, or a body type that is not made of bytes. Extractors that refuse behind a gate,
    /// for a scope that is missing, answer by themselves. With [`login_page`](Self::login_page),
    /// the usual response may be the redirect (303): return it as it is.
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
            reads: self.reads,
        }
    }

    /// Reads the head of each request by this function in place of [`head`]. For adapters of
    /// frameworks that know more of a request: the address of the client, or the path before the
    /// router has cut it.
    pub fn reading(mut self, reads: ReadsHead) -> Self {
        self.reads = reads;
        self
    }
}

impl<S, R: Clone> Layer<S> for GateLayer<R> {
    type Service = Gate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, self.gate.clone(), self.errors.clone(), self.reads)
    }
}
