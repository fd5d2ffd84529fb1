//! Changes of the rights of live sessions.

use std::{fmt, num::NonZeroU32, sync::Arc};

use crate::{
    authority::{
        authority::Authority,
        ending::to_the_end,
        events::Event,
        pace::{Pace, Pacer},
        refreshing::MAX_LOST_RACES,
    },
    error::Error,
    model::{
        changes::ChangeIdentity,
        grant::GrantEffect,
        identity::{Identity, IdentityError},
        ids::{GrantVersion, SessionId, Subject},
        session::Session,
        session_filter::SessionFilter,
    },
    observe,
    store::error::{StoreError, StoreErrorKind},
};

/// The number of sessions that [`Authority::change_where`] reads at once.
const PART: usize = 100;

/// A change of the rights of live sessions: a function from the present identity of a session to
/// its new identity.
///
/// gatepass calls the function once for each session. If another change of the session comes at
/// the same time, it calls the function again. So let the function return the new identity and do
/// nothing else: for example, an e-mail that it sends could be sent twice.
///
/// [`docs::rights`](crate::docs::rights) explains when to enforce a change and when to offer it.
///
/// ```
/// use gatepass::{Change, Scopes};
///
/// let admin = Scopes::parse("admin")?;
/// // Takes a scope away: nodes refuse older access tokens.
/// let demotion = Change::enforced({
///     let admin = admin.clone();
///     move |identity| {
///         let fewer = identity.granted_scopes().without(&admin);
///         Ok(identity.scopes(fewer))
///     }
/// });
/// // Adds a scope: older access tokens stay good, and their clients are told to refresh.
/// let promotion = Change::offered(move |identity| {
///     let more = identity.granted_scopes().union(&admin);
///     Ok(identity.scopes(more))
/// });
/// # Ok::<(), gatepass::InvalidScope>(())
/// ```
#[derive(Clone)]
pub struct Change {
    with: Arc<With>,
    effect: GrantEffect,
    pace: Pace,
}

type With = dyn Fn(Identity) -> Result<Identity, IdentityError> + Send + Sync;

