//! The contract of a store, and everything that the author of one needs.
//!
//! A store implements [`SessionStore`], and [`RevocationLog`] for the half that reads. It applies
//! the pure changes that [`Session`] and [`Account`] have, or says the same in its
//! own language. `store_contract!` of `gatepass-testkit` shows whether it does.

pub(crate) mod answer;
pub(crate) mod error;
pub(crate) mod examination;
pub(crate) mod heartbeat;
pub(crate) mod memory;
mod memory_attempts;
pub(crate) mod service;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    env::clock::Timestamp,
    model::{
        ids::SessionId, session::Session, session_cursor::SessionCursor,
        session_filter::SessionFilter,
    },
    store::error::StoreError,
};

pub use crate::{
    env::random::{Random, SystemRandom},
    model::{
        account::Account,
        changes::{
            Advance, AdvanceCause, ChangeIdentity, NewSession, Recover, Renew, RevokeForeign,
            RevokeToken,
        },
        device::SeenFrom,
        grant::{Grant, GrantEffect},
        ids::{
            AccountId, Audience, Generation, GrantVersion, InvalidId, Issuer, NodeId,
            SessionNumber, TokenId,
        },
        revocation::{Cutoff, Revocation, RevocationTarget},
        rotation::{Decision, Presenter, decide},
        session::{EndReason, Ended, Rotation},
        throttling::{
            AttemptKey, AttemptOutcome, AttemptRecord, CountAttempt, SettleAttempt, ThrottledBy,
        },
    },
};

pub use self::{
    error::StoreErrorKind,
    examination::{Examination, Finding, Severity, examine_nodes},
    heartbeat::{Heartbeat, Heartbeats, RecordedHeartbeat},
    service::ServiceIdentity,
};

/// A place in a revocation log, in the store's own terms. It names the incarnation of the log it is
/// a place in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The place that the store writes as `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The store's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The result of a pull.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a replica must know what to do with every answer"
)]
pub enum PullResult {
    /// Every entry committed before the call began and not seen by the cursor, or a first part of
    /// them. Stores make it by [`PullResult::entries`].
    #[non_exhaustive]
    Entries {
        /// The entries. One that was seen before may be among them.
        entries: Vec<Revocation>,
        /// The place to go on from.
        next: Cursor,
        /// Whether this is only a part: pull again at once.
        more: bool,
    },
    /// The cursor is not a place in this log (a restore, a failover): start again without one.
    Reset,
}

impl PullResult {
    /// The answer with these entries. The reader goes on from `next`, and pulls again at once if
    /// there are `more`.
    ///
    /// ```
    /// use gatepass::store::{Cursor, PullResult};
    ///
    /// // The log is empty.
    /// let pulled = PullResult::entries(Vec::new(), Cursor::new("0"), false);
    /// assert!(matches!(pulled, PullResult::Entries { more: false, .. }));
    /// ```
    #[must_use]
    pub fn entries(entries: Vec<Revocation>, next: Cursor, more: bool) -> Self {
        Self::Entries {
            entries,
            next,
            more,
        }
    }
}

/// The store's knowledge of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the answer to a yes-or-no question, or that there is none"
)]
pub enum TokenStatus {
    /// The session is live and the token not revoked.
    Live,
    /// The session was ended or the token revoked.
    Revoked,
    /// The session is live, and its rights have changed since the token was issued.
    Stale,
    /// There is no such session, or nothing needs it any more ([`Session::purge_at`]).
    Unknown,
}

/// The revocations that are live, to be followed: the half of a store that reads, and all that a
/// [`Verifier`](crate::Verifier) needs.
#[async_trait]
pub trait RevocationLog: Send + Sync + 'static {
    /// Returns every entry committed before the call began that `after` has not seen; from the
    /// start without a cursor. Seen twice is fine, missed is not. Asks a primary only. The answer
    /// is held to be as old as the call's beginning: a log of several partitions asks all of them
    /// in each call, also in the last one of several parts.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the log cannot be read.
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError>;

    /// Resolves when there may be entries after `after`. One that never resolves is right, if slow:
    /// the follower polls besides.
    async fn changed(&self, after: &Cursor);

    /// Asks the store itself about an access token that carries this version of its session's
    /// rights.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be asked.
    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError>;

    /// Whether the store forgets its sessions when the process ends. With such a store, every token
    /// is checked as under [`Staleness::Strict`](crate::Staleness::Strict): its log lacks what was
    /// revoked before a restart.
    fn is_volatile(&self) -> bool {
        false
    }
}

/// A session that was begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BeginOutcome {
    /// The session.
    pub session: Session,
    /// The revocation of the sessions that were ended to make room, if any were.
    pub ended: Option<Revocation>,
    /// Whether this call has begun it. Otherwise the store had a session with this id.
    pub is_new: bool,
}

impl BeginOutcome {
    /// The outcome of a login: the session that began, and the revocation of those that the store
    /// `ended` to make room, if it ended any.
    #[must_use]
    pub fn new(session: Session, ended: Option<Revocation>) -> Self {
        Self {
            session,
            ended,
            is_new: true,
        }
    }

