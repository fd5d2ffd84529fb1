//! Between the http crate's types and the core's plain ones.

use gatepass::wire::{Reply, RequestHead};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE},
    request::Parts,
    uri::Authority,
};

/// The parts of a request's head that the core looks at.
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
}

/// The core's reply as a response, with the body as bytes.
#[must_use]
pub fn response(reply: Reply) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    // The core makes neither an impossible status nor a header value that is not visible ASCII.
    *response.status_mut() =
        StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers() {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // It holds tokens, and must not be in a log of the response's headers.
            value.set_sensitive(name == SET_COOKIE);
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = reply.into_body();
    response
}

/// Adds the `Cache-Control` of an [`AuthState`](gatepass::wire::AuthState::cache_control) to the
/// headers of a guarded response, unless they have one.
pub fn set_cache_control(headers: &mut HeaderMap, value: Option<&'static str>) {
    if let Some(value) = value {
        let entry = headers.entry(CACHE_CONTROL);
        entry.or_insert(HeaderValue::from_static(value));
    }
}
