//! Refreshing: what was decided, done.

use std::time::Duration;

use tracing::{error, info, warn};

use super::{Authority, Settings};
use crate::{
    Advance, Decision, EndReason, EndTarget, Error, Generation, Grant, GrantError, InternalError,
    Issued, OnReuse, Recover, Refusal, Reread, Session, SessionId, StoreError, StoreErrorKind,
    Timestamp, decide, refresh::Presented,
};

/// How often a refresh that loses against others is decided anew. Each loss means that another one
/// won, after which this one is answered as a replay; more than a few show a store that is broken.
const MAX_LOST_RACES: usize = 8;

impl Authority {
    /// Refreshes the session of a refresh token (RFC 6749 §6) for the application's own client.
    ///
    /// See [`decide`] for what becomes of which token. An [`Authenticator`](crate::Authenticator) is asked about the user
    /// first, so that its failure spends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason, [`Error::Store`] if store or users do not answer: the
    /// client should try again with the same token.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Issued, Error> {
        let opened = self.inner.settings.refresh_keys.open(refresh_token);
        let presented = opened.inspect_err(|refusal| {
            info!(target: "gatepass", reason = refusal.reason(), "refresh.refused");
        })?;
        let refreshed = self.refresh_presented(presented).await;
        if let Err(Error::Refused(refusal)) = &refreshed {
            info!(
                target: "gatepass", session = %presented.session, reason = refusal.reason(),
                "refresh.refused"
            );
        }
        refreshed
    }

    async fn refresh_presented(&self, presented: Presented) -> Result<Issued, Error> {
        let settings = &self.inner.settings;
        if settings.authenticator.is_none() {
            // The common case is one round trip: advance at once, and look only if that did not fit.
            let to = presented.generation.next();
            if let Some(session) = self
                .advance(presented.session, presented.generation, to, None)
                .await?
            {
                return self.refreshed(&session);
            }
        }
        let mut arrived = None;
        for _ in 0..MAX_LOST_RACES {
            if let Some(issued) = self.decide_and_act(presented, &mut arrived).await? {
                return Ok(issued);
            }
        }
        Err(StoreError::new(StoreErrorKind::Busy).into())
    }

    /// Reads the session, decides, and does what was decided; `None` if another was faster.
    ///
    /// Decides by the time of the first look, kept in `arrived`: whoever then takes long to read the
    /// user again, and loses a race meanwhile, has not presented a token that was spent long ago.
    async fn decide_and_act(
        &self,
        presented: Presented,
        arrived: &mut Option<Timestamp>,
    ) -> Result<Option<Issued>, Error> {
        let settings = &self.inner.settings;
        let (session, now) = self
            .ask("load", self.inner.store.load(presented.session))
            .await?;
        let generation = presented.generation;
        let decision = decide(
            session.as_ref(),
            generation,
            &settings.client,
            &settings.reuse,
            *arrived.get_or_insert(now),
        );
        let session = match (decision, session) {
            (Decision::Refuse(refusal), _) => return Err(refusal.into()),
            (_, None) => return Err(InternalError::new("a decision about no session").into()),
            (Decision::Advance { from, to }, Some(session)) => {
                let grant = self.reread(&session).await?;
                let Some(session) = self.advance(session.id, from, to, grant).await? else {
                    return Ok(None);
                };
                if from != generation {
                    error!(
                        target: "gatepass", subject = %session.subject(), session = %session.id,
                        gap = generation.gap(from), "store.behind"
                    );
                }
                return self.refreshed(&session).map(Some);
            }
            (Decision::Recover, Some(session)) => {
                let grant = self.reread(&session).await?;
                let recover = Recover {
                    id: session.id,
                    client: settings.client.clone(),
                    generation: session.generation,
                    grant,
                    access_ttl: settings.access_ttl,
                };
                let recovered = self
                    .ask("recover", self.inner.store.recover(recover))
                    .await?;
                let Some(session) = recovered else {
                    return Ok(None);
                };
                warn!(
                    target: "gatepass", subject = %session.subject(), session = %session.id,
                    generation = generation.get(), "session.recovered"
                );
                session
            }
            (Decision::Replay, Some(session)) => session,
            (Decision::Reuse { gap, age }, Some(session)) => {
                return self.reused(&session, gap, age).await.map(Some);
            }
        };
        let (issued, token) = self.answer(&session)?;
        info!(
            target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
            "session.replayed"
        );
        Ok(Some(issued))
    }

    async fn reused(
        &self,
        session: &Session,
        gap: u32,
        age: Option<Duration>,
    ) -> Result<Issued, Error> {
        warn!(
            target: "gatepass", subject = %session.subject(), session = %session.id, gap,
            age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            "session.reuse_detected"
        );
        if self.inner.settings.reuse.on_reuse == OnReuse::EndSession {
            self.end(own(session), EndReason::Reuse).await?;
        }
        Err(Refusal::Reused.into())
    }

    /// What the user may have become; `None` if it is as it was.
    async fn reread(&self, session: &Session) -> Result<Option<Grant>, Error> {
        let Some(authenticator) = &self.inner.settings.authenticator else {
            return Ok(None);
        };
        match self.consult(authenticator.reread(session)).await? {
            Reread::Unchanged => Ok(None),
            Reread::Changed(grant) if grant.subject() != session.subject() => {
                Err(GrantError::SubjectChanged.into())
            }
            Reread::Changed(grant) => {
                self.check_grant(&grant)?;
                Ok(Some(grant))
            }
            Reread::Gone => {
                self.end(own(session), EndReason::UserGone).await?;
                Err(Refusal::SessionEnded.into())
            }
        }
    }

    async fn advance(
        &self,
        id: SessionId,
        from: Generation,
        to: Generation,
        grant: Option<Grant>,
    ) -> Result<Option<Session>, Error> {
        let Settings {
            client,
            idle_ttl,
            access_ttl,
            ..
        } = &self.inner.settings;
        let client = client.clone();
        let advance = Advance {
            id,
            client,
            from,
            to,
            grant,
            idle_ttl: *idle_ttl,
            access_ttl: *access_ttl,
        };
        self.ask("advance", self.inner.store.advance(advance)).await
    }

    fn refreshed(&self, session: &Session) -> Result<Issued, Error> {
        let (issued, token) = self.answer(session)?;
        info!(
            target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
            generation = session.generation.get(), "session.refreshed"
        );
        Ok(issued)
    }
}

fn own(session: &Session) -> EndTarget {
    EndTarget::SessionOf(session.id, session.subject().clone())
}
