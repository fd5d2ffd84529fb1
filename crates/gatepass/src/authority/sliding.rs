//! Access tokens that are renewed while their client uses them.

use std::time::Duration;

use crate::{
    authority::{authority::Authority, issued::Renewed, renewals::PAUSE},
    error::Error,
    model::refusal::Refusal,
    token::pass::Pass,
};

impl Authority {
    /// Whether the access token of `pass` has half of its life behind it, and is of the
    /// application's own client.
    pub(crate) fn may_slide(&self, pass: &Pass) -> bool {
        let used = self.inner.settings.clock.now().since(pass.issued_at());
        let is_own = pass.own().is_ok() && pass.client_id() == Some(&self.inner.settings.client);
        is_own && 2 * used >= life(pass)
    }

    /// Renews the access token of `pass` as [`renew`](Self::renew) does, for a response that is
    /// about to leave. `None` if it can't be renewed, if that brings nothing, or if another request
    /// has just renewed it.
    ///
    /// The store is asked, and is written to only if no access token of the session may live for
    /// another half of a lifetime yet.
    pub(crate) async fn slide(&self, pass: &Pass) -> Option<Renewed> {
        let now = self.inner.settings.clock.now();
        let pause = PAUSE.min(life(pass) / 8);
        if !self.inner.renewals.has_turn(pass.token_id(), pause, now) {
            return None;
        }
        let renewed = self.slide_now(pass).await.ok()?;
        (renewed.expires_at > pass.expires_at()).then_some(renewed)
    }

    async fn slide_now(&self, pass: &Pass) -> Result<Renewed, Error> {
        match self.inner.verifier.check_strictly(pass).await {
            // As at a renewal: the new token gets the rights that the session has now.
            Ok(()) | Err(Error::Refused(Refusal::StaleGrant)) => {}
            Err(error) => return Err(error),
        }
        self.prepare_renewal(pass).await?;
        let (session, now) = self.live_session(pass).await?;
        let ttl = session.identity.own_access_ttl();
        let ttl = ttl.unwrap_or(self.inner.settings.access_ttl);
        let session = if session.access_until <= now + ttl / 2 {
            self.let_live(pass).await?
        } else {
            session
        };
        self.renewed(&session, pass).await
    }
}

fn life(pass: &Pass) -> Duration {
    pass.expires_at().since(pass.issued_at())
}
