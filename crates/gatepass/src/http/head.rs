//! The parts of a request's head that gatepass looks at.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::model::{device::Device, text, trusted_proxies::TrustedProxies};

/// The parts of a request's head that gatepass looks at, borrowed from the framework's own.
#[derive(Clone)]
pub struct RequestHead<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    /// The path and the query that the client asked for, if the framework has changed them.
    original_target: Option<(&'a str, Option<&'a str>)>,
    target_host: Option<&'a str>,
    hosts_conflict: bool,
    /// gatepass reads a field when it needs it: most requests need only one.
    headers: Arc<dyn Headers<'a> + 'a>,
    address: Option<IpAddr>,
}

/// The header fields of a request, by their lower-case names.
trait Headers<'a>: Send + Sync {
    fn field(&self, name: &'static str) -> HeaderField<'a>;

    fn all(&self, name: &'static str) -> Vec<&'a [u8]>;
}

impl<'a, F, I> Headers<'a> for F
where
    F: Fn(&'static str) -> I + Send + Sync,
    I: Iterator<Item = &'a [u8]>,
{
    fn field(&self, name: &'static str) -> HeaderField<'a> {
        HeaderField::collect(self(name))
    }

    fn all(&self, name: &'static str) -> Vec<&'a [u8]> {
        self(name).collect()
    }
}

/// The values of a header field.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "none, one, many")]
pub enum HeaderField<'a> {
    /// The field is not there.
    Absent,
    /// It is there once.
    Once(&'a [u8]),
    /// It is there more than once.
    Repeated,
}

impl<'a> HeaderField<'a> {
    fn collect(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl fmt::Debug for HeaderField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a credential.
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Once(_) => "Once([redacted])",
            Self::Repeated => "Repeated",
        })
    }
}

impl<'a> RequestHead<'a> {
    /// The head of a request. `values` gives the values of a header field by its lower-case name.
    /// gatepass calls it for each field that it needs, possibly several times.
    ///
    /// ```
    /// use gatepass::wire::RequestHead;
    ///
    /// let headers = [("authorization", "Bearer abc")];
    /// let head = RequestHead::new("GET", "/me", |name| {
    ///     headers.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_bytes())
    /// });
    /// ```
    pub fn new<I: Iterator<Item = &'a [u8]>>(
        method: &'a str,
        path: &'a str,
        values: impl Fn(&'static str) -> I + Send + Sync + 'a,
    ) -> Self {
        Self {
            method,
            path,
            query: None,
            original_target: None,
            target_host: None,
            hosts_conflict: false,
            headers: Arc::new(values),
            address: None,
        }
    }

    /// Adds the query of the request's target, without its question mark. The list of sessions
    /// reads its page from it. gatepass never reads a token from a query.
    #[must_use]
    pub fn query(mut self, query: Option<&'a str>) -> Self {
        self.query = query;
        self
    }

    /// Adds the path and the query that the client asked for, if the framework's router has
    /// shortened them. For example, `/shop/orders` is `/orders` for a router that is nested below
    /// `/shop`. After a redirect to a login page, the user comes back there.
    #[must_use]
    pub fn original_target(mut self, path: &'a str, query: Option<&'a str>) -> Self {
        self.original_target = Some((path, query));
        self
    }

    /// Adds the host of the request's target, with the port, if the target has one. HTTP/2 sends it
    /// instead of `Host` (RFC 9113 §8.3.1).
    #[must_use]
    pub fn target_host(mut self, host: Option<&'a str>) -> Self {
        self.target_host = host;
        self
    }

    /// Says that the request's target and its `Host` name different hosts, or that its `Host` is
    /// not a host. Call it if your framework hides the host of the target and reports the conflict
    /// instead.
    ///
    /// gatepass then ignores the [`target_host`](Self::target_host) and the headers, because it
    /// can't know which of the two hosts a proxy has looked at. The request has no host, so no
    /// `Origin` matches it.
    #[must_use]
    pub fn conflicting_hosts(mut self) -> Self {
        self.hosts_conflict = true;
        self
    }

    /// Adds the address of the connection's peer. gatepass reads the headers of [trusted
    /// proxies](crate::TrustedProxies) by itself.
    #[must_use]
    pub fn address(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path
    }

    /// The value of the header field with this lower-case name, if it is there once and is text.
    ///
    /// ```
    /// use gatepass::wire::RequestHead;
    ///
    /// fn wants_german(head: &RequestHead<'_>) -> bool {
    ///     head.header("accept-language").is_some_and(|languages| languages.starts_with("de"))
    /// }
    /// ```
    #[must_use]
    pub fn header(&self, name: &'static str) -> Option<&'a str> {
        match self.field(name) {
            HeaderField::Once(value) => str::from_utf8(value).ok(),
            HeaderField::Absent | HeaderField::Repeated => None,
        }
    }

    /// The header field with this lower-case name.
    pub(crate) fn field(&self, name: &'static str) -> HeaderField<'a> {
        self.headers.field(name)
    }

    /// The path and the query that the client asked for.
    pub(crate) fn target(&self) -> (&'a str, &'a str) {
        let (path, query) = self.original_target.unwrap_or((self.path, self.query));
        (path, query.unwrap_or_default())
    }

    /// The query as it was sent.
    pub(crate) fn raw_query(&self) -> &'a str {
        self.query.unwrap_or_default()
    }

    /// The host, with its port if it has one, that the request was sent to (RFC 9110 §7.2). A
    /// request whose hosts conflict has none.
    pub(crate) fn host(&self) -> Option<&'a [u8]> {
        if self.hosts_conflict {
            return None;
        }
        if let Some(host) = self.target_host {
            return Some(host.as_bytes());
        }
        match self.field("host") {
            HeaderField::Once(host) => Some(host),
            HeaderField::Absent | HeaderField::Repeated => None,
        }
    }

    /// The names and values of the cookies (RFC 6265 §4.2.1) in all `Cookie` headers. HTTP/2 may
    /// send several.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let fields = self.headers.all("cookie").into_iter();
        let pairs = fields.flat_map(|cookie| cookie.split(|byte| *byte == b';'));
        pairs.filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = pair.split_at(at);
            Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
        })
    }

    /// Whether the client's `Accept` names HTML (RFC 9110 §12.5.1). `*/*`, which any client sends,
    /// doesn't count.
    pub(crate) fn accepts_html(&self) -> bool {
        let fields = self.headers.all("accept").into_iter();
        let mut ranges = fields.flat_map(|accept| accept.split(|byte| *byte == b','));
        ranges.any(|range| {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let named = parts.next().unwrap_or_default();
            let html = named.eq_ignore_ascii_case(b"text/html")
                || named.eq_ignore_ascii_case(b"application/xhtml+xml");
            // A weight of zero means "not acceptable".
            let refused = |part: &[u8]| {
                let weight = part
                    .strip_prefix(b"q=")
                    .or_else(|| part.strip_prefix(b"Q="));
                weight.is_some_and(|weight| {
                    !weight.is_empty() && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
                })
            };
            html && !parts.any(refused)
        })
    }

    /// The address of the peer, if it is known.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.address
    }

    /// The name of a header field of this request in which a proxy reports its client's address.
    pub(crate) fn forwarding_header(&self) -> Option<&'static str> {
        let mut names = TrustedProxies::HEADERS.into_iter();
        names.find(|&name| !matches!(self.field(name), HeaderField::Absent))
    }

    /// This head, with the address of the client behind these proxies in place of the peer's.
    pub(crate) fn behind(mut self, proxies: &TrustedProxies) -> Self {
        let peer = self.address;
        self.address = peer.map(|peer| proxies.client(peer, &self.headers.all(proxies.header())));
        self
    }

    /// The device, as far as it is known. The address must be the client's.
    pub(crate) fn device(&self) -> Device {
        let user_agent = match self.field("user-agent") {
            HeaderField::Once(sent) => Some(text::user_agent(sent)),
            HeaderField::Absent | HeaderField::Repeated => None,
        };
        Device {
            user_agent,
            address: self.address,
        }
    }
}

