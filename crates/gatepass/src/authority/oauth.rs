//! The calls of OAuth clients and resource servers about single tokens: to revoke one, and to ask
//! whether one is good.

use crate::{
    authority::authority::Authority,
    denylist::staleness::Staleness,
    error::Error,
    model::{
        ids::ClientId,
        refusal::Refusal,
        rotation::{Decision, decide},
        session::{EndReason, Session},
    },
    store::EndSessions,
    token::{pass::Pass, refresh},
    verifier::requirements::Requirements,
};

/// The answer of [`Authority::introspect`] about a token (RFC 7662 §2.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is not one of ours, or it is no longer good. The answer doesn't say which.
    Inactive,
    /// An access token that is good.
    AccessToken(Pass),
    /// A refresh token that a refresh would accept, and its session.
    RefreshToken(Box<Session>),
}

impl Authority {
    /// Revokes a token for `client`, which must be the client that got it (RFC 7009). For an access
    /// token, it revokes only that token. For a refresh token, it ends the session. The call
    /// changes nothing if the token is not one of ours, if the access token has expired, or if the
    /// session has ended.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongClient`] if it is another client's, [`Error::Store`] if the store did not
    /// confirm the revocation.
    pub async fn revoke(&self, client: &ClientId, token: &str) -> Result<(), Error> {
        let revoked = if token.starts_with(refresh::PREFIX) {
            self.revoke_refresh_token(client, token).await
        } else {
            self.revoke_access_token(client, token).await
        };
        revoked.inspect_err(|error| {
            if let Error::Refused(refusal) = error {
                self.inner.verifier.refusals().revocation(refusal);
            }
        })
    }

    async fn revoke_refresh_token(&self, client: &ClientId, token: &str) -> Result<(), Error> {
        let Ok(presented) = self.open_refresh_token(token) else {
            return Ok(());
        };
        let loaded = self.ask("load", self.inner.store.load(presented.session));
        match loaded.await?.0 {
            None => Ok(()),
            Some(session) if session.client != *client => Err(Refusal::WrongClient.into()),
            Some(session) => {
                let target = EndSessions::SessionOf(session.id, session.account());
                self.end(target, Some(session.subject()), EndReason::Logout)
                    .await
                    .map(drop)
            }
        }
    }

    async fn revoke_access_token(&self, client: &ClientId, token: &str) -> Result<(), Error> {
        let Ok(pass) = self.inner.verifier.open(token) else {
            return Ok(());
        };
        if pass.client_id() != Some(client) {
            return Err(Refusal::WrongClient.into());
        }
        if self
            .inner
            .verifier
            .check_time(&pass, self.inner.settings.clock.now())
            == Err(Refusal::Expired)
        {
            return Ok(());
        }
        self.revoke_token(&pass).await.map(drop)
    }

    /// Finds out what a token is good for, for a caller that was authorized to know (RFC 7662).
    ///
    /// The call asks the store, so the answer is not older than the question. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store does not answer. A refused token is
    /// [`Introspection::Inactive`], not an error.
    pub async fn introspect(&self, token: &str) -> Result<Introspection, Error> {
        if token.starts_with(refresh::PREFIX) {
            return self.introspect_refresh_token(token).await;
        }
        let requirements = Requirements::new()
            .staleness(Staleness::Strict)
            .own_issuer();
        match self.inner.verifier.verify(token, &requirements).await {
            Ok(pass) => Ok(Introspection::AccessToken(pass)),
            Err(Error::Refused(_)) => Ok(Introspection::Inactive),
            Err(error) => Err(error),
        }
    }

    async fn introspect_refresh_token(&self, token: &str) -> Result<Introspection, Error> {
        let Ok(presented) = self.open_refresh_token(token) else {
            return Ok(Introspection::Inactive);
        };
        let (session, now) = self
            .ask("load", self.inner.store.load(presented.session))
            .await?;
        let Some(session) = session else {
            return Ok(Introspection::Inactive);
        };
        let (generation, reuse) = (presented.generation, &self.inner.settings.reuse);
        let presenter = self.presenter(&session.client);
        match decide(Some(&session), generation, presenter, reuse, now) {
            Decision::Advance { .. } | Decision::Replay | Decision::Recover => {
                Ok(Introspection::RefreshToken(Box::new(session)))
            }
            Decision::Refuse(_) | Decision::Reuse { .. } => Ok(Introspection::Inactive),
        }
    }
}
