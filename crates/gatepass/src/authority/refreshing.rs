//! Refreshes sessions: carries out the decision about a refresh token.

use std::time::Duration;

use crate::{
    authority::{
        authenticator::UserUpdate,
        authority::{Authority, Settings, cleaned},
        events::Event,
        issued::Issued,
    },
    env::{clock::Timestamp, internal_error::InternalError},
    error::Error,
    model::{
        changes::{Advance, AdvanceCause, Recover},
        device::{Device, SeenFrom},
        grant::GrantEffect,
        identity::{Identity, IdentityError},
        ids::{ClientId, Generation, SessionId, Subject},
        refusal::Refusal,
        rotation::{Decision, OnReuse, decide},
        scopes::Scopes,
        session::{EndReason, Session},
    },
    observe::{self, Attempt},
    store::{
        EndSessions,
        error::{StoreError, StoreErrorKind},
    },
    token::refresh::Presented,
};

/// How often a refresh that loses against others is decided anew. After each loss, another refresh
/// has won, and this one is answered as a replay. More than a few losses show that the store is
/// broken.
pub(super) const MAX_LOST_RACES: usize = 8;

impl Authority {
    /// Refreshes the session of a refresh token (RFC 6749 §6) for the application's own client.
    ///
    /// [`decide`] documents the outcome for each token. An [`Authenticator`](crate::Authenticator)
    /// reads the user again first, so that its failure spends nothing. It also does so if the
    /// session doesn't rotate: for example, a retry gets no access token for a user that was just
    /// deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason, [`Error::Store`] if the store or the source of users
    /// does not answer: the client should try again with the same token.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Issued, Error> {
        self.refresh_as(&self.inner.settings.client, refresh_token, None, None)
            .await
    }

    /// Refreshes the session of a refresh token for `client`, which must be the client of the
    /// session. The access token gets `scopes`, which the session must have, or else all scopes of
    /// the session (RFC 6749 §6).
    ///
    /// `device` is where the request came from, if you know it. The log shows it at a refusal and
    /// at a reuse: for example, the address of a thief.
    ///
    /// # Errors
    ///
    /// As [`refresh`](Self::refresh), and [`Refusal::ScopeNotGranted`], which spends nothing.
    pub async fn refresh_as(
        &self,
        client: &ClientId,
        refresh_token: &str,
        scopes: Option<&Scopes>,
        device: Option<&Device>,
    ) -> Result<Issued, Error> {
        let device = device.cloned().map(cleaned);
        let device = device.as_ref();
        let now = self.inner.settings.clock.now();
        let refusals = self.inner.verifier.refusals();
        let opened = self.open_refresh_token_at(refresh_token, now);
        let presented = opened.inspect_err(|refusal| {
            let attempt = Attempt {
                device,
                ..Attempt::default()
            };
            refusals.refresh(&attempt, refusal);
        })?;
        let mut refreshing = Refreshing {
            presented,
            client,
            scopes,
            device,
            method: "refresh",
            spends: true,
            arrived: None,
            owner: None,
        };
        let refreshed = self
            .refresh_presented(&mut refreshing)
            .await
            .and_then(|issued| {
                // Its secret may have been removed meanwhile, and the new tokens are of the next
                // secret.
                self.open_refresh_token_at(refresh_token, now)?;
                Ok(issued)
            });
        if let Err(Error::Refused(refusal)) = &refreshed {
            let owner = refreshing.owner.as_ref();
            let name_hash = owner.map(|owner| self.name_hash(owner.as_str()));
            let attempt = Attempt {
                session: Some(presented.session),
                subject: owner,
                name_hash: name_hash.as_deref(),
                device,
            };
            refusals.refresh(&attempt, refusal);
        }
        refreshed
    }

    /// Whether the store now says that the refresh token is the newest of a live session.
    pub(crate) async fn is_newest(&self, refresh_token: &str) -> Result<bool, Error> {
        let Presented {
            session,
            generation,
        } = self.open_refresh_token(refresh_token)?;
        let (session, now) = self.ask("load", self.inner.store.load(session)).await?;
        let newest = |session: Session| session.is_live(now) && session.generation == generation;
        Ok(session.is_some_and(newest))
    }

    async fn refresh_presented(&self, refreshing: &mut Refreshing<'_>) -> Result<Issued, Error> {
        if self.inner.settings.authenticator.is_none() && refreshing.scopes.is_none() {
            // The common case is one round trip: advance at once, and look only if that did not
            // fit.
            let Presented {
                session,
                generation,
            } = refreshing.presented;
            let mut advance =
                self.advance_of(session, refreshing.client, generation, generation.next());
            advance.seen_from = seen_from(refreshing.device);
            if let Some(session) = self.advance(advance).await? {
                let by = ("refresh", refreshing.device);
                return self.refreshed(&session, None, by).await;
            }
        }
        self.settle_refresh(refreshing).await
    }

    /// Reads the session, decides and acts, until no other request is faster.
    pub(super) async fn settle_refresh(
        &self,
        refreshing: &mut Refreshing<'_>,
    ) -> Result<Issued, Error> {
        for _ in 0..MAX_LOST_RACES {
            if let Some(issued) = self.decide_and_act(refreshing).await? {
                return Ok(issued);
            }
        }
        Err(StoreError::new(StoreErrorKind::Busy).into())
    }

    /// Reads the session, decides and acts. `None` if another request was faster.
    async fn decide_and_act(
        &self,
        refreshing: &mut Refreshing<'_>,
    ) -> Result<Option<Issued>, Error> {
        let settings = &self.inner.settings;
        let Refreshing {
            presented,
            client,
            scopes,
            device,
            method,
            spends,
            ref mut arrived,
            ref mut owner,
        } = *refreshing;
        let (session, now) = self
            .ask("load", self.inner.store.load(presented.session))
            .await?;
        *owner = session.as_ref().map(|session| session.subject().clone());
        let generation = presented.generation;
        let arrived = *arrived.get_or_insert(now);
        // If the session has rotated since then, that is no sign of a clock that was ahead.
        let rotated = session
            .as_ref()
            .map(|session| session.last_seen_at.min(now));
        let time = rotated.map_or(arrived, |rotated| arrived.max(rotated));
        let decision = decide(
            session.as_ref(),
            generation,
            self.presenter(client),
            &settings.reuse,
            time,
        );
        let session = match (decision, session) {
            (Decision::Refuse(refusal), _) => return Err(refusal.into()),
            (_, None) => return Err(InternalError::new("a decision about no session").into()),
            (Decision::Advance { from, to }, Some(session)) => {
                let to = if spends { to } else { from };
                let Some(session) = self.reload_user(session, scopes).await? else {
                    return Ok(None);
                };
                let mut advance = self.advance_of(session.id, client, from, to);
                advance.seen_from = seen_from(device);
                let Some(session) = self.advance(advance).await? else {
                    return Ok(None);
                };
                if from != generation {
                    observe::store_behind(&session, generation.gap(from));
                }
                let by = (method, device);
                return self.refreshed(&session, scopes, by).await.map(Some);
            }
            (Decision::Recover, Some(session)) => {
                let Some(session) = self.reload_user(session, scopes).await? else {
                    return Ok(None);
                };
                let recover = Recover {
                    id: session.id,
                    client: client.clone(),
                    generation: session.generation,
                    access_ttl: settings.access_ttl,
                };
                let recovered = self
                    .ask("recover", self.inner.store.recover(recover))
                    .await?;
                let Some(session) = recovered else {
                    return Ok(None);
                };
                observe::session_recovered(&session, generation, elsewhere(&session, device));
                session
            }
            (Decision::Replay, Some(session)) => {
                let Some(session) = self.replayed(session, scopes).await? else {
                    return Ok(None);
                };
                session
            }
            (Decision::Reuse { gap, age }, Some(session)) => {
                return self.reused(&session, gap, age, device).await.map(Some);
            }
        };
        let (issued, token) = self.answer(&session, scopes).await?;
        observe::session_replayed(&session, token, elsewhere(&session, device));
        Ok(Some(issued))
    }

    /// The session that answers a replay, with the identity that the user has now. `None` if
    /// another request was faster.
    async fn replayed(
        &self,
        session: Session,
        scopes: Option<&Scopes>,
    ) -> Result<Option<Session>, Error> {
        let Some(session) = self.reload_user(session, scopes).await? else {
            return Ok(None);
        };
        if self.inner.settings.authenticator.is_none() {
            return Ok(Some(session));
        }
        // The application may have taken seconds. If another tab has refreshed meanwhile, the
        // refresh token of the generation that was read is spent and must not be handed out.
        let (session, now) = self.ask("load", self.inner.store.load(session.id)).await?;
        let session = session.filter(|session| session.is_refreshable(now));
        Ok(Some(session.ok_or(Refusal::SessionEnded)?))
    }

    async fn reused(
        &self,
        session: &Session,
        gap: u32,
        age: Option<Duration>,
        device: Option<&Device>,
    ) -> Result<Issued, Error> {
        let name_hash = self.name_hash(session.subject().as_str());
        let attempt = Attempt {
            session: Some(session.id),
            subject: Some(session.subject()),
            name_hash: Some(&name_hash),
            device,
        };
        observe::reuse_detected(session, gap, age, &attempt);
        self.tell(|| Event::RefreshTokenReused {
            session: Box::new(session.clone()),
            device: device.cloned(),
        });
        if self.inner.settings.reuse.on_reuse == OnReuse::EndSession {
            let authority = match device {
                Some(device) => &self.for_device(device.clone()),
                None => self,
            };
            let subject = Some(session.subject());
            let ended = authority.end(own(session), subject, EndReason::Reuse);
            ended.await?;
        }
        Err(Refusal::Reused.into())
    }

    /// Reads the user again, gives the session the identity that the user has now, and checks that
    /// it may still have `scopes`. `None` if another request was faster.
    pub(super) async fn reload_user(
        &self,
        session: Session,
        scopes: Option<&Scopes>,
    ) -> Result<Option<Session>, Error> {
        let session = self.updated_user(session).await?;
        if let Some(session) = &session {
            check_scopes(&session.identity, scopes)?;
        }
        Ok(session)
    }

    async fn updated_user(&self, session: Session) -> Result<Option<Session>, Error> {
        let Some(authenticator) = &self.inner.settings.authenticator else {
            return Ok(Some(session));
        };
        match self.consult(authenticator.reload_user(&session)).await? {
            UserUpdate::Unchanged => Ok(Some(session)),
            UserUpdate::Changed(identity) => self.put_user(session, identity).await,
            UserUpdate::Deleted => {
                self.end(
                    own(&session),
                    Some(session.subject()),
                    EndReason::UserDeleted,
                )
                .await?;
                Err(Refusal::SessionEnded.into())
            }
        }
    }

    /// Gives the session the identity that the application has for its user now. `None` if another
    /// request was faster. The rights of an impersonation are fixed.
    async fn put_user(
        &self,
        session: Session,
        identity: Identity,
    ) -> Result<Option<Session>, Error> {
        let former = session.identity.clone();
        self.put_authenticated(session, identity, &former).await
    }

    /// Gives the session the rights of `identity`, as [`put_user`](Self::put_user) does, and notes
    /// how the user of `authenticated` was authenticated.
    pub(super) async fn put_authenticated(
        &self,
        session: Session,
        identity: Identity,
        authenticated: &Identity,
    ) -> Result<Option<Session>, Error> {
        let identity = self.succeeding_after(identity, &session, authenticated)?;
        if session.identity.actor().is_some() {
            return Ok(Some(session));
        }
        self.put_identity(session, identity, GrantEffect::Enforce)
            .await
    }

    /// `identity` as the next one of `session`.
    pub(super) fn succeeding(
        &self,
        identity: Identity,
        session: &Session,
    ) -> Result<Identity, IdentityError> {
        self.succeeding_after(identity, session, &session.identity)
    }

    /// `identity` as the next one of `session`, with the authentication of `authenticated`.
    fn succeeding_after(
        &self,
        identity: Identity,
        session: &Session,
        authenticated: &Identity,
    ) -> Result<Identity, IdentityError> {
        if identity.subject() != session.subject() {
            return Err(IdentityError::SubjectChanged);
        }
        let identity = identity.succeeding(&session.identity);
        let identity = identity.authenticated_as(authenticated);
        self.check_identity(&identity)?;
        Ok(identity)
    }

    /// An ordinary advance, by a request whose device isn't known.
    pub(super) fn advance_of(
        &self,
        id: SessionId,
        client: &ClientId,
        from: Generation,
        to: Generation,
    ) -> Advance {
        let Settings {
            idle_ttl,
            access_ttl,
            ..
        } = self.inner.settings;
        Advance {
            id,
            client: client.clone(),
            from,
            to,
            cause: AdvanceCause::Refresh,
            overlap: self.inner.settings.reuse.overlap,
            seen_from: SeenFrom::default(),
            idle_ttl,
            access_ttl,
        }
    }

    pub(super) async fn advance(&self, advance: Advance) -> Result<Option<Session>, Error> {
        self.ask("advance", self.inner.store.advance(advance)).await
    }

    /// `by` is how the client got the tokens, and its device, for the log.
    pub(super) async fn refreshed(
        &self,
        session: &Session,
        scopes: Option<&Scopes>,
        by: (&'static str, Option<&Device>),
    ) -> Result<Issued, Error> {
        let (issued, token) = self.answer(session, scopes).await?;
        observe::session_refreshed(session, token, by);
        Ok(issued)
    }
}

