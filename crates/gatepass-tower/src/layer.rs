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
    /// A gate that lets a request through if `verifier` accepts its access token. Give it a
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
    /// Requires more of each request than a valid access token: for example scopes, a recent
    /// authentication, or fresher revocation data. The requirements of several calls add up. For
    /// example, a gate that is `optional` and then requires a scope no longer lets strangers
    /// through.
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

    /// Renews access tokens while clients use them, for clients that have no refresh token. Once
    /// half of a token's lifetime has passed, the response brings a new one, in the access cookie
    /// or in the header that
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

    /// Redirects a browser that asks for a page to a login page, in place of a 401. Programs still
    /// get the 401. The rules are documented in
    /// [`wire::Gate::login_page`](gatepass::wire::Gate::login_page).
    pub fn login_page(mut self, page: LocalPath) -> Self {
        self.gate = self.gate.login_page(page);
        self
    }

    /// Loads your application's own record of the user for each request that the gate lets through,
    /// for extractors of adapters. The rules are documented in [`Users`](gatepass::wire::Users).
    pub fn users<T: Send + Sync + 'static>(mut self, users: &Users<T>) -> Self {
        self.gate = self.gate.users(users);
        self
    }

    /// Answers refused requests with the response that `respond` makes from the usual one, for
    /// example a page instead of JSON, or a body type that is not made of bytes. An extractor that
    /// refuses behind the gate, for example because a scope is missing, still gives its own answer.
    /// With [`login_page`](Self::login_page), the usual response may be the redirect (303): return
    /// it unchanged.
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

    /// Reads the head of each request with `reads` in place of [`head`]. This is for adapters of
    /// frameworks that know more about a request, for example the client's address, or the path
    /// before the router shortens it.
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
