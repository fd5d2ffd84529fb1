//! Between actix-web's types and the core's plain ones.

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
        header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE},
        uri::Authority,
    },
    web::Bytes,
};
use gatepass::wire::{Reply, RequestHead};

/// The parts of a request's head that the core looks at.
///
/// The path is the one that was sent, and not what actix-web has decoded for its router. The
/// address is that of the connection: any client can send a `Forwarded` of its choice.
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
    // The core makes neither an impossible status nor a header that is not visible ASCII.
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::new(status);
    for (name, value) in reply.headers() {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(name), HeaderValue::from_str(value))
        {
            // It holds tokens, and must not be in a log of the response's headers.
            value.set_sensitive(name == SET_COOKIE);
            response.headers_mut().append(name, value);
        }
    }
    // The length of a body that is left out, which actix-web takes from the body alone.
    let length = response.headers_mut().remove(CONTENT_LENGTH).next();
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    response.set_body(match length {
        Some(length) => BoxBody::new(LeftOut(length)),
        None => BoxBody::new(reply.into_body()),
    })
}

/// Adds the `Cache-Control` of an [`AuthState`](gatepass::wire::AuthState::cache_control) to the
/// headers of a guarded response, unless they have one.
pub(crate) fn set_cache_control(headers: &mut HeaderMap, value: Option<&'static str>) {
    match value {
        Some(value) if !headers.contains_key(CACHE_CONTROL) => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        _ => {}
    }
}

/// A body of this length that is not sent, since it answers a `HEAD`.
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
