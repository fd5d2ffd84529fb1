//! The tokens of an old system: accepted as they are, exchanged for sessions, and revoked.

use zeroize::Zeroizing;

use crate::{
    authority::{
        adopt::{Adoption, OldToken},
        authority::{Authority, cleaned},
        ending::to_the_end,
        enforcing::Ending,
        issued::Issued,
        refreshing::Refreshing,
    },
    env::internal_error::InternalError,
    error::Error,
    model::{
        changes::RevokeForeign,
        device::Device,
        identity::Identity,
        ids::{AccountId, Generation, SessionId, Subject},
        refusal::Refusal,
        session::{EndReason, Session},
    },
    observe::{self, Attempt},
    store::EndSessions,
    token::{
        access::MAX_TOKEN,
        foreign::signed_part,
        pass::Pass,
        refresh::{self, Presented},
    },
    verifier::{requirements::Requirements, verifier::Verifier},
};

/// An old token that the application knows.
struct Known {
    identity: Identity,
    /// Says when the old system has issued the token, and until when it is good.
    pass: Pass,
    /// The session that it is exchanged for.
    session: SessionId,
}

impl Authority {
    /// Exchanges a token of the old system that you [adopt](crate::Adopt) for a session, for a
    /// handler of your own. The endpoint [`Endpoint::Adopt`](crate::wire::Endpoint::Adopt) does the
    /// same.
    ///
    /// There is one session for each old token, on all nodes. The old token is the first refresh
    /// token of that session: until the client uses the new refresh token, the old token brings the
    /// same one again. If the old token comes back later, the rules for spent refresh tokens apply
    /// ([`ReusePolicy`](crate::ReusePolicy)).
    ///
    /// The user counts as authenticated at the time at which the old token was issued. So a route
    /// with a [`max_age`](crate::Requirements::max_age) asks for a fresh authentication.
    ///
    /// ```
    /// use gatepass::{Authority, Device, Error, Issued};
    ///
    /// /// The answer to an app that has updated itself.
    /// async fn moved(authority: &Authority, old_token: &str) -> Result<Issued, Error> {
    ///     authority.adopt(old_token, Device::default()).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if it isn't a token of the old system, [`Refusal::Expired`] after the
    /// date of the move or after its own expiry, [`Refusal::Revoked`] if it was revoked, and the
    /// errors of [`refresh`](Self::refresh) if it was exchanged before. [`Error::Store`] if the
    /// store or your function does not answer, [`Error::Identity`] if your function gave an
    /// identity that can't be issued, and [`Error::Internal`] if you have not configured
    /// [`adopt`](crate::AuthorityBuilder::adopt).
    pub async fn adopt(&self, old_token: &str, device: Device) -> Result<Issued, Error> {
        self.adopt_fitting(old_token, device, None).await
    }

    /// Exchanges as [`adopt`](Self::adopt) does, and refuses an access token of more than `longest`
    /// bytes before the session is stored.
    pub(crate) async fn adopt_fitting(
        &self,
        old_token: &str,
        device: Device,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        let device = cleaned(device);
        let mistake = "Authority::adopt was called without AuthorityBuilder::adopt";
        let adoption = self.adoption().ok_or(InternalError::new(mistake))?;
        let mut owner = None;
        let issued = async {
            let now = self.inner.settings.clock.now();
            if adoption.until <= now {
                return Err(Refusal::Expired.into());
            }
            let known = self.know(adoption, old_token).await?;
            let known = known.ok_or(Refusal::Malformed)?;
            owner = Some(known.identity.subject().clone());
            self.inner.verifier.check_time(&known.pass, now)?;
            self.exchange(adoption, known, &device, longest).await
        };
        let issued = issued.await;
        if let Err(Error::Refused(refusal)) = &issued {
            let attempt = Attempt {
                subject: owner.as_ref(),
                device: Some(&device),
                ..Attempt::default()
            };
            self.inner.verifier.refusals().old_token(&attempt, refusal);
        }
        issued
    }