    /// The outcome where the store has a session with this id already, which stays as it is. It may
    /// have ended.
    ///
    /// ```
    /// use gatepass::store::BeginOutcome;
    /// # use gatepass::{ClientId, Identity, Session, SessionId, Timestamp};
    /// # use gatepass::store::{Audience, Issuer, NewSession, SessionNumber};
    ///
    /// # let (issuer, audience) = (Issuer::new("https://shop.example")?, Audience::new("shop-api")?);
    /// # let (client, identity) = (ClientId::new("web")?, Identity::new("alice")?);
    /// # let new = NewSession::new(SessionId::from_bytes([7; 18]), issuer, audience, client, identity);
    /// # let found = Session::begin(new, SessionNumber::new(1), Timestamp::from_unix_secs(0));
    /// let outcome = BeginOutcome::existing(found);
    /// assert!(!outcome.is_new);
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    #[must_use]
    pub fn existing(session: Session) -> Self {
        Self {
            session,
            ended: None,
            is_new: false,
        }
    }
}

/// A part of the sessions that a filter matches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScannedPart {
    /// The sessions, in the store's order. There may be none although more follow.
    pub sessions: Vec<Session>,
    /// The place to go on from; `None` after the last part.
    pub next: Option<SessionCursor>,
}

impl ScannedPart {
    /// The part with these sessions. The reader goes on from `next`.
    #[must_use]
    pub fn new(sessions: Vec<Session>, next: Option<SessionCursor>) -> Self {
        Self { sessions, next }
    }
}

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must be able to do all that is asked"
)]
pub enum EndSessions {
    /// This one.
    Session(SessionId),
    /// This one, if it is the account's own.
    SessionOf(SessionId, AccountId),
    /// All of the account that have begun.
    AllOf(AccountId),
    /// All of the account that have begun, except this one, if it is live.
    AllOfBut(AccountId, SessionId),
}

/// The result of one step of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// How many rows and entries the step removed.
    pub removed: usize,
    /// Whether the step stopped at its limit, so that there may be more to remove. For example, a
    /// step that found many sessions in use removes little, and the sessions behind them still
    /// wait.
    pub more: bool,
}

impl Purged {
    /// The result of a step that removed this many rows and entries together. With `more`, it
    /// stopped at its limit.
    #[must_use]
    pub const fn new(removed: usize, more: bool) -> Self {
        Self { removed, more }
    }
}

/// Sessions, and the log of their ends: the contract of a store.
///
/// A store decides nothing: [`decide`] judges refresh tokens, [`Session`] and
/// [`Account`] have the changes of a row. The rules, each checked by
/// `store_contract!` of `gatepass-testkit`:
///
/// 1. A change that a call acknowledged is durable, and every later call on every node sees it.
/// 2. Each call is atomic. Ending a session and appending to the log is one act.
/// 3. At most one of several [`advance`](SessionStore::advance)s from one generation succeeds.
/// 4. Time is the store's own: the database's where there is one. Callers pass durations.
/// 5. An entry of the log stays until [`Revocation::RETENTION_MARGIN`] past its `until`.
/// 6. A call that fails, fails with a [`StoreError`], within bounded time, without panicking.
/// 7. Sessions of one account begin one after the other, and the end of them all waits its turn
///    among them. Each gets [`SessionNumber::next`] of the account's last number.
/// 8. A session that its account's [`Cutoff`] covers has ended, in every answer, and can't be
///    changed. Its row need not say so, and is removed by the purge. A refresh that overlaps with
///    the end of all sessions may still change a row: the cutoff covers what it issued.
/// 9. The end of all sessions, and room for a new one, cost the same however many sessions there
///    are.
/// 10. Changes of a session's identity have one order: each is made from the version that it names.
///    A change and its entry in the log are one act.
/// 11. Attempts to log in that count for a common key are counted one after the other, on all
///    nodes. An attempt that is refused writes nothing.
/// 12. A revocation of another issuer's tokens takes none back that was made before, and stays for
///    its retention, though the store has no session that it concerns.
/// 13. A session with one id begins once. Later calls, and those at the same time, find it.
#[async_trait]
pub trait SessionStore: RevocationLog {
    /// Begins a session by [`Account::begin`](crate::store::Account::begin). If the store has a
    /// session with this id, also one that has ended, it changes nothing and returns
    /// [`BeginOutcome::existing`].
    ///
    /// If the account then has more than `max_sessions` usable ones ([`Session::is_usable`]), ends
    /// all up to the newest that is too many, by
    /// [`Account::end_up_to`](crate::store::Account::end_up_to), with
    /// [`EndReason::TooManySessions`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be stored.
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError>;

