//! Ends one session, all sessions of a user, or a single access token.

use tracing::instrument::{Instrument, WithSubscriber};

use crate::{
    authority::{authority::Authority, enforcing::Ending, events::Event},
    env::internal_error::InternalError,
    error::Error,
    model::{
        changes::RevokeToken,
        ids::{SessionId, Subject},
        refusal::Refusal,
        revocation::{Revocation, RevocationTarget},
        session::EndReason,
    },
    observe,
    store::EndSessions,
    token::{
        pass::{Origin, Pass},
        refresh,
    },
};

impl Authority {
    /// Ends the session of an access or refresh token. A refresh token of any generation will do,
    /// and also an expired access token: the holder of a token may always end its session. A
    /// session that has already ended stays ended. If the token is one of the system that you
    /// [adopt](crate::Adopt), the call revokes it and ends the session that it was exchanged for.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the token is not one of ours, [`Error::Store`] if the store did not
    /// confirm the end.
    pub async fn logout(&self, token: &str) -> Result<Ending, Error> {
        let (_, ending) = self.logout_unless(token, &[]).await?;
        Ok(ending.unwrap_or_else(|| Ending::new(self, false)))
    }

    /// Ends the session of a token as [`logout`](Self::logout) does, unless it is one of `ended`.
    /// Returns the session's id.
    pub(crate) async fn logout_unless(
        &self,
        token: &str,
        ended: &[SessionId],
    ) -> Result<(SessionId, Option<Ending>), Error> {
        let (session, target, subject) = match self.session_of_token(token) {
            Ok(found) => found,
            Err(refusal) => {
                let reason = EndReason::Logout;
                if let Some(ended) = self.end_old(token, &refusal, ended, reason).await? {
                    return Ok(ended);
                }
                self.inner.verifier.refusals().token(None, &refusal);
                return Err(refusal.into());
            }
        };
        if ended.contains(&session) {
            return Ok((session, None));
        }
        let ended = self.end(target, subject.as_ref(), EndReason::Logout);
        Ok((session, Some(ended.await?.ending)))
    }

    /// Ends the session of a token that a browser has sent with a login, since the answer replaces
    /// the token. Returns that session, or `None` if the token is not one of ours.
    pub(crate) async fn end_replaced(
        &self,
        token: &str,
        ended: Option<SessionId>,
    ) -> Result<Option<SessionId>, Error> {
        let (session, target, subject) = match self.session_of_token(token) {
            Ok(found) => found,
            Err(refusal) => {
                let (spared, reason) = (Vec::from_iter(ended), EndReason::Replaced);
                let ended = self.end_old(token, &refusal, &spared, reason).await?;
                return Ok(ended.map(|(session, _)| session));
            }
        };
        if ended != Some(session) {
            self.end(target, subject.as_ref(), EndReason::Replaced)
                .await?;
        }
        Ok(Some(session))
    }

    /// The session of an authentic token of any kind and age, how to end it, and its user if the
    /// token says so.
    fn session_of_token(
        &self,
        token: &str,
    ) -> Result<(SessionId, EndSessions, Option<Subject>), Refusal> {
        if token.starts_with(refresh::PREFIX) {
            let session = self.open_refresh_token(token)?.session;
            Ok((session, EndSessions::Session(session), None))
        } else {
            let pass = self.inner.verifier.open(token)?;
            let (session, subject) = (pass.own()?.id, pass.subject().clone());
            let target = EndSessions::SessionOf(session, self.account(&subject));
            Ok((session, target, Some(subject)))
        }
    }

    /// Ends every session of `subject` at this issuer, for all audiences.
    ///
    /// It is one act of constant size, however many sessions there are. It doesn't affect a login
    /// that begins after the call has returned, not even one in the same millisecond.
    ///
    /// It also revokes all tokens that the user has got so far from the system that you
    /// [adopt](crate::Adopt).
    ///
    /// If the user changes the password or is deleted, the end can commit together with that
    /// change: see [`docs::transactions`](crate::docs::transactions).
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm the end.
    pub async fn logout_all(&self, subject: &Subject) -> Result<Ending, Error> {
        let target = EndSessions::AllOf(self.account(subject));
        self.end_all(target, subject).await
    }

    /// Ends every session of the pass's subject except the pass's own, as
    /// [`logout_all`](Self::logout_all) does. If the pass's own session has ended meanwhile, it
    /// stays ended.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm the end.
    pub async fn logout_others(&self, pass: &Pass) -> Result<Ending, Error> {
        let own = pass.own()?.id;
        let target = EndSessions::AllOfBut(self.account(pass.subject()), own);
        self.end_all(target, pass.subject()).await
    }

    /// Ends many sessions of `subject`, and the tokens of an old system that could be exchanged for
    /// new ones.
    async fn end_all(&self, target: EndSessions, subject: &Subject) -> Result<Ending, Error> {
        let (authority, subject) = (self.clone(), subject.clone());
        to_the_end(async move {
            authority.retire_all(&subject).await?;
            let reason = EndReason::LogoutAll;
            let ended = authority.end_now(target, Some(&subject), reason);
            Ok(ended.await?.ending)
        })
        .await
    }

