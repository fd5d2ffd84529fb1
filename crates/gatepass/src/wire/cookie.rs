//! The cookies that carry tokens to and from browsers (RFC 6265bis).

use std::{net::IpAddr, time::Duration};

use crate::{
    authority::issued::{Issued, Renewed},
    http::head::RequestHead,
    model::{identity::IdentityError, refusal::Refusal, transport::BrowserPolicy},
    wire::csrf,
};

/// Longest cookie in bytes, with its name and attributes, that every browser keeps (RFC 6265 §6.1).
/// Browsers silently drop a longer one. Some browsers count only the name and the value, and so
/// keep more.
const MAX_COOKIE: usize = 4096;

/// Digits of the longest lifetime in seconds.
const MAX_AGE_DIGITS: usize = 20;

/// One of the two cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    Refresh,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Access, Self::Refresh];

    /// With the prefix `__Host-`, a browser accepts the cookie only from this host, over TLS and
    /// for all paths. So no other host of the domain can plant one. The prefix needs `Secure`.
    fn name(self, policy: &BrowserPolicy) -> &'static str {
        match (self, policy.insecure_localhost) {
            (Self::Access, false) => "__Host-gatepass",
            (Self::Refresh, false) => "__Host-gatepass-refresh",
            (Self::Access, true) => "gatepass",
            (Self::Refresh, true) => "gatepass-refresh",
        }
    }
}

/// A cookie longer than browsers keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The token in a request's cookie, if the request may use it.
///
/// # Errors
///
/// [`Refusal::Ambiguous`] if the cookie is there more than once, [`Refusal::Malformed`] if its
/// value is not UTF-8, and [`Refusal::CrossSite`] if [`check`] refuses the request.
pub(super) fn token<'a>(
    kind: Kind,
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<&'a str>, Refusal> {
    if !policy.transport.has_cookies() {
        return Ok(None);
    }
    named(kind.name(policy), head, policy)
}

/// Like [`token`], for the cookie with this name.
pub(super) fn named<'a>(
    name: &str,
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = head.cookies().filter(|(own, _)| *own == name.as_bytes());
    let value = match (values.next(), values.next()) {
        (None, _) | (Some((_, b"")), None) => return Ok(None),
        (Some((_, value)), None) => value,
        (Some(_), Some(_)) => return Err(Refusal::Ambiguous),
    };
    check(head, policy)?;
    str::from_utf8(value)
        .map(Some)
        .map_err(|_| Refusal::Malformed)
}

/// Checks that a request may use cookies, and that its answer may set them. The request must come
/// from the service's own pages. If cookies are not `Secure`, it must also be sent to this machine.
pub(super) fn check(head: &RequestHead<'_>, policy: &BrowserPolicy) -> Result<(), Refusal> {
    check_host(head, policy)?;
    csrf::check(head, &policy.trusted_origins)
}

/// Checks that cookies may travel between a browser and the host to which it sent the request.
pub(super) fn check_host(head: &RequestHead<'_>, policy: &BrowserPolicy) -> Result<(), Refusal> {
    if policy.insecure_localhost && !head.host().is_some_and(is_this_machine) {
        return Err(Refusal::CrossSite);
    }
    Ok(())
}

/// The value of a `Set-Cookie` that makes a browser keep `token` for `life`, or until it is closed.
pub(super) fn set(
    kind: Kind,
    token: &str,
    life: Option<Duration>,
    policy: &BrowserPolicy,
) -> Result<String, TooLong> {
    let name = kind.name(policy);
    if token.len() > longest_token(kind, policy) {
        return Err(TooLong);
    }
    let attributes = attributes(policy);
    Ok(match life {
        // Zero would make the browser delete the cookie.
        Some(life) => {
            let max_age = life.as_secs().max(1);
            format!("{name}={token}; {attributes}; Max-Age={max_age}")
        }
        None => format!("{name}={token}; {attributes}"),
    })
}

/// The values of `Set-Cookie` that make a browser keep the tokens: both, or only the access token.
///
/// # Errors
///
/// [`IdentityError::TooLargeForCookie`], since a browser would drop the cookie.
pub(super) fn all(issued: &Issued, policy: &BrowserPolicy) -> Result<Vec<String>, IdentityError> {
    // The browser keeps the access cookie as long as the refresh cookie. The token itself says when
    // it has expired.
    let life = issued.refresh_expires_at.since(issued.server_time);
    let life = (!issued.session_cookies).then_some(life);
    let cookie = |kind, token| {
        set(kind, token, life, policy).map_err(|TooLong| IdentityError::TooLargeForCookie)
    };
    let mut cookies = vec![cookie(Kind::Access, issued.access_token.as_str())?];
    if !issued.refresh_token.is_empty() {
        cookies.push(cookie(Kind::Refresh, issued.refresh_token.as_str())?);
    }
    Ok(cookies)
}

