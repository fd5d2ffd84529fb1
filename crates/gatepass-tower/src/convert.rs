//! Conversions between the http crate's types and the core's.

use std::net::SocketAddr;

use gatepass::wire::{Delivered, Outgoing, Reply, RequestHead, ResponseHeaders};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, header::SET_COOKIE, request::Parts,
    uri::Authority,
};

/// How a gate reads the head of a request.
pub type ReadsHead = for<'p> fn(&'p Parts) -> RequestHead<'p>;

/// The address that a request came from. A server puts it into the extensions of each request, so
/// that gatepass can bound attempts to log in by address. Behind a proxy, this is the proxy's
/// address: name the proxy by
/// [`trusted_proxies`](gatepass::AuthorityBuilder::trusted_proxies).
///
/// ```
/// use std::net::SocketAddr;
///
/// use gatepass_tower::PeerAddr;
///
/// fn told<B>(mut request: http::Request<B>, peer: SocketAddr) -> http::Request<B> {
///     request.extensions_mut().insert(PeerAddr(peer));
///     request
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "servers make it")]
pub struct PeerAddr(pub SocketAddr);

/// The parts of a request's head that the core reads. The client's address is that of the
/// extension [`PeerAddr`].
#[must_use]
pub fn head(parts: &Parts) -> RequestHead<'_> {
    RequestHead::new(parts.method.as_str(), parts.uri.path(), |name| {
        parts
            .headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
    })
    .query(parts.uri.query())
    .target_host(parts.uri.authority().map(Authority::as_str))
    .address(parts.extensions.get().map(|PeerAddr(peer)| peer.ip()))
}

/// The core's reply as a response, with the body as bytes.
#[must_use]
pub fn response(reply: Reply) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    // The core makes only valid statuses, and header values of visible ASCII.
    *response.status_mut() =
        StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers() {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // The value holds tokens, and must not appear in a log of the response's headers.
            value.set_sensitive(name == SET_COOKIE);
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = reply.into_body();
    response
}

/// Adds new tokens to the headers of the application's own response.
pub fn deliver(delivered: &Delivered, headers: &mut HeaderMap) {
    delivered.apply(&mut Headers(headers));
}

/// Changes the headers of a guarded response as its gate requires.
pub fn apply(outgoing: &Outgoing, headers: &mut HeaderMap) {
    outgoing.apply(&mut Headers(headers));
}

struct Headers<'h>(&'h mut HeaderMap);

impl ResponseHeaders for Headers<'_> {
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        // The core makes only header values of visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.insert(name, value);
        }
    }

    fn append(&mut self, name: &'static str, value: &str) {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // The value holds tokens, and must not appear in a log of the response's headers.
            value.set_sensitive(true);
            self.0.append(name, value);
        }
    }
}
