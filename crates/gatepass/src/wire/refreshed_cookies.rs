//! The tokens that a gate has refreshed for a browser, on their way into the response.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    authority::{authority::Authority, issued::Issued},
    env::internal_error::InternalError,
    error::Error,
    http::head::RequestHead,
    model::refusal::Refusal,
    observe::Attempt,
    verifier::verifier::Verifier,
    wire::{cookie, credentials},
};

/// A mistake in the application, for its log.
const OTHER_AUTHORITY: &str = "the authority of auto_refresh has another issuer or audience than the gate's verifier; \
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
        let (own, theirs) = (verifier.policy(), authority.verifier().policy());
        if (&own.issuer, &own.audience) != (&theirs.issuer, &theirs.audience) {
            // Before the session rotates: its new access token would be refused.
            return Err(InternalError::new(OTHER_AUTHORITY).into());
        }
        let device = verifier.device(head);
        let token = match credentials::refresh_cookie(head, &own.browser) {
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
        let cookies = cookie::all(&issued, &own.browser)?.into_iter();
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
        let token = self.issued.refresh_token.as_str();
        self.authority.is_newest(token).await.unwrap_or(false)
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

/// Cookies hold tokens.
impl fmt::Debug for RefreshedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedCookies")
            .field("session", &self.issued.session_id)
            .finish_non_exhaustive()
    }
}
