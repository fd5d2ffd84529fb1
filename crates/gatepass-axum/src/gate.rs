//! The gate.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, OriginalUri},
    http::request::Parts,
};
use gatepass::{
    Authority, LocalPath, Requirements, Verifier,
    wire::{RequestHead, Users},
};
use gatepass_tower::JsonErrors;
use tower_layer::Layer;

/// A layer that puts a gate before routes. It is a [`gatepass_tower::GateLayer`] that also reads
/// what axum knows about a request, for example its path before [`nest`](axum::Router::nest)
/// shortens it. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
#[must_use]
pub struct GateLayer<R = JsonErrors>(gatepass_tower::GateLayer<R>);

impl GateLayer {
    /// A gate that lets a request through if `verifier` accepts its access token. Give it a
    /// [`Verifier`], or the [`Authority`] that has one: `GateLayer::new(&authority)`.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self(gatepass_tower::GateLayer::new(verifier).reading(head))
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
    /// use gatepass_axum::{GateLayer, Requirements};
    /// # fn example(verifier: gatepass::Verifier) {
    /// let gate = GateLayer::new(verifier);
    /// let recent = gate.clone().require(Requirements::new().max_age(Duration::from_secs(300)));
    /// let optional = gate.require(Requirements::new().optional());
    /// # }
    /// ```
    pub fn require(self, requirements: Requirements) -> Self {
        Self(self.0.require(requirements))
    }

    /// Refreshes a browser's cookies. If the access cookie has expired or is missing and the
    /// refresh cookie is good, the gate serves the request, and the response sets both cookies. For
    /// example, a page without JavaScript stays logged in. The rules are documented in
    /// [`wire::Gate::auto_refresh`](gatepass::wire::Gate::auto_refresh).
    ///
    /// ```
    /// use gatepass_axum::{Authority, GateLayer};
    ///
    /// # fn example(authority: &Authority) -> Result<(), gatepass::InvalidLocalPath> {
    /// let pages = GateLayer::new(authority).auto_refresh(authority).login_page("/login".parse()?);
    /// # Ok(()) }
    /// ```
    pub fn auto_refresh(self, authority: &Authority) -> Self {
        Self(self.0.auto_refresh(authority))
    }

    /// Renews access tokens while clients use them, for clients that have no refresh token. Once
    /// half of a token's lifetime has passed, the response brings a new one, in the access cookie
    /// or in the header that
    /// [`renewed_token_header`](gatepass::AuthorityBuilder::renewed_token_header) names. The rules
    /// are documented in [`wire::Gate::auto_renew`](gatepass::wire::Gate::auto_renew).
    pub fn auto_renew(self, authority: &Authority) -> Self {
        Self(self.0.auto_renew(authority))
    }

    /// Also accepts the tokens of the old system that `authority`
    /// [adopts](gatepass::AuthorityBuilder::adopt), until the date of the move. A browser with the
    /// old system's cookie gets gatepass's cookies in the response. The rules are documented in
    /// [`wire::Gate::adopt`](gatepass::wire::Gate::adopt).
    pub fn adopt(self, authority: &Authority) -> Self {
        Self(self.0.adopt(authority))
    }

    /// Redirects a browser that asks for a page to a login page, in place of a 401. Programs still
    /// get the 401. The rules are documented in
    /// [`wire::Gate::login_page`](gatepass::wire::Gate::login_page).
    pub fn login_page(self, page: LocalPath) -> Self {
        Self(self.0.login_page(page))
    }

    /// Loads your application's own record of the user for each request that the gate lets through,
    /// for [`User<T>`](crate::User). The rules are documented in [`Users`](gatepass::wire::Users).
    pub fn users<T: Send + Sync + 'static>(self, users: &Users<T>) -> Self {
        Self(self.0.users(users))
    }

    /// Answers refused requests with the response that `respond` makes from the usual one, for
    /// example a page instead of JSON. An extractor that refuses behind the gate, for example
    /// because a scope is missing, still gives its own answer. With
    /// [`login_page`](Self::login_page), the usual response may be the redirect (303): return it
    /// unchanged.
    ///
    /// ```
    /// use axum::{body::Body, http::{Response, StatusCode}};
    /// use gatepass_axum::{Authority, GateLayer};
    ///
    /// # fn example(authority: &Authority) -> impl Sized {
    /// GateLayer::new(authority).error_response(|_: &gatepass::Error, usual: Response<Vec<u8>>| {
    ///     usual.map(|_| Body::from("Please log in."))
    /// })
    /// # }
    /// ```
    pub fn error_response<F>(self, respond: F) -> GateLayer<F> {
        GateLayer(self.0.error_response(respond))
    }
}

impl<S, R: Clone> Layer<S> for GateLayer<R> {
    type Service = gatepass_tower::Gate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

/// The parts of a request's head that the core reads. The path is the one that the client asked
/// for. The address of the connection is known if the server provides `ConnectInfo`, or
/// gatepass-tower's `PeerAddr`.
pub(crate) fn head(parts: &Parts) -> RequestHead<'_> {
    let head = gatepass_tower::head(parts);
    let head = match parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(peer)) => head.address(Some(peer.ip())),
        None => head,
    };
    match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(uri)) => head.original_target(uri.path(), uri.query()),
        None => head,
    }
}