    /// Ends a session of `subject`, as its owner wishes. Returns `None` if the session isn't, and
    /// was not, the subject's.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm the end.
    pub async fn end_session_of(
        &self,
        subject: &Subject,
        id: SessionId,
    ) -> Result<Option<Ending>, Error> {
        let account = self.account(subject);
        let target = EndSessions::SessionOf(id, account);
        let ended = self.end(target, Some(subject), EndReason::EndedByUser);
        let ended = ended.await?;
        if !ended.is_new {
            let (session, _) = self.ask("load", self.inner.store.load(id)).await?;
            if session.is_none_or(|session| session.account() != account) {
                return Ok(None);
            }
        }
        Ok(Some(ended.ending))
    }

    /// Ends a session of this issuer, as the application wishes. An unknown or ended session stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm the end.
    pub async fn end_session(&self, id: SessionId) -> Result<Ending, Error> {
        let (session, _) = self.ask("load", self.inner.store.load(id)).await?;
        let issuer = &self.inner.verifier.policy().issuer;
        let Some(session) = session.filter(|session| session.issuer == *issuer) else {
            return Ok(Ending::new(self, false));
        };
        let target = EndSessions::SessionOf(id, session.account());
        let reason = EndReason::EndedByApplication;
        let ended = self.end(target, Some(session.subject()), reason);
        Ok(ended.await?.ending)
    }

    /// Revokes one access token, and leaves its session alone. A session has at most 8 revoked
    /// tokens at a time, and its subject at most 100; one more ends the session instead.
    ///
    /// The call revokes a token of another issuer on this service's nodes, by its `jti` or by a
    /// hash of its text. Its subject has at most 100 revoked tokens at a time; one more revokes all
    /// of them that were issued up to now ([`revoke_foreign`](Self::revoke_foreign)).
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm the revocation.
    pub async fn revoke_token(&self, pass: &Pass) -> Result<Ending, Error> {
        let (authority, pass) = (self.clone(), pass.clone());
        to_the_end(async move { authority.revoke_token_now(&pass).await }).await
    }

    async fn revoke_token_now(&self, pass: &Pass) -> Result<Ending, Error> {
        let session = match pass.origin() {
            Origin::Own(session) => session.id,
            Origin::Foreign(foreign) => return self.revoke_foreign_pass(pass, foreign).await,
        };
        let token = RevokeToken {
            token: pass.token_id(),
            session,
            account: self.account(pass.subject()),
            // An open connection may outlive its token, and must find the entry.
            until: pass.expires_at().max(self.inner.settings.clock.now()),
        };
        let revoked = self
            .ask("revoke_token", self.inner.store.revoke_token(token))
            .await?;
        let here = match revoked {
            Some(
                revocation @ Revocation {
                    target: RevocationTarget::Session(_),
                    ..
                },
            ) => {
                let subject = Some(pass.subject());
                self.enforce(revocation, subject, EndReason::TooManyRevocations);
                true
            }
            Some(revocation) => {
                self.inner.verifier.apply(&[revocation]);
                observe::token_revoked(pass);
                true
            }
            // It was revoked before, maybe by a call whose answer was lost; the revocation is
            // durable.
            None => self.inner.verifier.catch_up().await.is_ok(),
        };
        Ok(Ending::new(self, here))
    }

    /// Ends the sessions that `target` names.
    pub(super) async fn end(
        &self,
        target: EndSessions,
        subject: Option<&Subject>,
        reason: EndReason,
    ) -> Result<Done, Error> {
        let (authority, subject) = (self.clone(), subject.cloned());
        to_the_end(async move { authority.end_now(target, subject.as_ref(), reason).await }).await
    }

    async fn end_now(
        &self,
        target: EndSessions,
        subject: Option<&Subject>,
        reason: EndReason,
    ) -> Result<Done, Error> {
        let ended = self
            .ask("end", self.inner.store.end(target, reason))
            .await?;
        // The bound counts from here, since catching up may take long.
        let mut ending = Ending::new(self, true);
        match ended {
            Some(revocation) => self.enforce(revocation, subject, reason),
            // It was ended before, maybe by a call whose answer was lost. The end is durable. If
            // this call fails, the node still enforces it within the bound.
            None => ending.here = self.inner.verifier.catch_up().await.is_ok(),
        }
        Ok(Done {
            is_new: ended.is_some(),
            ending,
        })
    }

    /// Enforces here and now the end that has just been committed; the other nodes follow the log.
    pub(super) fn enforce(&self, ended: Revocation, subject: Option<&Subject>, reason: EndReason) {
        self.inner.verifier.apply(&[ended]);
        match ended.target {
            RevocationTarget::Session(session) => {
                observe::session_ended(session, subject, reason, self.device.as_deref());
                self.tell(|| Event::SessionEnded {
                    session,
                    subject: subject.cloned(),
                    reason,
                });
            }
            RevocationTarget::Sessions(_, cutoff) => {
                observe::sessions_ended(cutoff, subject, reason, self.device.as_deref());
                self.tell(|| Event::SessionsEnded {
                    subject: subject.cloned(),
                    up_to: cutoff.up_to,
                    except: cutoff.except,
                    reason,
                });
            }
            RevocationTarget::Token(_) | RevocationTarget::Grant(..) => {}
        }
    }
}

/// The result of an end.
pub(super) struct Done {
    /// Whether it was this call that ended it.
    pub(super) is_new: bool,
    pub(super) ending: Ending,
}

/// Runs `work` to its end, even if the client that asked for it hangs up meanwhile. A client that
/// does not wait must not undo a logout that has arrived, and a thief who does not wait must not
/// undo the end of a session.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::spawn(work.in_current_span().with_current_subscriber()).await;
    done.unwrap_or_else(|_| Err(InternalError::new("a revocation panicked").into()))
}
