//! The tokens that a gate has refreshed for a browser, on their way into the response.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    authority::{authority::Authority, issued::Issued},
    denylist::staleness::Staleness,
    env::internal_error::InternalError,
    error::Error,
    http::head::RequestHead,
    model::{refusal::Refusal, transport::BrowserPolicy},
    observe::Attempt,
    verifier::{requirements::Requirements, verifier::Verifier},
    wire::{
        cookie::{self, Kind},
        credentials,
    },
};

/// A mistake in the application, for its log.
const OTHER_AUTHORITY: &str = "the authority of auto_refresh or adopt has another issuer or audience than the gate's verifier; \
     give both the same";

/// New cookies for a browser, and what decides whether a response may set them.
pub(super) struct RefreshedCookies {
    authority: Authority,
    issued: Issued,
    /// The values of `Set-Cookie`.
    cookies: Vec<Zeroizing<String>>,
}

impl RefreshedCookies {
    /// Refreshes the session of the refresh cookie.
    pub(super) async fn begin(
        authority: &Authority,
        verifier: &Verifier,
        head: &RequestHead<'_>,
    ) -> Result<Self, Error> {
        // Before the session rotates: its new access token would be refused.
        check_authority(authority, verifier)?;
        let policy = verifier.browser_policy();
        let device = verifier.device(head);
        let token = match credentials::refresh_cookie(head, policy) {
            Ok(token) => token.ok_or(Refusal::Missing)?,
            Err(refusal) => {
                let attempt = Attempt {
                    device: Some(&device),
                    ..Attempt::default()
                };
                verifier.refusals().refresh(&attempt, &refusal);
                return Err(refusal.into());
            }
        };
        let client = authority.client_id();
        let issued = authority.refresh_as(client, token, None, Some(&device));
        let issued = issued.await?;
        Self::of(authority, issued, policy)
    }

    /// Exchanges the token in an old system's cookie. `None` if it isn't a good one of that system.
    pub(super) async fn adopt(
        authority: &Authority,
        verifier: &Verifier,
        head: &RequestHead<'_>,
        token: &str,
    ) -> Result<Option<Self>, Error> {
        check_authority(authority, verifier)?;
        let policy = verifier.browser_policy();
        let longest = cookie::longest_token(Kind::Access, policy);
        let issued = authority.adopt_cookie(token, verifier.device(head), longest);
        let issued = issued.await?;
        issued
            .map(|issued| Self::of(authority, issued, policy))
            .transpose()
    }

    fn of(authority: &Authority, issued: Issued, policy: &BrowserPolicy) -> Result<Self, Error> {
        let cookies = cookie::all(&issued, policy)?.into_iter();
        Ok(Self {
            authority: authority.clone(),
            cookies: cookies.map(Zeroizing::new).collect(),
            issued,
        })
    }

    /// The new access token, whose route's requirements are yet to be judged.
    pub(super) fn access_token(&self) -> &str {
        self.issued.access_token.as_str()
    }

    /// Whether a response whose head leaves now may set the cookies: the session must live, and the
    /// refresh token must be its newest.
    ///
    /// The store is asked, since the handler may have taken long: the user may have logged out on
    /// another node, or another request may have refreshed. If the store doesn't answer, the
    /// cookies aren't set, and the browser's next request is answered as one whose answer was lost.
    pub(super) async fn may_be_set(&self) -> bool {
        let refresh_token = &self.issued.refresh_token;
        if refresh_token.is_empty() {
            let strict = Requirements::new().staleness(Staleness::Strict);
            let verifier = self.authority.verifier();
            return verifier.verify(self.access_token(), &strict).await.is_ok();
        }
        let is_newest = self.authority.is_newest(refresh_token.as_str());
        is_newest.await.unwrap_or(false)
    }

    /// The values of `Set-Cookie`.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &str> {
        self.cookies.iter().map(|cookie| cookie.as_str())
    }

    /// Whether a `Set-Cookie` of the handler is about one of these cookies.
    pub(super) fn is_about(&self, set_cookie: &[u8]) -> bool {
        let name = cookie::name(set_cookie);
        self.cookies()
            .any(|own| cookie::name(own.as_bytes()) == name)
    }
}

/// Checks that tokens of `authority` are good for a gate with this verifier.
pub(super) fn check_authority(
    authority: &Authority,
    verifier: &Verifier,
) -> Result<(), InternalError> {
    let (own, theirs) = (verifier.policy(), authority.verifier().policy());
    if (&own.issuer, &own.audience) == (&theirs.issuer, &theirs.audience) {
        Ok(())
    } else {
        Err(InternalError::new(OTHER_AUTHORITY))
    }
}

/// Cookies hold tokens.
impl fmt::Debug for RefreshedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedCookies")
            .field("session", &self.issued.session_id)
            .finish_non_exhaustive()
    }
}
