//! Goes on with a session by its access token: resumes it, renews the token, or authenticates the
//! user again.

use crate::{
    authority::{
        authenticator::Credentials,
        authority::{Authority, cleaned},
        issued::{Issued, Renewed},
        issuing::Proof,
        refreshing::{MAX_LOST_RACES, Refreshing, seen_from},
    },
    denylist::staleness::Staleness,
    env::{clock::Timestamp, internal_error::InternalError},
    error::Error,
    model::{
        changes::{AdvanceCause, Renew},
        device::{Device, SeenFrom},
        identity::Identity,
        ids::GrantVersion,
        refusal::Refusal,
        session::Session,
    },
    observe,
    store::error::{StoreError, StoreErrorKind},
    token::pass::Pass,
    verifier::requirements::Requirements,
};

/// The result of [`Authority::resume`].
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between the two")]
pub enum Resumed {
    /// The access token is good, and nothing new was issued.
    Valid(Pass),
    /// The tokens were exchanged for new ones.
    Issued(Issued),
}

/// An access token that can resume its session.
pub(crate) enum Resumable {
    /// The token gives access.
    Good(Pass),
    /// The token is one of ours and gave access. Its time is over, or the rights of its session
    /// have changed.
    Expired(Pass),
}

/// A user who has just been authenticated again.
struct Reauthenticated<'a> {
    pass: &'a Pass,
    /// The identity that the application gave.
    identity: Identity,
    /// The version of the session's rights before the application read the user.
    read_at: GrantVersion,
    device: &'a Device,
}

impl Authority {
    /// Resumes a session from both of its tokens: the automatic login of a client that comes back.
    ///
    /// | access token | refresh token | answer |
    /// |---|---|---|
    /// | good | any, except in the next row | the access token's pass, and nothing new |
    /// | good | the session's current one, idle for too long | new tokens |
    /// | expired, or stale after a [`change`](Self::change) | a good one of the same session | new tokens, as [`refresh`](Self::refresh) |
    /// | expired or stale | any other | refused |
    /// | not good for another reason, or another client's | any | refused |
    ///
    /// Each call asks the store. An access token alone never yields a refresh token.
    ///
    /// ```
    /// use gatepass::{Authority, Device, Identity, MasterSecret, MemoryStore, Resumed};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let authority =
    /// #     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
    /// #         .build()
    /// #         .await?;
    /// let issued = authority.issue(Identity::new("alice")?, Device::default()).await?;
    /// let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    /// let Resumed::Valid(pass) = authority.resume(access, refresh).await? else {
    ///     unreachable!("the access token has just been issued");
    /// };
    /// assert_eq!(pass.subject().as_str(), "alice");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason: for example, [`Refusal::Ambiguous`] if the two tokens
    /// are of different sessions. [`Error::Store`] if the store or the source of users does not
    /// answer, and nothing is spent.
    pub async fn resume(&self, access_token: &str, refresh_token: &str) -> Result<Resumed, Error> {
        let judged = self.judge_for_resuming(access_token).await?;
        self.resume_judged(judged, refresh_token, None).await
    }

    /// The first half of [`resume`](Self::resume), which needs only the access token.
    pub(crate) async fn judge_for_resuming(&self, access_token: &str) -> Result<Resumable, Error> {
        let verifier = &self.inner.verifier;
        let requirements = Requirements::new()
            .staleness(Staleness::Strict)
            .own_issuer();
        let judged = match verifier.verify(access_token, &requirements).await {
            Ok(pass) => Resumable::Good(pass),
            Err(Error::Refused(Refusal::Expired | Refusal::StaleGrant)) => {
                Resumable::Expired(verifier.open(access_token)?)
            }
            Err(error) => return Err(error),
        };
        let (Resumable::Good(pass) | Resumable::Expired(pass)) = &judged;
        if pass.client_id() != Some(&self.inner.settings.client) {
            return Err(Refusal::WrongClient.into());
        }
        Ok(judged)
    }

