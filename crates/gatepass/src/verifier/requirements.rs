//! What a route demands of a request.

use std::time::Duration;

use crate::{denylist::staleness::Staleness, model::scopes::Scopes};

/// What a route demands of a request beyond a valid access token.
///
/// ```
/// use std::time::Duration;
/// use gatepass::{Demand, Scopes, Staleness};
///
/// let transfer = Demand::new()
///     .scopes(Scopes::parse("payments")?)
///     .max_age(Duration::from_secs(300))
///     .staleness(Staleness::Strict);
/// # Ok::<(), gatepass::InvalidScope>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Demand {
    pub(super) scopes: Scopes,
    pub(super) max_age: Option<Duration>,
    pub(super) staleness: Staleness,
    optional: bool,
}

impl Demand {
    /// A valid access token, and nothing more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All of these scopes (RFC 6750 §3.1).
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// An authentication at most this long ago (RFC 9470). A refresh does not make it younger, a new
    /// login does.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Knowledge of revocations this fresh.
    #[must_use]
    pub fn staleness(mut self, staleness: Staleness) -> Self {
        self.staleness = staleness;
        self
    }

    /// Lets a request without credentials through as anonymous. One with a bad token is refused.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Whether a request without credentials is let through.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}
