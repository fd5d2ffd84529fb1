//! Requests that a gate has let through.

use gatepass_tower::set_cache_control;
use warp::{Reply, reply::Response};

/// A request that a gate has let through, as the value that the handler asks for.
///
/// [`gated`](crate::gated) takes it apart. Behind the [filter](crate::Gate::filter) of
/// a gate alone, your handler does:
///
/// ```
/// use gatepass_warp::{Authorized, Auth, AuthRejection};
/// use warp::Reply;
///
/// async fn me(auth: Result<Authorized<Auth>, AuthRejection>) -> Result<impl Reply, AuthRejection> {
///     let authorized = auth?;
///     let Auth(pass) = authorized.extracted();
///     Ok(authorized.reply(pass.subject().to_string()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Authorized<A> {
    extracted: A,
    cache_control: Option<&'static str>,
}

impl<A> Authorized<A> {
    pub(crate) fn new(extracted: A, cache_control: Option<&'static str>) -> Self {
        Self {
            extracted,
            cache_control,
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

    /// The handler's reply. It gets `Cache-Control: private` if tokens travel in cookies and it has
    /// no `Cache-Control` of its own.
    pub fn reply(&self, reply: impl Reply) -> Response {
        let mut response = reply.into_response();
        set_cache_control(response.headers_mut(), self.cache_control);
        response
    }

    /// The extracted value, and the rest.
    pub(crate) fn split(self) -> (A, Authorized<()>) {
        (self.extracted, Authorized::new((), self.cache_control))
    }

    /// Adds a value.
    pub(crate) fn with<T>(self, more: T) -> Authorized<(A, T)> {
        Authorized::new((self.extracted, more), self.cache_control)
    }
}
