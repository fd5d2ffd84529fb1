//! The state that each claim starts from.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gatepass::{
    ClientId, Identity, Scopes, Session, SessionId, Subject, Timestamp,
    store::{
        Cursor, Cutoff, EndReason, EndSessions, GrantVersion, NewSession, Random, Revocation,
        RevocationTarget, RevokeToken, SessionStore, SystemRandom, TokenId, TokenStatus,
    },
};

use crate::clock::ManualClock;
pub(super) use crate::sessions::{
    ABSOLUTE_TTL, ACCESS_TTL, IDLE_TTL, account, advance_of, issuer, new_session, pull_all,
    recovery_of, renewal_of, session_id, subject,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86400);
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// An empty store and its clock.
pub(super) struct Given<S> {
    pub(super) store: Arc<S>,
    pub(super) clock: ManualClock,
}

impl<S: SessionStore> Given<S> {
    pub(super) async fn fresh(fresh: impl AsyncFn(ManualClock) -> S) -> Self {
        let clock = ManualClock::new();
        // Not a whole second, to catch a store that cuts milliseconds off.
        clock.advance(Duration::from_millis(123));
        let store = Arc::new(fresh(clock.clone()).await);
        Self { store, clock }
    }

    pub(super) async fn begin(&self, subject: &str) -> Session {
        let begun = self.store.begin(new_session(subject)).await.unwrap();
        assert_eq!(begun.ended, None, "nothing had to make room");
        begun.session
    }

    pub(super) async fn load(&self, session: &Session) -> Session {
        self.find(session.id).await.unwrap()
    }

    pub(super) async fn find(&self, id: SessionId) -> Option<Session> {
        self.store.load(id).await.unwrap().0
    }

    pub(super) async fn end(&self, session: &Session) -> Option<Revocation> {
        let target = EndSessions::Session(session.id);
        self.store.end(target, EndReason::Logout).await.unwrap()
    }

    /// A session of `subject` that has ended, and its revocation.
    pub(super) async fn ended(&self, subject: &str) -> (Session, Revocation) {
        let session = self.begin(subject).await;
        let revocation = self.end(&session).await.unwrap();
        (self.load(&session).await, revocation)
    }

    /// The status of a token with the first rights of its session.
    pub(super) async fn status(&self, session: SessionId, token: TokenId) -> TokenStatus {
        let status = self.store.status(session, token, GrantVersion::FIRST);
        status.await.unwrap()
    }

    /// Revokes a new token of `session`.
    pub(super) async fn revoke_one(&self, session: &Session) -> (RevokeToken, Option<Revocation>) {
        let token = RevokeToken::new(token_id(), session);
        (token, self.store.revoke_token(token).await.unwrap())
    }

    /// Ends all sessions of `subject`, except `kept`.
    pub(super) async fn end_all(
        &self,
        subject: &str,
        kept: Option<&Session>,
    ) -> Option<Revocation> {
        let account = account(subject);
        let target = match kept {
            Some(kept) => EndSessions::AllOfBut(account, kept.id),
            None => EndSessions::AllOf(account),
        };
        self.store.end(target, EndReason::LogoutAll).await.unwrap()
    }

    /// The first page of the sessions of `subject`.
    pub(super) async fn sessions(&self, subject: &str) -> Vec<Session> {
        let listed = self.store.sessions(account(subject), None, 1000).await;
        listed.unwrap()
    }

    /// All entries of the log, and the cursor behind them.
    pub(super) async fn log(&self) -> (Vec<Revocation>, Cursor) {
        self.log_after(None).await
    }

    pub(super) async fn log_after(&self, after: Option<Cursor>) -> (Vec<Revocation>, Cursor) {
        pull_all(&*self.store, after.as_ref()).await
    }

    pub(super) async fn purge(&self) -> usize {
        use gatepass::Clock;
        self.store
            .purge(self.clock.now(), usize::MAX)
            .await
            .unwrap()
            .removed
    }

    /// Moves the clock forward to `instant`.
    pub(super) fn advance_to(&self, instant: Timestamp) {
        use gatepass::Clock;
        self.clock.advance(instant.since(self.clock.now()));
        assert_eq!(self.clock.now(), instant, "the instant is yet to come");
    }
}

pub(super) fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub(super) fn token_id() -> TokenId {
    TokenId::from_bytes(random())
}

/// The revocation of all sessions up to `last`, except `kept`. `longest` is the latest absolute
/// end.
pub(super) fn revocation_of_all(
    last: &Session,
    kept: Option<&Session>,
    longest: Timestamp,
) -> Revocation {
    let cutoff = Cutoff {
        up_to: last.number,
        except: kept.map(|kept| kept.number),
    };
    Revocation {
        target: RevocationTarget::Sessions(last.account(), cutoff),
        until: longest,
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom.fill(&mut bytes).unwrap();
    bytes
}

pub(super) fn new_session_of_at_most(name: &str, max: u32) -> NewSession {
    let mut new = new_session(name);
    new.max_sessions = NonZeroU32::new(max);
    new
}

/// An identity that differs from the one in [`new_session`] in everything but its subject.
pub(super) fn changed_identity(subject: &Subject) -> Identity {
    Identity::of(subject.clone())
        .scopes(Scopes::parse("admin profile").unwrap())
        .claims(&serde_json::json!({ "tenant": 7, "roles": ["é", null] }))
        .unwrap()
        .device("another name")
        .access_ttl(HOUR)
}

/// Begins a session in a store of the testkit's own tests.
#[cfg(test)]
pub(crate) async fn begin_one(store: &impl SessionStore) -> SessionId {
    store.begin(new_session("alice")).await.unwrap().session.id
}

#[cfg(test)]
pub(crate) async fn ended(store: &impl SessionStore, id: SessionId) -> bool {
    let (session, _) = store.load(id).await.unwrap();
    session.unwrap().ended.is_some()
}

pub(super) fn targets(revocations: &[Revocation]) -> Vec<RevocationTarget> {
    revocations
        .iter()
        .map(|revocation| revocation.target)
        .collect()
}

/// The revocations in an order that all stores share.
pub(super) fn sorted(mut revocations: Vec<Revocation>) -> Vec<Revocation> {
    revocations.sort_by_key(|revocation| match revocation.target {
        RevocationTarget::Session(id) => (id.as_bytes().to_vec(), revocation.until),
        RevocationTarget::Token(id) => (id.as_bytes().to_vec(), revocation.until),
        RevocationTarget::Sessions(id, _) => (id.as_bytes().to_vec(), revocation.until),
        RevocationTarget::Grant(id, _) => (id.as_bytes().to_vec(), revocation.until),
    });
    revocations
}
