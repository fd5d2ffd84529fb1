//! The layer.

use std::{sync::Arc, time::Duration};

use gatepass::{Demand, Scopes, Staleness, Verifier};
use tower_layer::Layer;

use crate::{refuse::JsonRefusal, service::Gate};

/// Puts a [`Gate`] before a service. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
#[must_use]
pub struct GateLayer<R = JsonRefusal> {
    verifier: Verifier,
    demand: Arc<Demand>,
    refusal: R,
}

impl GateLayer {
    /// Lets through what `verifier` verifies.
    pub fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            demand: Arc::default(),
            refusal: JsonRefusal,
        }
    }
}

impl<R> GateLayer<R> {
    /// Lets a request without credentials through, too. One with a bad token is still refused.
    pub fn optional(self) -> Self {
        self.demand(Demand::optional)
    }

    /// Demands all of these scopes. A token without them is refused with 403 (RFC 6750 §3.1).
    pub fn scopes(self, scopes: Scopes) -> Self {
        self.demand(|demand| demand.scopes(scopes))
    }

    /// Demands an authentication at most this long ago (RFC 9470).
    pub fn max_age(self, max_age: Duration) -> Self {
        self.demand(|demand| demand.max_age(max_age))
    }

    /// Demands knowledge of revocations that is this fresh.
    pub fn staleness(self, staleness: Staleness) -> Self {
        self.demand(|demand| demand.staleness(staleness))
    }

    /// Answers refused requests with what `refusal` makes of the usual response: a page instead of
    /// JSON, say, or a body type that is not made of bytes. Extractors that refuse behind a gate, for a
    /// scope that is missing, answer by themselves.
    ///
    /// ```
    /// use axum::body::Body;
    /// use http::{Response, header::{CONTENT_TYPE, HeaderValue}};
    ///
    /// # fn example(verifier: gatepass::Verifier) -> impl Sized {
    /// gatepass_tower::GateLayer::new(verifier).refusal(|_: &gatepass::Error, usual: Response<Vec<u8>>| {
    ///     let mut page = usual.map(|_| Body::from("<h1>Please log in</h1>"));
    ///     page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    ///     page
    /// })
    /// # }
    /// ```
    pub fn refusal<F>(self, refusal: F) -> GateLayer<F> {
        GateLayer {
            verifier: self.verifier,
            demand: self.demand,
            refusal,
        }
    }

    fn demand(mut self, change: impl FnOnce(Demand) -> Demand) -> Self {
        self.demand = Arc::new(change(Demand::clone(&self.demand)));
        self
    }
}

impl<S, R: Clone> Layer<S> for GateLayer<R> {
    type Service = Gate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(
            inner,
            self.verifier.clone(),
            Arc::clone(&self.demand),
            self.refusal.clone(),
        )
    }
}
