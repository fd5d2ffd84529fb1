//! The exchange of an old system's token for a session.

use crate::{
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::refusal::Refusal,
    wire::{
        body::{BadRequest, RequestBody},
        credentials::{self, Source},
        endpoints::{
            Endpoints,
            delivery::{Delivered, Delivery},
        },
        refusal::ErrorFormat,
    },
};

impl Endpoints {
    /// Takes the old token from the same places as a gate. For a token in a header, the answer is
    /// the same as for a login, so that a page that has kept the token in a script can move to
    /// cookies. For a token in a cookie, the answer sets only cookies.
    pub(super) async fn adopt(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let policy = self.browser_policy();
        let found = match credentials::in_header(head, policy) {
            Ok(None) if policy.transport.has_cookies() => credentials::old_cookie(head, policy)
                .map(|token| token.map(|token| (Source::Cookie, token))),
            found => found.map(|token| token.map(|token| (Source::Bearer, token))),
        };
        let (source, token) = match found.and_then(|found| found.ok_or(Refusal::Missing)) {
            Ok(found) => found,
            Err(refusal) => {
                if refusal != Refusal::Missing {
                    self.refusals().token(None, &refusal);
                }
                return self.error_reply(&refusal.into(), ErrorFormat::Login);
            }
        };
        let delivery = match self.adopted_delivery(source, head, body) {
            Ok(delivery) => delivery,
            Err(bad) => return bad.into(),
        };
        match self.adopted(token, delivery, head).await {
            Ok(delivered) => delivered.into_reply(),
            Err(error) => self.error_reply(&error, ErrorFormat::Login),
        }
    }

    /// The delivery of the new tokens.
    fn adopted_delivery(
        &self,
        source: Source,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Result<Delivery, BadRequest> {
        match source {
            Source::Cookie => Ok(Delivery::Cookies),
            Source::Bearer if body.is_empty() => Ok(self.usual_delivery()),
            Source::Bearer => self.asked_delivery(&mut body.json_object(head)?),
        }
    }

    async fn adopted(
        &self,
        token: &str,
        delivery: Delivery,
        head: &RequestHead<'_>,
    ) -> Result<Delivered, Error> {
        if let Err(refusal) = self.may_get(delivery, head) {
            self.refusals().token(None, &refusal);
            return Err(refusal.into());
        }
        let (authority, longest) = (&self.inner.authority, self.longest_token(delivery));
        let issued = authority.adopt_fitting(token, head.device(), longest);
        let issued = issued.await?;
        if delivery == Delivery::Cookies {
            let own = issued.session_id;
            self.end_replaced(head, Some(own)).await;
            // Another old cookie would log the browser in again, perhaps as another user.
            let old = credentials::old_cookie(head, self.browser_policy());
            if let Some(old) = old.ok().flatten().filter(|old| *old != token) {
                let _ = self.authority_for(head).end_replaced(old, Some(own)).await;
            }
        }
        self.deliver(issued, delivery)
    }
}