    /// The second half of [`resume`](Self::resume).
    pub(crate) async fn resume_judged(
        &self,
        access_token: Resumable,
        refresh_token: &str,
        device: Option<&Device>,
    ) -> Result<Resumed, Error> {
        match access_token {
            Resumable::Good(pass) => {
                let now = self.inner.settings.clock.now();
                let revived = self.revive(&pass, refresh_token, now, device).await?;
                if revived.is_some() {
                    // As in a refresh: its secret may have been removed meanwhile.
                    self.open_refresh_token_at(refresh_token, now)?;
                }
                Ok(revived.map_or(Resumed::Valid(pass), Resumed::Issued))
            }
            Resumable::Expired(expired) => {
                let presented = self.open_refresh_token(refresh_token)?;
                if Some(presented.session) != expired.session_id() {
                    return Err(Refusal::Ambiguous.into());
                }
                let client = &self.inner.settings.client;
                let refreshed = self.refresh_as(client, refresh_token, None, device);
                refreshed.await.map(Resumed::Issued)
            }
        }
    }

    /// New tokens, if `refresh_token` is the current one of the pass's session and only idle for
    /// too long.
    async fn revive(
        &self,
        pass: &Pass,
        refresh_token: &str,
        arrived: Timestamp,
        device: Option<&Device>,
    ) -> Result<Option<Issued>, Error> {
        let presented = match self.open_refresh_token_at(refresh_token, arrived) {
            Ok(presented) if Some(presented.session) == pass.session_id() => presented,
            // The good access token is enough.
            _ => return Ok(None),
        };
        let client = &self.inner.settings.client;
        let (session, now) = self
            .ask("load", self.inner.store.load(presented.session))
            .await?;
        let session = session.ok_or(Refusal::UnknownSession)?;
        if session.ended.is_some() {
            // It has ended since the store answered about the access token.
            return Err(Refusal::Revoked.into());
        }
        let current_but_idle = session.generation == presented.generation
            && session.is_live(now)
            && !session.is_refreshable(now);
        if !current_but_idle {
            return Ok(None);
        }
        if session.client != *client {
            return Err(Refusal::WrongClient.into());
        }
        if let Some(session) = self.reload_user(session, None).await? {
            let generation = presented.generation;
            let mut advance = self.advance_of(session.id, client, generation, generation.next());
            advance.seen_from = seen_from(device);
            advance.cause = AdvanceCause::Resume;
            if let Some(session) = self.advance(advance).await? {
                let by = ("resume", device);
                return self.refreshed(&session, None, by).await.map(Some);
            }
        }
        // Another request was faster, so the session is no longer idle.
        let mut refreshing = Refreshing {
            presented,
            client,
            scopes: None,
            device,
            method: "refresh",
            spends: true,
            arrived: Some(now),
            owner: None,
        };
        self.settle_refresh(&mut refreshing).await.map(Some)
    }

    /// Exchanges a good access token of the application's own client for a fresh one of the same
    /// session, with the same scopes at most and the same time of authentication.
    ///
    /// The call asks the store, and reads the user again. The session's absolute end and its idle
    /// expiry stay where they are. An attacker who sees an access token can use the session until
    /// its absolute end, but never gets a refresh token. Use it only for clients that can't keep
    /// one: gatepass mounts the endpoint only if you
    /// [configure](crate::wire::EndpointsBuilder::renew) it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the access token is not good, [`Error::Store`] if the store or the
    /// source of users does not answer.
    pub async fn renew(&self, access_token: &str) -> Result<Renewed, Error> {
        let pass = self.verify_for_renewal(access_token).await?;
        self.renew_pass(&pass).await
    }

    /// Asks the store about an access token to renew. A token that is stale after a
    /// [`change`](Self::change) is also accepted: it names the session, and the new token gets the
    /// rights that the session has now.
    async fn verify_for_renewal(&self, access_token: &str) -> Result<Pass, Error> {
        let verifier = &self.inner.verifier;
        let requirements = Requirements::new()
            .staleness(Staleness::Strict)
            .own_issuer();
        let stale = |refusal: &Refusal| *refusal == Refusal::StaleGrant;
        let verified = verifier.verify_unless(access_token, &requirements, stale);
        match verified.await {
            Err(Error::Refused(Refusal::StaleGrant)) => Ok(verifier.open(access_token)?),
            verified => verified,
        }
    }

    /// Renews the access token of `pass`. The store has just said that the token is not revoked.
    async fn renew_pass(&self, pass: &Pass) -> Result<Renewed, Error> {
        self.prepare_renewal(pass).await?;
        let session = self.let_live(pass).await?;
        self.renewed(&session, pass).await
    }

