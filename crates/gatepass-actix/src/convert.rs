//! Conversions between actix-web's types and the core's.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE},
        uri::Authority,
    },
    web::Bytes,
};
use gatepass::wire::{Reply, RequestHead, ResponseHeaders};

/// The parts of a request's head that the core reads.
///
/// The path is the one that the client sent, not the one that actix-web decodes for its router. The
/// address is the connection's: the core knows which proxies you trust.
pub(crate) fn head(head: &dev::RequestHead) -> RequestHead<'_> {
    RequestHead::new(head.method.as_str(), head.uri.path(), |name| {
        head.headers.get_all(name).map(HeaderValue::as_bytes)
    })
    .query(head.uri.query())
    .target_host(head.uri.authority().map(Authority::as_str))
    .address(head.peer_addr.map(|peer| peer.ip()))
}

/// The core's reply as a response.
pub(crate) fn response(reply: Reply) -> HttpResponse {
    // The core makes only valid statuses, and header values of visible ASCII.
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::new(status);
    for (name, value) in reply.headers() {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(name), HeaderValue::from_str(value))
        {
            // The value holds tokens, and must not appear in a log of the response's headers.
            value.set_sensitive(name == SET_COOKIE);
            response.headers_mut().append(name, value);
        }
    }
    // The length of a body that the core left out, for a `HEAD`. actix-web takes the length from
    // the body alone.
    let length = response.headers_mut().remove(CONTENT_LENGTH).next();
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    response.set_body(match length {
        Some(length) => BoxBody::new(LeftOut(length)),
        None => BoxBody::new(reply.into_body()),
    })
}

/// The headers of a response, for the core to change.
pub(crate) struct Headers<'h>(pub(crate) &'h mut HeaderMap);

impl ResponseHeaders for Headers<'_> {
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        self.0.get_all(name).map(HeaderValue::as_bytes)
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        // The core makes only header values of visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.insert(HeaderName::from_static(name), value);
        }
    }

    fn append(&mut self, name: &'static str, value: &str) {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // The value holds tokens, and must not appear in a log of the response's headers.
            value.set_sensitive(true);
            self.0.append(HeaderName::from_static(name), value);
        }
    }
}

/// A body of this length that is not sent, because it answers a `HEAD`.
struct LeftOut(u64);

impl MessageBody for LeftOut {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
