//! The ways in which clients and the service exchange tokens.

/// How clients carry their tokens. Set it with [`transport`](crate::AuthorityBuilder::transport) at
/// the builder of the authority, or of a verifier that you use alone.
///
/// gatepass always understands `Authorization: Bearer`. If a request has that header, gatepass
/// looks at no cookie. The transport decides whether gatepass also reads cookies, and whether the
/// endpoints answer with tokens or with cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one, the other, both")]
pub enum Transport {
    /// Tokens in bodies and in the `Authorization` header (RFC 6750 §2.1). gatepass neither reads
    /// nor sets cookies. For apps, services and pages that keep their tokens themselves. This is
    /// the default, because it needs no defence against requests from other sites.
    #[default]
    Bearer,
    /// gatepass answers logins with cookies that scripts cannot read, and not with tokens in a
    /// body. For web pages of the service's own site. OAuth clients still get their tokens from the
    /// token endpoint.
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

/// The places of tokens and the settings for browsers, for gates and endpoints alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrowserPolicy {
    pub(crate) places: TokenPlaces,
    pub(crate) transport: Transport,
    /// Cookies without `Secure`, only for host names of this machine, such as `localhost`.
    pub(crate) insecure_localhost: bool,
    /// Origins other than the service's own whose pages may use the cookies.
    pub(crate) trusted_origins: Vec<String>,
}

impl BrowserPolicy {
    /// Whether gatepass reads tokens from cookies.
    pub(crate) fn reads_cookies(&self) -> bool {
        let TokenPlaces {
            cookie, old_cookie, ..
        } = &self.places;
        self.transport.has_cookies() || cookie.is_some() || old_cookie.is_some()
    }
}

/// The places of access tokens other than `Authorization: Bearer` and gatepass's own cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenPlaces {
    /// Authentication schemes that mean the same as `Bearer`.
    pub(crate) schemes: Vec<String>,
    /// A header field, in lower case. The frameworks require `'static` names, and a process has
    /// few.
    pub(crate) header: Option<&'static str>,
    pub(crate) cookie: Option<String>,
    /// The cookie of the old system whose tokens gatepass adopts.
    pub(crate) old_cookie: Option<String>,
    /// The response header for renewed tokens, in lower case.
    pub(crate) renewed: Option<&'static str>,
}

impl TokenPlaces {
    /// Header fields that have another meaning for gatepass, or for every server.
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

    /// Response headers that have another meaning.
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

    /// The first invalid place, and a description of a valid one.
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
