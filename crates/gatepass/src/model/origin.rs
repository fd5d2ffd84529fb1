//! Origins of web pages (RFC 6454).

/// Whether `text` is an origin as browsers send it: scheme, host, port if it is not the usual one,
/// and nothing more (RFC 6454 §6.2).
pub(crate) fn is_sent_origin(text: &str) -> bool {
    let usual_port = [("https://", ":443"), ("http://", ":80")]
        .iter()
        .any(|(scheme, port)| text.starts_with(scheme) && text.ends_with(port));
    is_origin(text) && !usual_port
}

/// Whether `text` is only the scheme, the host and perhaps the port of an HTTP URL.
pub(crate) fn is_origin(text: &str) -> bool {
    let authority = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(|authority| {
        let (host, port) = match authority.rsplit_once(':') {
            // Brackets enclose the colons of an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        is_host(host) && port.is_none_or(is_port)
    })
}

/// The origin of an HTTP URL, and the rest: path, query and fragment.
pub(crate) fn split(url: &str) -> Option<(&str, &str)> {
    let start = url.find("://")? + "://".len();
    let end = url.get(start..)?.find(['/', '?', '#']);
    let (origin, rest) = url.split_at_checked(end.map_or(url.len(), |end| start + end))?;
    is_origin(origin).then_some((origin, rest))
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
