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

/// The configuration for browsers, for gates and endpoints alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrowserPolicy {
    pub(crate) transport: Transport,
    /// Cookies without `Secure`, on this machine's own names only.
    pub(crate) insecure_localhost: bool,
    /// Origins other than the service's own whose pages may use the cookies.
    pub(crate) trusted_origins: Vec<String>,
}