impl Change {
    /// A change that every node enforces within `max_staleness`. Gates refuse the access tokens
    /// from before it with [`Refusal::StaleGrant`](crate::Refusal::StaleGrant), and their clients
    /// refresh. No user logs in again.
    #[must_use]
    pub fn enforced(
        with: impl Fn(Identity) -> Result<Identity, IdentityError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            with: Arc::new(with),
            effect: GrantEffect::Enforce,
            pace: Pace::default(),
        }
    }

    /// A change that adds rights. The access tokens from before it stay good, and a response header
    /// of the gates, `Gatepass-Refresh: grant_changed`, tells their clients to refresh.
    ///
    /// If it takes a scope away from a session, or changes or removes a claim, gatepass enforces
    /// the change for that session.
    #[must_use]
    pub fn offered(
        with: impl Fn(Identity) -> Result<Identity, IdentityError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            effect: GrantEffect::Offer,
            ..Self::enforced(with)
        }
    }

    /// The most sessions that [`Authority::change_where`] changes in a second. Default 1,000. The
    /// clients of changed sessions refresh, so this bounds the refreshes that follow.
    #[must_use]
    pub fn sessions_per_second(mut self, pace: NonZeroU32) -> Self {
        self.pace = Pace::sessions_per_second(pace);
        self
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("effect", &self.effect)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Changes the identity of each session of `subject` at this issuer, for all audiences, and
    /// returns how many have changed. The sessions go on.
    ///
    /// Change the user in your own database first: a session that begins after that has the new
    /// rights anyway. A login that read the user before that may still begin a session with the old
    /// ones. The first refresh of that session corrects them, if your
    /// [`Authenticator`](crate::Authenticator::reload_user) reads the user again.
    ///
    /// This node enforces the change when the call returns, and the other nodes within
    /// `max_staleness`. You can't wait for them as after a logout:
    /// [`docs::operating`](crate::docs::operating#changes-and-transactions) says what to do.
    ///
    /// The client of a changed session refreshes as after an expired token. gatepass leaves out a
    /// session that already has the wanted identity, so you may repeat a call whose answer was
    /// lost.
    ///
    /// ```
    /// use gatepass::{
    ///     Authority, Change, Device, Error, Identity, MasterSecret, MemoryStore, Refusal,
    ///     Requirements, Scopes, Subject,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let authority =
    /// #     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
    /// #         .build()
    /// #         .await?;
    /// let alice = Subject::new("alice")?;
    /// let admin = Identity::of(alice.clone()).scopes(Scopes::parse("admin orders")?);
    /// let issued = authority.issue(admin, Device::default()).await?;
    ///
    /// let orders = Scopes::parse("orders")?;
    /// let demotion = Change::enforced(move |identity| Ok(identity.scopes(orders.clone())));
    /// assert_eq!(authority.change(&alice, &demotion).await?, 1);
    ///
    /// // The token with the old rights is refused at once, and a refresh brings the new ones.
    /// let none = Requirements::new();
    /// let refused = authority.verifier().verify(issued.access_token.as_str(), &none).await;
    /// assert!(matches!(refused, Err(Error::Refused(Refusal::StaleGrant))));
    /// let refreshed = authority.refresh(issued.refresh_token.as_str()).await?;
    /// assert_eq!(refreshed.scopes, Scopes::parse("orders")?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Identity`] if a session can't have the identity that the change returns, for
    /// example the identity of another subject. [`Error::Store`] if the store did not confirm a
    /// change. Some of the sessions may have changed by then: call it again.
    pub async fn change(&self, subject: &Subject, change: &Change) -> Result<u64, Error> {
        let (authority, subject, change) = (self.clone(), subject.clone(), change.clone());
        to_the_end(async move { authority.change_all(&subject, &change).await }).await
    }

    async fn change_all(&self, subject: &Subject, change: &Change) -> Result<u64, Error> {
        let (mut changed, mut next) = (0, None);
        loop {
            let page = self.sessions(subject, next).await?;
            for session in page.sessions {
                changed += u64::from(self.change_one(session, &|_| true, change).await?);
            }
            next = page.next;
            if next.is_none() {
                return Ok(changed);
            }
        }
    }

    /// Changes the identity of one session of this issuer, as [`change`](Self::change) does.
    /// Returns whether the session has changed: `false` also for a session that is unknown or has
    /// ended.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub async fn change_session(&self, id: SessionId, change: &Change) -> Result<bool, Error> {
        let (authority, change) = (self.clone(), change.clone());
        to_the_end(async move {
            match authority.own_session(id).await? {
                Some(session) => authority.change_one(session, &|_| true, &change).await,
                None => Ok(false),
            }
        })
        .await
    }

    /// Changes the identity of each session of this issuer that `matches`, for example those of a
    /// tenant or of a client. Returns how many have changed.
    ///
    /// It reads all live sessions of the store, a hundred at a time, and changes at most
    /// [`sessions_per_second`](Change::sessions_per_second). The clients of a whole tenant
    /// therefore don't refresh all at once. If you drop the future, it stops, and the other
    /// sessions keep their rights. Call it again then.
    ///
    /// ```
    /// use gatepass::{Authority, Change, Error};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Tenant { tenant: u32 }
    ///
    /// /// Takes all scopes away from the users of tenant 7.
    /// async fn freeze(authority: &Authority) -> Result<u64, Error> {
    ///     let freeze = Change::enforced(|identity| Ok(identity.scopes(Default::default())));
    ///     let is_seven = |session: &gatepass::Session| {
    ///         session.identity.custom_claims().is_ok_and(|Tenant { tenant }| tenant == 7)
    ///     };
    ///     authority.change_where(is_seven, &freeze).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub async fn change_where(
        &self,
        matches: impl Fn(&Session) -> bool + Send + Sync,
        change: &Change,
    ) -> Result<u64, Error> {
        let issuer = &self.inner.verifier.policy().issuer;
        let is_own = |session: &Session| session.issuer == *issuer && matches(session);
        let filter = SessionFilter::new().issuer(issuer.clone());
        let mut pacer = Pacer::start(change.pace, &*self.inner.settings.random);
        let (mut changed, mut next) = (0, None);
        loop {
            let part = self.inner.store.scan(&filter, next.as_ref(), PART);
            let part = self.ask("scan", part).await?;
            for session in part.sessions {
                if self.change_one(session, &is_own, change).await? {
                    changed += 1;
                    pacer.wait().await?;
                }
            }
            next = part.next;
            if next.is_none() {
                return Ok(changed);
            }
        }
    }

    /// Changes the session while it `matches`. Returns whether it has changed.
    async fn change_one(
        &self,
        mut session: Session,
        matches: &(dyn Fn(&Session) -> bool + Send + Sync),
        change: &Change,
    ) -> Result<bool, Error> {
        for _ in 0..MAX_LOST_RACES {
            if !matches(&session) {
                return Ok(false);
            }
            let identity = (change.with)(session.identity.clone())?;
            let identity = self.succeeding(identity, &session)?;
            let (before, id) = (session.identity.clone(), session.id);
            let changed = self.put_identity(session, identity, change.effect).await?;
            if let Some(changed) = changed {
                let is_new = changed.identity != before;
                if !is_new && changed.grant.newest > GrantVersion::FIRST {
                    // A call whose answer was lost may have changed it, and this node has not
                    // enforced that yet.
                    self.inner.verifier.apply(&[changed.grant_entry()]);
                }
                return Ok(is_new);
            }
            match self.own_session(id).await? {
                Some(newer) => session = newer,
                None => return Ok(false),
            }
        }
        Err(StoreError::new(StoreErrorKind::Busy).into())
    }

    /// The session, if it is one of this issuer and usable.
    async fn own_session(&self, id: SessionId) -> Result<Option<Session>, Error> {
        let (session, now) = self.ask("load", self.inner.store.load(id)).await?;
        let issuer = &self.inner.verifier.policy().issuer;
        Ok(session.filter(|session| session.issuer == *issuer && session.is_live(now)))
    }

    /// The changes that [`change`](Self::change) would make now, for your own transaction. This
    /// call writes nothing. Pass each change to `change_in` of the store, for example
    /// `PostgresStore::change_in`: [`docs::transactions`](crate::docs::transactions) has an
    /// example.
    ///
    /// If `change_in` returns `None`, the session has ended or changed meanwhile. Roll back then,
    /// and begin again with this call. A session that begins after this call isn't among them.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub async fn changes_of(
        &self,
        subject: &Subject,
        change: &Change,
    ) -> Result<Vec<ChangeIdentity>, Error> {
        let (mut changes, mut next) = (Vec::new(), None);
        loop {
            let page = self.sessions(subject, next).await?;
            for session in page.sessions {
                let identity = (change.with)(session.identity.clone())?;
                let identity = self.succeeding(identity, &session)?;
                changes.extend(change_from(&session, identity, change.effect));
            }
            next = page.next;
            if next.is_none() {
                return Ok(changes);
            }
        }
    }

    /// Gives the session an identity that [`succeeding`](Self::succeeding) has returned for it.
    /// Returns the resulting session, or `None` if another change was faster or the session has
    /// ended.
    ///
    /// This is the only place that changes an identity, except for your own transactions.
    pub(super) async fn put_identity(
        &self,
        session: Session,
        identity: Identity,
        effect: GrantEffect,
    ) -> Result<Option<Session>, Error> {
        let Some(change) = change_from(&session, identity, effect) else {
            return Ok(Some(session));
        };
        let effect = change.effect;
        let changed = self.ask("change", self.inner.store.change(change)).await?;
        if let Some(session) = changed.as_ref().filter(|_| effect != GrantEffect::None) {
            self.inner.verifier.apply(&[session.grant_entry()]);
            observe::session_changed(session, effect);
            self.tell(|| Event::RightsChanged {
                session: Box::new(session.clone()),
                enforced: effect == GrantEffect::Enforce,
            });
        }
        Ok(changed)
    }
}

/// The change of the session to the identity. `None` if the session already has that identity. A
/// change that takes something away is enforced, even if `effect` says otherwise. A change that
/// concerns only the user's authentication is offered: this gives it a version, so that no other
/// change undoes it.
fn change_from(
    session: &Session,
    identity: Identity,
    effect: GrantEffect,
) -> Option<ChangeIdentity> {
    let before = &session.identity;
    if identity == *before {
        return None;
    }
    let mut change = ChangeIdentity::new(session, identity);
    let is_same_authentication = change.identity.authentication() == before.authentication();
    change.effect = if !change.identity.allows_all_of(before) {
        GrantEffect::Enforce
    } else if !change.identity.allows_the_same_as(before) {
        effect
    } else if !is_same_authentication {
        GrantEffect::Offer
    } else {
        GrantEffect::None
    };
    Some(change)
}