    /// Checks the client of `pass`, and reads its user again.
    pub(super) async fn prepare_renewal(&self, pass: &Pass) -> Result<(), Error> {
        let settings = &self.inner.settings;
        pass.own()?;
        if pass.client_id() != Some(&settings.client) {
            return Err(Refusal::WrongClient.into());
        }
        if settings.authenticator.is_some() {
            self.reload_user_of(pass).await?;
        }
        Ok(())
    }

    /// Extends the session's `access_until` for an access token that replaces the token of `pass`.
    pub(super) async fn let_live(&self, pass: &Pass) -> Result<Session, Error> {
        let settings = &self.inner.settings;
        let renew = Renew {
            id: pass.own()?.id,
            client: settings.client.clone(),
            access_ttl: settings.access_ttl,
        };
        let renewed = self.ask("renew", self.inner.store.renew(renew)).await?;
        Ok(renewed.ok_or(Refusal::Revoked)?)
    }

    /// The access token that replaces the token of `pass`.
    pub(super) async fn renewed(&self, session: &Session, pass: &Pass) -> Result<Renewed, Error> {
        // A token that was narrowed when it was issued does not become wider.
        let scopes = session
            .identity
            .granted_scopes()
            .intersection(pass.scopes());
        // Nor does a stolen token profit from the password or the passkey that its owner uses
        // later.
        let proof = Proof {
            at: session
                .authenticated_at
                .min(pass.authenticated_at().unwrap_or_default()),
            how: pass.authentication(),
        };
        let renewed = self.access_token(session, &scopes, proof).await?;
        observe::session_renewed(session, renewed.token_id);
        Ok(renewed)
    }

    /// Reads the user of a live session again, until no other request is faster.
    async fn reload_user_of(&self, pass: &Pass) -> Result<(), Error> {
        for _ in 0..MAX_LOST_RACES {
            let (session, _) = self.live_session(pass).await?;
            if self.reload_user(session, None).await?.is_some() {
                return Ok(());
            }
        }
        Err(StoreError::new(StoreErrorKind::Busy).into())
    }

    /// Authenticates the user of `pass` again, by the application's
    /// [`Authenticator`](crate::Authenticator): the session's time of authentication becomes now,
    /// for gates that require a recent one (RFC 9470).
    ///
    /// The call also refreshes the session, and gives it the identity that the application returns.
    /// The pass alone decides whose password it is, never the client.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadCredentials`] or [`Refusal::TooManyAttempts`], which change nothing;
    /// [`Refusal::Revoked`] if the session has ended; [`Error::Store`] if the store or the source
    /// of users does not answer.
    pub async fn reauthenticate(
        &self,
        pass: &Pass,
        credentials: &Credentials,
        device: &Device,
    ) -> Result<Issued, Error> {
        let device = &cleaned(device.clone());
        let authenticator = self.inner.settings.authenticator.as_ref();
        let authenticator =
            authenticator.ok_or(InternalError::new("login without an authenticator"))?;
        let (session, now) = self.live_session(pass).await?;
        if session.client != self.inner.settings.client {
            return Err(Refusal::WrongClient.into());
        }
        let authenticated = async {
            let name = session.subject().as_str();
            let attempt = self.count_attempt(name, device).await?;
            let answer = authenticator.reauthenticate(&session, credentials, device);
            attempt.ended(self.consult(answer).await).await
        };
        let identity = authenticated.await.inspect_err(|error| {
            if let Error::Refused(refusal) = error {
                let refusals = self.inner.verifier.refusals();
                refusals.reauthentication(pass, device, refusal);
            }
        })?;
        let read_at = session.grant.newest;
        let known = Reauthenticated {
            pass,
            identity,
            read_at,
            device,
        };
        self.settle_reauthentication(known, session, now).await
    }

