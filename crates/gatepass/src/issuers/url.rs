//! The URLs that documents may be fetched from.

/// Whether gatepass may fetch documents from `url`: over `https`, or over `http` from this machine.
/// It refuses user names, fragments, and characters that some parsers take for others.
pub(crate) fn is_fetchable(url: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !r#"\"<>^`{|}#"#.contains(c);
    if !url.chars().all(plain) {
        return false;
    }
    let https = url.strip_prefix("https://");
    let http = url.strip_prefix("http://");
    match (https, http) {
        (Some(rest), _) => !host(rest).is_empty(),
        (None, Some(_)) => is_local(url),
        (None, None) => false,
    }
}

/// Whether `url` is on this machine, over plain `http`.
pub(super) fn is_local(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    matches!(host(rest), "localhost" | "127.0.0.1" | "[::1]")
}

/// The host in the part of a URL after the scheme. Empty if there is no host, or if a user name
/// precedes it.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return "";
    }
    let (host, port) = match authority.rfind(':') {
        // A colon inside of brackets is a part of an address.
        Some(colon) if !authority.ends_with(']') => authority.split_at(colon),
        _ => (authority, ""),
    };
    let port = port.strip_prefix(':').unwrap_or_default();
    let is_host = !host.contains(':') || host.starts_with('[');
    let fits = is_host && port.bytes().all(|digit| digit.is_ascii_digit());
    if fits { host } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_fetched_from() {
        for good in [
            "https://login.example",
            "https://login.example:8443/realms/shop/keys?v=2",
            "https://[2001:db8::1]/keys",
            "http://localhost:8080/keys",
            "http://127.0.0.1/keys",
            "http://[::1]:80/keys",
        ] {
            assert!(is_fetchable(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https:///keys",
            "https://:443/keys",
            "https://?",
            "HTTPS://login.example",
            "http://login.example/keys",
            "http://localhost.evil.example/keys",
            "http://localhost@evil.example/keys",
            "http://localhost:80@evil.example/keys",
            "http://127.0.0.1:80:90/keys",
            "http://127.0.0.2/keys",
            "https://user:pass@login.example/keys",
            "https://login.example@evil.example/keys",
            r"https://login.example\@evil.example/keys",
            "https://login.example/keys#fragment",
            "https://login.example/ keys",
            "https://login.example/ke\nys",
            "https://lögin.example/keys",
            "https://login.example/{tenantid}/keys",
            "ftp://login.example/keys",
            "file:///etc/passwd",
            "//login.example/keys",
            "login.example",
        ] {
            assert!(!is_fetchable(bad), "{bad}");
        }
    }
}