/// Shows the method and the path. The values of headers may be credentials.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_printable_ascii_and_cut() {
        let sent = [b"Agent/1.0 \x07\xff".as_slice(), &[b'x'; 300]].concat();
        let head = RequestHead::new("GET", "/", |name| {
            (name == "user-agent")
                .then_some(sent.as_slice())
                .into_iter()
        });
        let kept = head.device().user_agent.unwrap();
        assert_eq!(kept.len(), 256);
        assert!(kept.starts_with("Agent/1.0 xxx"), "{kept}");
    }

    #[test]
    fn a_request_has_the_host_of_its_target_or_header_unless_they_conflict() {
        let own = |hosts: &'static [&'static [u8]]| {
            RequestHead::new("POST", "/", move |name| {
                let hosts = if name == "host" { hosts } else { &[] };
                hosts.iter().copied()
            })
        };
        let target = Some("target.example");
        for (head, host) in [
            (own(&[]), None),
            (own(&[b"shop.example"]), Some("shop.example")),
            (own(&[b"shop.example", b"shop.example"]), None),
            (own(&[]).target_host(target), target),
            (own(&[b"shop.example"]).target_host(target), target),
            (own(&[b"shop.example"]).conflicting_hosts(), None),
            (own(&[]).target_host(target).conflicting_hosts(), None),
            (own(&[]).conflicting_hosts().target_host(target), None),
        ] {
            assert_eq!(head.host(), host.map(str::as_bytes), "{head:?}");
        }
    }

    #[test]
    fn a_head_shows_no_value_of_a_header() {
        let head = RequestHead::new("GET", "/me", |name| {
            let value = b"__Host-gatepass=abc".as_slice();
            ["cookie", "authorization"]
                .contains(&name)
                .then_some(value)
                .into_iter()
        });
        let shown = format!("{head:?}");
        assert!(shown.contains("/me"), "{shown}");
        let bytes = format!("{:?}", b"abc");
        for value in ["abc", bytes.trim_matches(['[', ']'])] {
            assert!(!shown.contains(value), "{shown}");
        }
    }
}