    /// Notes that the application has authenticated the user of `pass` again by itself, for example
    /// by a passkey or by OpenID Connect, and that the user may do what `identity` says. The effect
    /// is the same as of [`reauthenticate`](Self::reauthenticate).
    ///
    /// Give the identity that a login would give the user now, with all scopes and claims. Read the
    /// user after the request of the pass has come in. If the session's rights have changed since
    /// the access token of the pass was issued, the session keeps its present rights, or gets those
    /// that [`reload_user`](crate::Authenticator::reload_user) says.
    ///
    /// ```
    /// # use gatepass::{IdentityError, Scopes, Subject};
    /// use gatepass::{Authority, Device, Error, Identity, Issued, Pass};
    ///
    /// # fn identity_of(subject: &Subject) -> Result<Identity, IdentityError> {
    /// #     Ok(Identity::of(subject.clone()).scopes(Scopes::parse("profile")?))
    /// # }
    /// /// After the passkey of the user was verified.
    /// async fn stepped_up(authority: &Authority, pass: &Pass, device: &Device) -> Result<Issued, Error> {
    ///     // Yours, as for a login: it reads the scopes of the user.
    ///     let identity = identity_of(pass.subject())?;
    ///     authority.reauthenticated(pass, identity, device).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refusal::BadCredentials`] if `identity` is of another user, which changes nothing;
    /// [`Refusal::Revoked`] if the session has ended; [`Refusal::WrongClient`] if it isn't of the
    /// application's own client; [`Refusal::SessionEnded`] if the user has logged out meanwhile at
    /// the OpenID Connect provider; [`Error::Store`] if the store or the source of users does not
    /// answer.
    pub async fn reauthenticated(
        &self,
        pass: &Pass,
        identity: Identity,
        device: &Device,
    ) -> Result<Issued, Error> {
        let device = &cleaned(device.clone());
        let (session, now) = self.live_session(pass).await?;
        if session.client != self.inner.settings.client {
            return Err(Refusal::WrongClient.into());
        }
        if identity.subject() != session.subject() {
            // At an identity provider, users may choose another account than they should.
            let refusal = Refusal::BadCredentials;
            let refusals = self.inner.verifier.refusals();
            refusals.reauthentication(pass, device, &refusal);
            return Err(refusal.into());
        }
        let known = Reauthenticated {
            pass,
            identity,
            read_at: pass.own()?.grant,
            device,
        };
        self.settle_reauthentication(known, session, now).await
    }

    /// Gives the session the identity of a user who has just been authenticated, and refreshes it,
    /// until no other request is faster.
    async fn settle_reauthentication(
        &self,
        known: Reauthenticated<'_>,
        mut session: Session,
        mut now: Timestamp,
    ) -> Result<Issued, Error> {
        let Reauthenticated {
            pass,
            identity,
            read_at,
            device,
        } = known;
        for _ in 0..MAX_LOST_RACES {
            let updated = match session.grant.newest == read_at {
                true => {
                    self.put_authenticated(session, identity.clone(), &identity)
                        .await?
                }
                // Another change is newer than the rights of this identity. The user can't be
                // asked again.
                false => match self.reload_user(session, None).await? {
                    Some(session) => {
                        let rights = session.identity.clone();
                        self.put_authenticated(session, rights, &identity).await?
                    }
                    None => None,
                },
            };
            if let Some(updated) = updated
                && let Some(authenticated) =
                    self.advance_authenticated(updated, device, now).await?
            {
                // An earlier provider login was checked when it was made.
                if identity.provider_login().is_some() {
                    self.check_provider_login(&authenticated).await?;
                }
                observe::session_reauthenticated(&authenticated);
                let by = ("reauthenticate", Some(device));
                return self.refreshed(&authenticated, None, by).await;
            }
            (session, now) = self.live_session(pass).await?;
        }
        Err(StoreError::new(StoreErrorKind::Busy).into())
    }

    /// Refreshes the session of a user who has just been authenticated. `None` if another request
    /// was faster.
    async fn advance_authenticated(
        &self,
        session: Session,
        device: &Device,
        now: Timestamp,
    ) -> Result<Option<Session>, Error> {
        let from = session.generation;
        // A second rotation within the overlap would make gatepass forget an honest tab's token too
        // early.
        let just_rotated = session.has_just_rotated(self.inner.settings.reuse.overlap, now);
        let to = if just_rotated { from } else { from.next() };
        let mut advance = self.advance_of(session.id, &session.client, from, to);
        advance.seen_from = SeenFrom::of(device);
        advance.cause = AdvanceCause::Reauthenticate;
        self.advance(advance).await
    }

    /// The session of `pass` if it is live, and the store's time.
    pub(super) async fn live_session(&self, pass: &Pass) -> Result<(Session, Timestamp), Error> {
        let id = pass.own()?.id;
        let (session, now) = self.ask("load", self.inner.store.load(id)).await?;
        let session = session.filter(|session| session.is_live(now));
        Ok((session.ok_or(Refusal::Revoked)?, now))
    }
}