/// The cookie of a renewed access token.
///
/// # Errors
///
/// As [`all`].
pub(super) fn of_renewed(
    renewed: &Renewed,
    policy: &BrowserPolicy,
) -> Result<String, IdentityError> {
    let life = renewed.useful_until.since(renewed.server_time);
    let life = (!renewed.session_cookies).then_some(life);
    let token = renewed.access_token.as_str();
    set(Kind::Access, token, life, policy).map_err(|TooLong| IdentityError::TooLargeForCookie)
}

/// The name of the cookie in a `Set-Cookie`.
pub(super) fn name(set_cookie: &[u8]) -> &[u8] {
    let name = set_cookie.split(|byte| *byte == b'=').next();
    name.unwrap_or_default().trim_ascii()
}

/// Longest token in bytes that fits into a cookie of any lifetime.
pub(super) fn longest_token(kind: Kind, policy: &BrowserPolicy) -> usize {
    let around = kind.name(policy).len() + attributes(policy).len();
    MAX_COOKIE - around - "=; ; Max-Age=".len() - MAX_AGE_DIGITS
}

/// The value of a `Set-Cookie` that makes a browser forget the token.
pub(super) fn clear(kind: Kind, policy: &BrowserPolicy) -> String {
    format!("{}=; {}; Max-Age=0", kind.name(policy), attributes(policy))
}

/// Without `Domain`, the cookie is only for this host. With `Lax`, the browser sends the cookie
/// when the user follows a link from another site, but with no other request from there.
fn attributes(policy: &BrowserPolicy) -> &'static str {
    if policy.insecure_localhost {
        "HttpOnly; SameSite=Lax; Path=/"
    } else {
        "HttpOnly; Secure; SameSite=Lax; Path=/"
    }
}

/// Whether a host, with its port if it has one, can only be this machine (RFC 6761 §6.3).
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.parse::<IpAddr>().map_or_else(
        |_| name == "localhost" || name.ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::transport::Transport;

    fn policy() -> BrowserPolicy {
        BrowserPolicy {
            transport: Transport::Cookie,
            ..BrowserPolicy::default()
        }
    }

    fn found(headers: &[&[u8]], policy: &BrowserPolicy) -> Result<Option<String>, Refusal> {
        let head = RequestHead::new("GET", "/", |name| {
            headers.iter().copied().filter(move |_| name == "cookie")
        });
        token(Kind::Access, &head, policy).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cases: [&[&[u8]]; 5] = [
            &[b"__Host-gatepass=abc"],
            &[b"theme=dark; __Host-gatepass=abc; x"],
            &[b"a=b;__Host-gatepass=abc"],
            &[b"a=b", b"__Host-gatepass=abc"],
            &[b"__Host-gatepass-refresh=no; gatepass=no; __host-gatepass=no; __Host-gatepass = abc "],
        ];
        for headers in cases {
            assert_eq!(
                found(headers, &policy()),
                Ok(Some("abc".into())),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn none_is_found_where_there_is_none_or_cookies_do_not_count() {
        for headers in [&[] as &[&[u8]], &[b"a=b"], &[b"__Host-gatepass="]] {
            assert_eq!(found(headers, &policy()), Ok(None), "{headers:?}");
        }
        let bearer = BrowserPolicy::default();
        assert_eq!(found(&[b"__Host-gatepass=abc"], &bearer), Ok(None));
    }

    #[test]
    fn two_of_them_are_ambiguous_and_bytes_are_malformed() {
        let twice: [&[&[u8]]; 2] = [
            &[b"__Host-gatepass=a; __Host-gatepass=a"],
            &[b"__Host-gatepass=a", b"__Host-gatepass=b"],
        ];
        for headers in twice {
            assert_eq!(found(headers, &policy()), Err(Refusal::Ambiguous));
        }
        let bytes = found(&[b"__Host-gatepass=\xff"], &policy());
        assert_eq!(bytes, Err(Refusal::Malformed));
    }

    #[test]
    fn a_cookie_that_browsers_would_drop_is_not_set() {
        for kind in Kind::ALL {
            let most = "x".repeat(longest_token(kind, &policy()));
            let longest = set(kind, &most, Some(Duration::MAX), &policy()).unwrap();
            assert_eq!(longest.len(), 4096, "{longest}");
            let longer = format!("{most}x");
            let short = Some(Duration::from_secs(60));
            assert_eq!(set(kind, &longer, short, &policy()), Err(TooLong));
        }
    }

    #[test]
    fn insecure_cookies_are_for_this_machine_only() {
        for host in [
            "localhost",
            "localhost:3000",
            "app.localhost:1",
            "127.0.0.1",
            "127.1.2.3:80",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "[::2]:80",
            "127.0.0.1.example",
            "0.0.0.0",
        ] {
            assert!(!is_this_machine(host.as_bytes()), "{host}");
        }
    }
}
