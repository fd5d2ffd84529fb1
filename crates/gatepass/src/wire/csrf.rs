//! Whether a request that a browser made was caused by a page of the service's own.

use super::{Field, RequestHead};
use crate::Refusal;

/// Judges a request that carries cookies, or would be answered with some, by what the browser says of
/// where it comes from. The first row that fits, as in Go's `CrossOriginProtection` and tower-http's
/// `csrf`:
///
/// | the request | |
/// |---|---|
/// | is a `GET`, `HEAD` or `OPTIONS`, which change nothing | may |
/// | has `Sec-Fetch-Site: same-origin` or `none` (typed, bookmarked) | may |
/// | has another `Sec-Fetch-Site` | may if its `Origin` is trusted |
/// | has no `Origin` | may: it is not a browser's |
/// | has the `Origin` of the host that it was sent to | may |
/// | has another `Origin` | may if that is trusted |
///
/// A header that is there more than once is never a good one.
pub(super) fn check(head: &RequestHead<'_>, trusted: &[String]) -> Result<(), Refusal> {
    if matches!(head.method(), "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    let origin = match head.origin {
        Field::Absent | Field::Once(b"") => None,
        Field::Once(origin) => Some(origin),
        Field::Repeated => return Err(Refusal::CrossSite),
    };
    let is_trusted = || origin.is_some_and(|own| trusted.iter().any(|one| one.as_bytes() == own));
    let allowed = match head.sec_fetch_site {
        Field::Once(b"same-origin" | b"none") => true,
        Field::Absent | Field::Once(b"") => match origin {
            None => true,
            Some(origin) => head.host().is_some_and(|host| is_of(origin, host)) || is_trusted(),
        },
        Field::Once(_) => is_trusted(),
        Field::Repeated => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Refusal::CrossSite)
    }
}

/// Whether `origin` is that of pages of `host`. The scheme is not compared: behind a proxy that ends TLS
/// the service does not know its own.
fn is_of(origin: &[u8], host: &[u8]) -> bool {
    let authority = [b"https://".as_slice(), b"http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    !host.is_empty() && authority == Some(host)
}

/// Whether `text` is an origin as browsers send it: scheme, host, port if it is not the usual one, and
/// nothing more (RFC 6454 §6.2).
pub(crate) fn is_sent_origin(text: &str) -> bool {
    let usual_port = [("https://", ":443"), ("http://", ":80")]
        .iter()
        .any(|(scheme, port)| text.starts_with(scheme) && text.ends_with(port));
    is_origin(text) && !usual_port
}

/// Whether `text` is the scheme and the host, with a port or without, of a URL of HTTP, and nothing more.
pub(crate) fn is_origin(text: &str) -> bool {
    let authority = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(|authority| {
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        is_host(host) && port.is_none_or(is_port)
    })
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._~".contains(&byte);
    !host.is_empty() && host.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send_and_nothing_else() {
        for good in [
            "https://app.example",
            "http://localhost:3000",
            "https://[::1]:8080",
            "https://xn--bcher-kva.example",
        ] {
            assert!(is_origin(good) && is_sent_origin(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "https://",
            "app.example",
            "https://app.example/",
            "https://APP.example",
            "ftp://a",
            "https://bücher.example",
            "https://a b",
            "https://*.example",
            "https://a?b",
            "https://:8080",
            "https://a:",
            "https://a:b",
            "https://a:1:2",
            "https://a:99999",
            "https://[::1",
            "https://[x]",
            "https://::1",
            "https://app.example:443",
            "http://app.example:80",
        ] {
            assert!(!is_sent_origin(bad), "{bad}");
        }
        assert!(is_sent_origin("http://app.example:443"));
    }
}