    /// Exchanges an old token that a browser has in its cookie. `None` if it isn't a good token of
    /// the old system: then the gate ignores it.
    pub(crate) async fn adopt_cookie(
        &self,
        old_token: &str,
        device: Device,
        longest: usize,
    ) -> Result<Option<Issued>, Error> {
        match self.adopt_fitting(old_token, device, Some(longest)).await {
            Ok(issued) => Ok(Some(issued)),
            Err(Error::Refused(Refusal::Malformed)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pass of an old token that is good for a route with these requirements, as `verifier`
    /// judges it. `None` if it isn't one of the old system.
    pub(crate) async fn accept_old(
        &self,
        old_token: &str,
        verifier: &Verifier,
        requirements: &Requirements,
    ) -> Result<Option<Pass>, Error> {
        let Some(adoption) = self.adoption() else {
            return Ok(None);
        };
        let Some(Known { pass, .. }) = self.know(adoption, old_token).await? else {
            return Ok(None);
        };
        let judged = verifier.judge(&pass, requirements).await;
        match &judged {
            Ok(()) => {
                adoption.seen.accepted(pass.token_id(), verifier.now());
                observe::old_token_accepted(&pass);
            }
            Err(Error::Refused(Refusal::Revoked)) => adoption.seen.is_over(pass.token_id()),
            Err(_) => {}
        }
        judged.map(|()| Some(pass))
    }

    /// Whether this authority accepts old tokens until a date.
    pub(crate) fn adopts(&self) -> bool {
        self.adoption().is_some()
    }

    /// Whether this authority accepts old tokens now.
    pub(crate) fn adopts_now(&self) -> bool {
        let now = self.inner.settings.clock.now();
        let mut adoption = self.adoption().into_iter();
        adoption.any(|adoption| now < adoption.until)
    }

    pub(super) fn adoption(&self) -> Option<&Adoption> {
        self.inner.settings.adoption.as_ref()
    }

    /// The old token, if the application knows it.
    ///
    /// A token that one of our keys has signed is never an old token: an access token must not
    /// become a session with a refresh token, not even if both systems have the same key.
    async fn know(&self, adoption: &Adoption, old_token: &str) -> Result<Option<Known>, Error> {
        let is_ours = old_token.starts_with(refresh::PREFIX)
            || match self.inner.verifier.open(old_token) {
                Ok(_) => true,
                Err(refusal) => !refusal.is_of_no_token_of_ours(),
            };
        if is_ours || old_token.len() > MAX_TOKEN {
            return Ok(None);
        }
        let known = self.consult(adoption.tokens.identify(old_token)).await;
        let known = match known {
            Err(Error::Refused(Refusal::BadCredentials)) => None,
            known => known?,
        };
        let Some(OldToken {
            identity,
            issued_at,
            expires_at,
            id,
        }) = known
        else {
            return Ok(None);
        };
        let name = id.as_deref().unwrap_or_else(|| signed_part(old_token));
        let policy = self.inner.verifier.policy();
        let token = adoption.token_id(&policy.audience, name);
        let expires_at = expires_at.map_or(adoption.until, |at| at.min(adoption.until));
        let pass = Pass::adopted(
            &identity,
            adoption.issuer.clone(),
            token,
            issued_at,
            expires_at,
        );
        let account = self.account(identity.subject());
        let keys = self.inner.old_session_keys.load();
        let now = self.inner.settings.clock.now();
        let session = keys.session(account, &adoption.issuer, name, now);
        Ok(Some(Known {
            session: session.ok_or(InternalError::new("no master secret"))?,
            identity,
            pass,
        }))
    }

    /// Exchanges an old token: begins its session, unless that exists, and answers with the
    /// session's tokens.
    ///
    /// The id of the session is derived from the token, so the store decides which of several
    /// exchanges begins it. Only then does the call revoke the token, which must stay revoked when
    /// the session's row is gone. If the call stops halfway, the client has no answer, and the next
    /// exchange finds the session and goes on.
    async fn exchange(
        &self,
        adoption: &Adoption,
        known: Known,
        device: &Device,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        let token = known.pass.token_id();
        let (session, is_new) = match self.find_adopted(&known).await? {
            Some(session) => (session, false),
            None => self.begin_adopted(&known, device, longest).await?,
        };
        self.check_cutoff(&known.pass, &session, is_new).await?;
        self.check_provider_login(&session).await?;
        self.retire(adoption, &known.pass).await?;
        if is_new {
            let (issued, jti) = self.answer(&session, None).await?;
            let now = self.inner.settings.clock.now();
            adoption.seen.exchanged(token, now);
            observe::session_issued(&session, jti, "adopted");
            observe::old_token_exchanged(&session, &adoption.issuer);
            return Ok(issued);
        }
        adoption.seen.is_over(token);
        let mut refreshing = Refreshing {
            presented: Presented {
                session: session.id,
                generation: Generation::FIRST,
            },
            client: &self.inner.settings.client,
            scopes: None,
            device: Some(device),
            method: "adopt",
            spends: false,
            arrived: None,
            owner: None,
        };
        self.settle_refresh(&mut refreshing).await
    }

    /// The session that the token was exchanged for, if there is one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Revoked`] if the token was revoked before, or if the session is gone.
    async fn find_adopted(&self, known: &Known) -> Result<Option<Session>, Error> {
        let load = async || self.ask("load", self.inner.store.load(known.session)).await;
        if let (Some(session), _) = load().await? {
            return Ok(Some(session));
        }
        match self.inner.verifier.check_strictly(&known.pass).await {
            Ok(()) => Ok(None),
            Err(Error::Refused(Refusal::Revoked)) => {
                // Another exchange may have begun the session and revoked the token since.
                let (session, _) = load().await?;
                Ok(Some(session.ok_or(Refusal::Revoked)?))
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the session of an old token, and says whether it was this call that began it.
    async fn begin_adopted(
        &self,
        known: &Known,
        device: &Device,
        longest: Option<usize>,
    ) -> Result<(Session, bool), Error> {
        let client = &self.inner.settings.client;
        let identity = self.beginning(known.identity.clone())?;
        let mut new = self.new_session(known.session, client, identity, device.clone());
        new.authenticated_at = Some(known.pass.issued_at());
        if let Some(longest) = longest {
            self.check_length(&new, longest).await?;
        }
        let begun = self.store_session(new).await?;
        Ok((begun.session, begun.is_new))
    }

    /// Refuses a token whose user has logged out everywhere since it was issued, if its session
    /// began after that. A logout that comes later than this check ends the session by itself.
    ///
    /// If this call began the session, it has checked the token just before. If another call began
    /// the session and died, the session's number tells whether the session or the logout came
    /// first.
    async fn check_cutoff(
        &self,
        pass: &Pass,
        session: &Session,
        is_new: bool,
    ) -> Result<(), Error> {
        let verifier = &self.inner.verifier;
        verifier.catch_up().await?;
        let Some(up_to) = verifier.foreign_cutoff(pass) else {
            return Ok(());
        };
        if !is_new && session.number <= up_to {
            return Ok(());
        }
        let target = EndSessions::SessionOf(session.id, session.account());
        let ended = self.end(target, Some(session.subject()), EndReason::LogoutAll);
        ended.await?;
        Err(Refusal::Revoked.into())
    }

    /// Revokes an old token by itself, so that it no longer gives access.
    async fn retire(&self, adoption: &Adoption, pass: &Pass) -> Result<(), Error> {
        if self.inner.verifier.knows_as_revoked(pass) {
            return Ok(());
        }
        let until = adoption.kept_until();
        let mut account = pass.foreign_account()?;
        if self.inner.settings.max_sessions.is_none() {
            // A subject with many devices, such as a kiosk, has as many old tokens. With an account
            // for each token, the bound on revocations of one subject doesn't apply.
            account = pass.token_id().as_account();
        }
        let lifetime = until.since(self.inner.settings.clock.now());
        let revoke = RevokeForeign::all(account, lifetime).only(pass.token_id(), until);
        self.revoke_foreign_now(revoke).await?;
        Ok(())
    }

    /// Revokes all old tokens that `subject` has got up to now. Call it before the user's sessions
    /// end: an exchange that is under way checks the revocations after it has begun its session.
    pub(super) async fn retire_all(&self, subject: &Subject) -> Result<(), Error> {
        let Some(adoption) = self.adoption() else {
            return Ok(());
        };
        if adoption.kept_until() <= self.inner.settings.clock.now() {
            return Ok(());
        }
        let account = AccountId::of_foreign(&adoption.issuer, subject);
        let revoke = self.foreign(&adoption.issuer, account)?;
        if self.revoke_foreign_now(revoke).await?.0.is_some() {
            observe::foreign_revoked(&adoption.issuer, subject, None);
        }
        Ok(())
    }

    /// Revokes an old token that was presented for a logout, or that a login replaces, and ends its
    /// session unless it is `spared`. Returns the session, or `None` if the token isn't one of the
    /// old system. The call goes on if the client hangs up.
    pub(super) async fn end_old(
        &self,
        token: &str,
        refusal: &Refusal,
        spared: &[SessionId],
        reason: EndReason,
    ) -> Result<Option<(SessionId, Option<Ending>)>, Error> {
        if !refusal.is_of_no_token_of_ours() || !self.adopts_now() {
            return Ok(None);
        }
        let (authority, token) = (self.clone(), Zeroizing::new(token.to_owned()));
        let spared = spared.to_vec();
        to_the_end(async move {
            let Some(session) = authority.claim_old(&token).await? else {
                return Ok(None);
            };
            if spared.contains(&session.id) {
                return Ok(Some((session.id, None)));
            }
            let target = EndSessions::SessionOf(session.id, session.account());
            let ended = authority.end(target, Some(session.subject()), reason);
            Ok(Some((session.id, Some(ended.await?.ending))))
        })
        .await
    }

    /// Revokes an old token, and returns its session for the caller to end; `None` if it isn't one
    /// of the old system.
    ///
    /// If the session doesn't exist yet, the call begins it, so that an exchange that is under way
    /// finds it ended. It begins none for a token that was revoked before: if the caller then died,
    /// the token could be exchanged again.
    async fn claim_old(&self, token: &str) -> Result<Option<Session>, Error> {
        let Some(adoption) = self.adoption() else {
            return Ok(None);
        };
        let Some(known) = self.know(adoption, token).await? else {
            return Ok(None);
        };
        self.inner.verifier.catch_up().await?;
        if self.inner.verifier.knows_as_revoked(&known.pass) {
            let (session, _) = self
                .ask("load", self.inner.store.load(known.session))
                .await?;
            return Ok(Some(session.ok_or(Refusal::Revoked)?));
        }
        self.retire(adoption, &known.pass).await?;
        adoption.seen.is_over(known.pass.token_id());
        let device = self.device.as_deref().cloned().unwrap_or_default();
        let client = &self.inner.settings.client;
        let mut new = self.new_session(known.session, client, known.identity, device);
        new.authenticated_at = Some(known.pass.issued_at());
        // This session ends at once, and must push out no other.
        new.max_sessions = None;
        let begun = self.ask("begin", self.inner.store.begin(new)).await?;
        Ok(Some(begun.session))
    }
}
