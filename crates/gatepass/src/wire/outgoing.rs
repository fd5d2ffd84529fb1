//! The changes that a gate makes to the response of a handler.

use std::sync::Arc;

use crate::{
    http::reply::Reply,
    verifier::verifier::Verifier,
    wire::{
        refreshed_cookies::RefreshedCookies,
        sliding::{RenewedToken, Sliding},
    },
};

/// The headers of a handler's response, which a gate reads and changes. An adapter implements it
/// for its framework's type.
pub trait ResponseHeaders {
    /// The values of the field with this lower-case name.
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]>;

    /// Sets the field to this value, in place of all others.
    fn replace(&mut self, name: &'static str, value: &str);

    /// Adds a field with this value. The value may be a secret, so keep it out of logs.
    fn append(&mut self, name: &'static str, value: &str);
}

impl ResponseHeaders for Reply {
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        let values = self.headers().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        *self = self.clone().with_header(name, value);
    }

    fn append(&mut self, name: &'static str, value: &str) {
        *self = self.clone().header(name, value);
    }
}

/// The changes that a gate makes to the response of a handler, from
/// [`AuthState::outgoing`](crate::wire::AuthState::outgoing).
///
/// An adapter takes it before it calls the handler, and applies it to the response. If it
/// [`waits`](Self::waits), the adapter settles it first:
///
/// ```
/// use gatepass::wire::{Outgoing, ResponseHeaders};
///
/// async fn finish(mut outgoing: Outgoing, headers: &mut impl ResponseHeaders) {
///     if outgoing.waits() {
///         outgoing.settle().await;
///     }
///     outgoing.apply(headers);
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Outgoing {
    /// Whether a cookie, or a header of the application's own, may have authenticated the request.
    /// A shared cache could then keep the answer (RFC 9111 §3.5).
    pub(super) private: bool,
    /// Whether the client gets other rights if it refreshes.
    pub(super) outdated: bool,
    pub(super) refreshed: Option<Arc<RefreshedCookies>>,
    pub(super) settled: bool,
    /// The pass whose token the gate renews when the response leaves.
    pub(super) sliding: Option<Arc<Sliding>>,
    /// The renewed token, after `settle`.
    pub(super) renewed: Option<Arc<RenewedToken>>,
}

impl Outgoing {
    pub(super) fn new(
        verifier: &Verifier,
        refreshed: Option<Arc<RefreshedCookies>>,
        sliding: Option<Sliding>,
    ) -> Self {
        let policy = verifier.browser_policy();
        Self {
            outdated: false,
            private: policy.reads_cookies() || policy.places.header.is_some(),
            refreshed,
            settled: false,
            sliding: sliding.map(Arc::new),
            renewed: None,
        }
    }

    /// Whether the adapter must call [`settle`](Self::settle), because the gate has refreshed the
    /// browser's tokens or may renew the access token. Most responses don't need it.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.refreshed.is_some() || self.sliding.is_some()
    }

    /// Asks the store whether the response may set the refreshed cookies, and renews the access
    /// token. Call it when the head of the response is about to leave, because the user may have
    /// logged out since the request arrived.
    pub async fn settle(&mut self) {
        self.settled = match &self.refreshed {
            Some(refreshed) => refreshed.may_be_set().await,
            None => false,
        };
        self.renewed = match &self.sliding {
            Some(sliding) => sliding.renew().await.map(Arc::new),
            None => None,
        };
    }

    /// Changes the head of the response.
    ///
    /// * Adds the refreshed cookies, if `settle` has allowed it and the handler itself sets or
    ///   clears no cookie of the session. It then sets `Cache-Control: no-store`, even if the
    ///   handler says otherwise, because a cache would give the tokens to other users (RFC 9111
    ///   §7.3). It also sets `no-store` in the fields for CDNs that the handler uses (RFC 9213).
    /// * Adds the renewed access token in the same way, if `settle` has one and the handler doesn't
    ///   set that header field or cookie itself.
    /// * If tokens travel in cookies or in a header of your own, any other response without
    ///   `Cache-Control` gets `private`, so that no shared cache answers other users with it. For
    ///   example, a CDN may otherwise keep one user's `GET /me` for minutes (RFC 9111 §4.2.2).
    ///   Bearer tokens don't need this, because a shared cache doesn't keep responses to requests
    ///   with `Authorization` (RFC 9111 §3.5).
    /// * If the session's rights have grown since the access token was issued, it sets
    ///   `Gatepass-Refresh: grant_changed`. The client may refresh at any time.
    pub fn apply(&self, headers: &mut impl ResponseHeaders) {
        if self.outdated {
            headers.replace(REFRESH.0, REFRESH.1);
        }
        let refreshed = self.refreshed.as_ref().filter(|_| self.settled);
        let own = |refreshed: &RefreshedCookies| {
            headers
                .values("set-cookie")
                .any(|own| refreshed.is_about(own))
        };
        let refreshed = refreshed.filter(|refreshed| !own(refreshed));
        let renewed = self.renewed.as_ref();
        let renewed = renewed.filter(|renewed| {
            let mut values = headers.values(renewed.name);
            !values.any(|own| renewed.has_place_of(own))
        });
        match (refreshed, renewed) {
            (Some(refreshed), _) => {
                keep_from_caches(headers);
                for cookie in refreshed.cookies() {
                    headers.append("set-cookie", cookie);
                }
            }
            (None, Some(renewed)) => {
                keep_from_caches(headers);
                headers.append(renewed.name, &renewed.value);
            }
            (None, None) if self.private && headers.values("cache-control").next().is_none() => {
                headers.replace("cache-control", "private");
            }
            (None, None) => {}
        }
    }
}

/// A cache would give the tokens of a response to other users (RFC 9111 §7.3).
fn keep_from_caches(headers: &mut impl ResponseHeaders) {
    headers.replace("cache-control", "no-store");
    for targeted in TARGETED {
        if headers.values(targeted).next().is_some() {
            headers.replace(targeted, "no-store");
        }
    }
}

/// Tells a client that a refresh brings other rights.
pub(super) const REFRESH: (&str, &str) = ("gatepass-refresh", "grant_changed");

/// Fields that CDNs obey in place of `Cache-Control`.
pub(super) const TARGETED: [&str; 3] = [
    "cdn-cache-control",
    "surrogate-control",
    "cloudflare-cdn-cache-control",
];
