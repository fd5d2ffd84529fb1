//! The renewal of access tokens while their client uses them.

use std::time::Duration;

use crate::{
    authority::{authority::Authority, issued::Renewed, renewals::PAUSE},
    env::clock::Timestamp,
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

    /// Renews the access token of `pass` as [`renew`](Self::renew) does, if it has half of its life
    /// behind it. Returns `None` before that, if another request has just renewed the token, and
    /// for a token without a session here or of another OAuth client. Use it on a route that gives
    /// its client the token in a body of your own. Otherwise
    /// [`auto_renew`](crate::wire::Gate::auto_renew) does the same for all routes of a gate.
    ///
    /// The call asks the store only if the token is due. It writes to the store only if no access
    /// token of the session may live for another half of a lifetime.
    ///
    /// ```
    /// use gatepass::{AccessToken, Authority, Error, Pass};
    ///
    /// /// The token that the client is to use from now on.
    /// async fn token(
    ///     authority: &Authority,
    ///     pass: &Pass,
    ///     presented: AccessToken,
    /// ) -> Result<AccessToken, Error> {
    ///     let renewed = authority.renew_if_due(pass).await?;
    ///     Ok(renewed.map_or(presented, |renewed| renewed.access_token))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew). The presented token stays good until it expires.
    pub async fn renew_if_due(&self, pass: &Pass) -> Result<Option<Renewed>, Error> {
        let now = self.inner.settings.clock.now();
        let pause = PAUSE.min(life(pass) / 8);
        let renewals = &self.inner.renewals;
        if !self.may_slide(pass) || !renewals.has_turn(pass.token_id(), pause, now) {
            return Ok(None);
        }
        self.slide_now(pass).await
    }

    async fn slide_now(&self, pass: &Pass) -> Result<Option<Renewed>, Error> {
        match self.inner.verifier.check_strictly(pass).await {
            // As at a renewal: the new token gets the rights that the session has now.
            Ok(()) | Err(Error::Refused(Refusal::StaleGrant)) => {}
            Err(error) => return Err(error),
        }
        self.prepare_renewal(pass).await?;
        let (session, now) = self.live_session(pass).await?;
        let proved = |at: Timestamp| at.unix_secs() < session.authenticated_at.unix_secs();
        if pass.authenticated_at().is_some_and(proved) {
            // The user has authenticated since then, and the answer had a newer token, which this
            // one would replace in a cookie.
            return Ok(None);
        }
        let ttl = session.identity.own_access_ttl();
        let ttl = ttl.unwrap_or(self.inner.settings.access_ttl);
        let session = if session.access_until <= now + ttl / 2 {
            self.let_live(pass).await?
        } else {
            session
        };
        self.renewed(&session, pass).await.map(Some)
    }
}

fn life(pass: &Pass) -> Duration {
    pass.expires_at().since(pass.issued_at())
}