/// A presented refresh token, with its client and its purpose.
pub(super) struct Refreshing<'a> {
    pub(super) presented: Presented,
    pub(super) client: &'a ClientId,
    pub(super) scopes: Option<&'a Scopes>,
    /// The device of the request.
    pub(super) device: Option<&'a Device>,
    /// How the client gets the tokens, for the log.
    pub(super) method: &'static str,
    /// Whether the request spends the token, so that the session gets another generation. An
    /// exchange of an old token doesn't, if the session was never refreshed: its client has no
    /// later token.
    pub(super) spends: bool,
    /// The store's time at the first look. A request that waits long for the authenticator, and
    /// loses a race meanwhile, counts as having arrived then.
    pub(super) arrived: Option<Timestamp>,
    /// The subject of the session, once that has been read, for the log.
    pub(super) owner: Option<Subject>,
}

/// A hint at the request's origin, as far as it is known.
pub(super) fn seen_from(device: Option<&Device>) -> SeenFrom {
    device.map(SeenFrom::of).unwrap_or_default()
}

/// `device`, if the session was last refreshed from another one: by a thief, or by a phone that has
/// changed its network.
fn elsewhere<'d>(session: &Session, device: Option<&'d Device>) -> Option<&'d Device> {
    device.filter(|device| session.seen_from.differs_from(SeenFrom::of(device)))
}

fn check_scopes(identity: &Identity, asked: Option<&Scopes>) -> Result<(), Refusal> {
    match asked {
        Some(asked) if !identity.granted_scopes().contains_all(asked) => {
            Err(Refusal::ScopeNotGranted)
        }
        _ => Ok(()),
    }
}

fn own(session: &Session) -> EndSessions {
    EndSessions::SessionOf(session.id, session.account())
}
