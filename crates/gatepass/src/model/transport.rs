//! Where tokens travel between a browser or another client and the service.

/// How clients carry their tokens, chosen by [`transport`](crate::AuthorityBuilder::transport) at
/// the builder of the authority, or of a verifier alone.
///
/// `Authorization: Bearer` is understood in each case, and where it is there, it decides alone.
/// What is chosen here is whether cookies count, too, and what the endpoints answer with.
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

/// What is configured about browsers, for gates and endpoints alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrowserPolicy {
    pub(crate) transport: Transport,
    /// Cookies without `Secure`, on this machine's own names only.
    pub(crate) insecure_localhost: bool,
    /// Origins whose pages may use the cookies, besides the service's own.
    pub(crate) trusted_origins: Vec<String>,
}
