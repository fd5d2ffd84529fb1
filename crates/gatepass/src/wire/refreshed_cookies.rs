//! The tokens that a gate has refreshed for a browser, until the response sets them.

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

/// The log message for a mistake in the application.
const OTHER_AUTHORITY: &str = "the authority of auto_refresh or adopt has another issuer or audience than the gate's verifier; \
     give both the same";

/// New cookies for a browser, and the check whether a response may set them.
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
        // Before the session rotates, because the verifier would refuse its new access token.
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

    /// Exchanges the token in an old system's cookie. `None` if it isn't a valid token of that
    /// system.
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

    /// The new access token. The gate must still judge it by the requirements of the route.
    pub(super) fn access_token(&self) -> &str {
        self.issued.access_token.as_str()
    }

    /// Whether a response whose head leaves now may set the cookies: the session must be live, and
    /// the refresh token must be its newest.
    ///
    /// This asks the store, because the handler may have taken long. Meanwhile, the user may have
    /// logged out on another node, or another request may have refreshed. If the store doesn't
    /// answer, the response doesn't set the cookies. gatepass then treats the browser's next
    /// request like one after a lost answer.
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

    /// Whether a `Set-Cookie` of the handler sets one of these cookies.
    pub(super) fn is_about(&self, set_cookie: &[u8]) -> bool {
        let name = cookie::name(set_cookie);
        self.cookies()
            .any(|own| cookie::name(own.as_bytes()) == name)
    }
}

/// Checks that a gate with this verifier accepts tokens of `authority`.
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

/// Leaves out the cookies, which hold tokens.
impl fmt::Debug for RefreshedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedCookies")
            .field("session", &self.issued.session_id)
            .finish_non_exhaustive()
    }
}