    /// Applies [`Session::advance`] to the session and returns it; `None` if it is unknown or did
    /// not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::recover`] to the session and returns it; `None` if it is unknown or did
    /// not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::renew`] to the session and returns it; `None` if it is unknown or did not
    /// fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::change`] to the session, and appends [`Session::grant_entry`] to the log
    /// in the same act if the versions have changed. Returns the session; `None` if it is unknown
    /// or did not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError>;

    /// The session, and the store's time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError>;

    /// Ends what `target` names and appends the revocation to the log in the same act: one session
    /// by [`Session::end`], all of an account by
    /// [`Account::end_all`](crate::store::Account::end_all). Returns what was appended; `None` if
    /// all that it names was over before, or is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError>;

    /// Appends the revocation of one access token to the log, unless its session is ended already.
    /// The session is ended instead if it has [`RevokeToken::MAX_PER_SESSION`] live ones, or its
    /// account [`RevokeToken::MAX_PER_ACCOUNT`]. Returns what was appended.
    ///
    /// The store appends the revocation of a token whose session it doesn't know, even beyond these
    /// numbers: such a session can't be refreshed, so a client can't get more of its tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError>;

    /// Revokes access tokens of another issuer, of which the store has no session. It appends to
    /// the log, and returns what it has appended.
    ///
    /// A single token gets an entry of its own, as [`RevokeForeign::single`] says; `None` if it has
    /// one already. If the subject has [`RevokeForeign::MAX_PER_SUBJECT`] live ones, all of its
    /// tokens that were issued up to now are revoked instead.
    ///
    /// All tokens of a subject are revoked by one entry, in place of the last one of the kind
    /// ([`RevokeForeign::entry`]). The store makes no account for it, and keeps the entry until its
    /// retention is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn revoke_foreign(&self, revoke: RevokeForeign)
    -> Result<Option<Revocation>, StoreError>;

    /// The usable sessions ([`Session::is_usable`]) of `account`, newest first, `limit` of them at
    /// most: the newest, or the newest with numbers below `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError>;

    /// Looks at about `limit` sessions and returns those that `filter` matches
    /// ([`SessionFilter::matches`], at the store's time): the first ones, or those behind the place
    /// `after`.
    ///
    /// The store decides on the order, which must not change: it is one of facts that a session
    /// keeps, such as its beginning and its id. A session that matches from the first call to the
    /// last is in exactly one of the parts, also where the caller goes on from
    /// [`SessionFilter::cursor_behind`] a session in the middle of a part. A place behind a session
    /// that is gone is as good as any other. The store looks at no session of which an index tells
    /// that it doesn't match.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError>;

    /// Remembers `identities` if the store knows none yet. With `join`, adds them to the known
    /// ones. Returns those that were known before, in the same act.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError>;

    /// Removes at most `limit` rows and entries that nothing needs any more at `horizon` nor at the
    /// store's own time: sessions past [`Session::purge_at`], log entries past their retention, and
    /// records of attempts past [`AttemptRecord::purge_at`].
    ///
    /// The purge calls this again while [`more`](Purged::more) is true. So a step that says `more`
    /// must have made progress, whether it removed rows or only found out that they are still in
    /// use.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be written.
    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError>;

    /// The horizon of the last [`purge`](Self::purge) by any process, if the store outlives
    /// processes and has been purged. A process that starts with a clock that is ahead is found out
    /// by it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Writes a node's heartbeat with the store's time, in place of its last one, and forgets those
    /// of all nodes that are older than `kept`. Then returns all that there are, as
    /// [`heartbeats`](Self::heartbeats) does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError>;

    /// The last heartbeat of each node. Asks a primary only: it returns each heartbeat whose
    /// [`beat`](Self::beat) returned before the call began.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn heartbeats(&self) -> Result<Heartbeats, StoreError>;

    /// Applies [`CountAttempt::decide`] to the records of the attempt's keys, and writes those that
    /// it returns in the same act.
    ///
    /// The store may forget a record from its [`purge_at`](AttemptRecord::purge_at) on. The purge
    /// removes it, unless it is gone by itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError>;

    /// Applies [`SettleAttempt::decide`] to the records of the attempt's keys in one act.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not known to be stored.
    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError>;
}

/// A store that is chosen at run time, or shared, is one too.
#[async_trait]
impl<S: RevocationLog + ?Sized> RevocationLog for Arc<S> {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        (**self).pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        (**self).changed(after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        (**self).status(session, token, grant).await
    }

    fn is_volatile(&self) -> bool {
        (**self).is_volatile()
    }
}

#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        (**self).begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        (**self).advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        (**self).recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        (**self).renew(renew).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        (**self).change(change).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        (**self).load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        (**self).end(target, reason).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        (**self).revoke_token(token).await
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        (**self).revoke_foreign(revoke).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        (**self).sessions(account, before, limit).await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        (**self).scan(filter, after, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        (**self).introduce(identities, join).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        (**self).purge(horizon, limit).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        (**self).purged_until().await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        (**self).beat(heartbeat, kept).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        (**self).heartbeats().await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        (**self).count_attempt(attempt).await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        (**self).settle_attempt(settled).await
    }
}
