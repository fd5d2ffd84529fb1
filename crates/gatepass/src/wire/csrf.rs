//! The check that one of the service's own pages caused a browser's request.

use crate::{
    http::head::{HeaderField, RequestHead},
    model::refusal::Refusal,
};

/// Judges a request that carries cookies, or whose answer would set them, by the headers in which
/// the browser says where it comes from. The first row that fits decides, as in Go's
/// `CrossOriginProtection` and tower-http's `csrf`:
///
/// | the request | |
/// |---|---|
/// | is a `GET`, `HEAD` or `OPTIONS`, which change nothing, and opens no WebSocket | may |
/// | has `Sec-Fetch-Site: same-origin` or `none` (typed, bookmarked) | may |
/// | has another `Sec-Fetch-Site` | may if its `Origin` is trusted |
/// | has no `Origin` | may: it is not a browser's |
/// | has the `Origin` of the host that it was sent to | may |
/// | has another `Origin` | may if that is trusted |
///
/// A page of any site can open a WebSocket here, and the browser lets that page read and write. No
/// other cross-site request allows that, so this function also judges a handshake, although it is a
/// `GET` (cross-site WebSocket hijacking).
///
/// A repeated header never passes. A request with conflicting hosts has no host, so no `Origin`
/// matches it.
pub(super) fn check(head: &RequestHead<'_>, trusted: &[String]) -> Result<(), Refusal> {
    if matches!(head.method(), "GET" | "HEAD" | "OPTIONS") && !opens_web_socket(head) {
        return Ok(());
    }
    let origin = match head.field("origin") {
        HeaderField::Absent | HeaderField::Once(b"") => None,
        HeaderField::Once(origin) => Some(origin),
        HeaderField::Repeated => return Err(Refusal::CrossSite),
    };
    let is_trusted = || origin.is_some_and(|own| trusted.iter().any(|one| one.as_bytes() == own));
    let allowed = match head.field("sec-fetch-site") {
        HeaderField::Once(b"same-origin" | b"none") => true,
        HeaderField::Absent | HeaderField::Once(b"") => match origin {
            None => true,
            Some(origin) => head.host().is_some_and(|host| is_of(origin, host)) || is_trusted(),
        },
        HeaderField::Once(_) => is_trusted(),
        HeaderField::Repeated => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Refusal::CrossSite)
    }
}

/// Whether a `GET` is the handshake of a WebSocket (RFC 6455 §4.1). A browser accepts only an
/// answer that was computed from this key, so one header decides. Over HTTP/2, a handshake is a
/// `CONNECT`, which is always judged.
fn opens_web_socket(head: &RequestHead<'_>) -> bool {
    !matches!(head.field("sec-websocket-key"), HeaderField::Absent)
}

/// Whether `origin` is the origin of pages of `host`. This ignores the scheme, because a service
/// behind a proxy that ends TLS does not know its own scheme.
fn is_of(origin: &[u8], host: &[u8]) -> bool {
    let host_of_origin = [b"https://".as_slice(), b"http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    !host.is_empty() && host_of_origin == Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_request_whose_hosts_conflict_must_be_trusted() {
        let head = RequestHead::new("POST", "/auth/login", |name| {
            let value: Option<&[u8]> = match name {
                "origin" => Some(b"https://shop.example"),
                "host" => Some(b"shop.example"),
                _ => None,
            };
            value.into_iter()
        });
        let trusted = ["https://shop.example".to_owned()];
        assert_eq!(check(&head, &[]), Ok(()));
        let head = head.target_host(Some("shop.example")).conflicting_hosts();
        assert_eq!(check(&head, &[]), Err(Refusal::CrossSite));
        assert_eq!(check(&head, &trusted), Ok(()));
    }
}
