//! Requests that a gate has let through.

use gatepass::wire::Outgoing;
use gatepass_tower::apply;
use warp::{Reply, reply::Response};

/// A request that a gate has let through, with the value that the handler asks for.
///
/// [`gated`](crate::gated) takes it apart for you. If you use the [filter](crate::Gate::filter) of
/// a gate, your handler does so:
///
/// ```
/// use gatepass_warp::{Authorized, Auth, AuthRejection};
/// use warp::Reply;
///
/// async fn me(auth: Result<Authorized<Auth>, AuthRejection>) -> Result<impl Reply, AuthRejection> {
///     let authorized = auth?;
///     let Auth(pass) = authorized.extracted();
///     Ok(authorized.reply(pass.subject().to_string()).await)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Authorized<A> {
    extracted: A,
    outgoing: Outgoing,
}

impl<A> Authorized<A> {
    pub(crate) fn new(extracted: A, outgoing: Outgoing) -> Self {
        Self {
            extracted,
            outgoing,
        }
    }

    /// The extracted value, for example [`Auth`](crate::Auth).
    #[must_use]
    pub fn extracted(&self) -> &A {
        &self.extracted
    }

    /// The extracted value, owned.
    #[must_use]
    pub fn into_extracted(self) -> A {
        self.extracted
    }

    /// The handler's reply, with the headers that the gate adds. If tokens travel in cookies, a
    /// reply that has no `Cache-Control` of its own gets `Cache-Control: private`. The reply also
    /// sets the cookies that the gate has refreshed, if the session still lives and has no newer
    /// refresh token.
    pub async fn reply(&self, reply: impl Reply) -> Response {
        let mut response = reply.into_response();
        let mut outgoing = self.outgoing.clone();
        if outgoing.waits() {
            outgoing.settle().await;
        }
        apply(&outgoing, response.headers_mut());
        response
    }

    /// The extracted value, and the request without it.
    pub(crate) fn split(self) -> (A, Authorized<()>) {
        (self.extracted, Authorized::new((), self.outgoing))
    }

    /// Adds a second extracted value.
    pub(crate) fn with<T>(self, more: T) -> Authorized<(A, T)> {
        Authorized::new((self.extracted, more), self.outgoing)
    }
}
