//! The ways in which tokens travel between a browser or another client and the service.

/// How clients carry their tokens, chosen by [`transport`](crate::AuthorityBuilder::transport) at
/// the builder of the authority, or of a verifier alone.
///
/// gatepass understands `Authorization: Bearer` in each case. If a request has that header, the
/// header decides alone. This choice is about whether cookies also count, and what the endpoints
/// answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one, the other, both")]
pub enum Transport {
    /// Tokens in bodies and in the `Authorization` header (RFC 6750 §2.1). Cookies are neither read
    /// nor set. For apps, services and pages that keep their tokens themselves. The default: it
    /// needs no defence against requests from other sites.
    #[default]
    Bearer,
    /// Logins are answered with cookies that scripts cannot read, and not with tokens in a body.
    /// For web pages of the service's own site. OAuth clients get theirs from the token endpoint as
    /// ever.
    Cookie,
    /// Both: a login that asks for cookies (`"transport":"cookie"`) gets them, any other gets
    /// tokens.
    Both,
}

impl Transport {
    pub(crate) fn has_cookies(self) -> bool {
        self != Self::Bearer
    }
}

/// The configuration of the places of tokens and for browsers, for gates and endpoints alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrowserPolicy {
    pub(crate) places: TokenPlaces,
    pub(crate) transport: Transport,
    /// Cookies without `Secure`, on this machine's own names only.
    pub(crate) insecure_localhost: bool,
    /// Origins other than the service's own whose pages may use the cookies.
    pub(crate) trusted_origins: Vec<String>,
}

impl BrowserPolicy {
    /// Whether a cookie may bring a token.
    pub(crate) fn reads_cookies(&self) -> bool {
        let TokenPlaces {
            cookie, old_cookie, ..
        } = &self.places;
        self.transport.has_cookies() || cookie.is_some() || old_cookie.is_some()
    }
}

/// The places of access tokens beside `Authorization: Bearer` and gatepass's own cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenPlaces {
    /// Authentication schemes that mean the same as `Bearer`.
    pub(crate) schemes: Vec<String>,
    /// A header field, in lower case. The frameworks ask for names that live as long as the
    /// process, and a process has few.
    pub(crate) header: Option<&'static str>,
    pub(crate) cookie: Option<String>,
    /// The cookie of the old system whose tokens are adopted.
    pub(crate) old_cookie: Option<String>,
    /// A header field of responses, in lower case, for renewed tokens.
    pub(crate) renewed: Option<&'static str>,
}

impl TokenPlaces {
    /// Header fields that mean something else to gatepass, or to every server.
    const TAKEN: [&str; 8] = [
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "origin",
        "sec-fetch-site",
        "transfer-encoding",
    ];

    /// Header fields of responses that mean something else.
    const TAKEN_BY_RESPONSES: [&str; 12] = [
        "allow",
        "cache-control",
        "connection",
        "content-encoding",
        "date",
        "etag",
        "gatepass-refresh",
        "location",
        "retry-after",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];

    /// The first place that can't be one, and what it must be.
    pub(crate) fn fault(&self) -> Option<(&str, &'static str)> {
        let other = |scheme: &&String| {
            !is_token(scheme) || ["bearer", "basic"].contains(&scheme.to_ascii_lowercase().as_str())
        };
        if let Some(scheme) = self.schemes.iter().find(other) {
            return Some((
                scheme,
                "a scheme other than Bearer and Basic, such as Token",
            ));
        }
        let header = self
            .header
            .filter(|name| !is_token(name) || Self::TAKEN.contains(name));
        if let Some(header) = header {
            return Some((header, "a header field of your own, such as X-Access-Token"));
        }
        let is_taken =
            |name: &&str| Self::TAKEN.contains(name) || Self::TAKEN_BY_RESPONSES.contains(name);
        let renewed = self
            .renewed
            .filter(|name| !is_token(name) || is_taken(name));
        if let Some(renewed) = renewed {
            return Some((
                renewed,
                "a header field of your own, such as X-Renewed-Token",
            ));
        }
        let mut cookies = [&self.cookie, &self.old_cookie].into_iter().flatten();
        let cookie = cookies.find(|name| !is_token(name) || name.contains("gatepass"));
        cookie.map(|name| {
            (
                name.as_str(),
                "a cookie's name without gatepass in it, such as session",
            )
        })
    }
}

/// `token` of RFC 9110 §5.6.2: the names of schemes, header fields and cookies.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_char)
}

fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
