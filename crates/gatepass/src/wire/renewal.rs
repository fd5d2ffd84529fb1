//! The tokens that a gate has refreshed for a browser, on their way into the response.

use std::{fmt, time::Duration};

use crate::{
    authority::{authority::Authority, refreshing::Refreshed},
    denylist::lease::Reading,
    error::Error,
    model::{ids::Generation, refusal::Refusal},
    observe::Attempt,
    token::pass::Pass,
    verifier::verifier::Verifier,
    wire::{cookie, credentials, head::RequestHead},
};

/// New cookies for a browser, and what decides whether a response may still set them.
pub(super) struct Renewal {
    authority: Authority,
    /// The values of `Set-Cookie`.
    cookies: [String; 2],
    pass: Pass,
    generation: Generation,
    /// Before the store was asked.
    began: Reading,
    /// How long ago the session rotated then; `None` if it may rotate again at once.
    rotated_ago: Option<Duration>,
}

impl Renewal {
    /// Refreshes the session of the refresh cookie. The access token of `pass` is new, and the
    /// requirements of the route are yet to be judged.
    pub(super) async fn begin(
        authority: &Authority,
        verifier: &Verifier,
        head: &RequestHead<'_>,
    ) -> Result<(Self, String), Error> {
        let policy = verifier.browser_policy();
        let device = head.device();
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
        let began = verifier.reading();
        let client = authority.client_id();
        let refreshed = authority.refresh_for(client, token, None, Some(&device));
        let Refreshed {
            issued,
            generation,
            rotated_ago,
        } = refreshed.await?;
        let access = issued.access_token.as_str().to_owned();
        let renewal = Self {
            authority: authority.clone(),
            cookies: cookie::pair(&issued, policy)?,
            pass: verifier.open(&access)?,
            generation,
            began,
            rotated_ago,
        };
        Ok((renewal, access))
    }

    /// Whether a response whose head leaves now may set the cookies: the session must live, and no
    /// newer tokens may be on their way to the browser.
    ///
    /// A session doesn't rotate again within the overlap, so that until then the tokens are the
    /// newest. If the session didn't rotate, because the answer to the last rotation was lost, it
    /// may do so any time, and the store is asked. Cookies that aren't set cost the browser
    /// nothing: its next request is answered as one whose answer was lost.
    pub(super) async fn may_be_set(&self) -> bool {
        let verifier = self.authority.verifier();
        if !verifier.finds_live(&self.pass).await {
            return false;
        }
        let Some(rotated_ago) = self.rotated_ago else {
            let (session, generation) = (self.pass.session_id(), self.generation);
            let current = self.authority.is_current(session, generation).await;
            return current.unwrap_or(false);
        };
        let overlap = self.authority.overlap();
        let age = self.began.age(verifier.reading());
        age.is_some_and(|age| age.saturating_add(rotated_ago) < overlap)
    }

    pub(super) fn cookies(&self) -> &[String; 2] {
        &self.cookies
    }
}

/// Cookies hold tokens.
impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("session", &self.pass.session_id())
            .finish_non_exhaustive()
    }
}
