//! The contract of a store, and everything that you need to write one.
//!
//! A store implements [`SessionStore`], and [`RevocationLog`] for the half that reads. It applies
//! the pure changes of [`Session`] and [`Account`], or expresses the same changes in its own
//! language (SQL, Lua). `store_contract!` of `gatepass-testkit` checks your store.

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

/// A place in a revocation log, as text that only the store understands. The text also names the
/// incarnation of the log that the place belongs to.
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

/// The result of a [`pull`](RevocationLog::pull).
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a replica must know what to do with every answer"
)]
pub enum PullResult {
    /// Every entry that was committed before the call began and that the cursor has not seen, or a
    /// first part of them. Stores make it with [`PullResult::entries`].
    #[non_exhaustive]
    Entries {
        /// The entries. Some of them may have been seen before.
        entries: Vec<Revocation>,
        /// The cursor for the next pull.
        next: Cursor,
        /// Whether this is only a part, so that the reader pulls again at once.
        more: bool,
    },
    /// The cursor is not a place in this log, for example after a restore or a failover. Start
    /// again without a cursor.
    Reset,
}

impl PullResult {
    /// A result with these entries. The reader continues from `next`, and pulls again at once if
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

/// The status of an access token in the store.
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
    /// The store does not have the session, or may already remove it ([`Session::purge_at`]).
    Unknown,
}

/// The log of revocations: the half of a store that reads, and all that a
/// [`Verifier`](crate::Verifier) needs.
#[async_trait]
pub trait RevocationLog: Send + Sync + 'static {
    /// Returns every entry that was committed before the call began and that `after` has not seen.
    /// Without a cursor, it starts from the beginning. The store may return an entry twice, but
    /// must not miss one. It must read from a primary.
    ///
    /// The reader takes the answer to be as old as the start of the call. So a log with several
    /// partitions asks all of them in each call, also in the call for the last part.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the log cannot be read.
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError>;

    /// Resolves when there may be entries after `after`. It may never resolve: the follower also
    /// polls, and then only learns of entries later.
    async fn changed(&self, after: &Cursor);

    /// Asks the store itself about an access token with this version of its session's rights.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError>;

    /// Whether the store forgets its sessions when the process ends. Its log then lacks revocations
    /// from before a restart, so gatepass checks every token as under
    /// [`Staleness::Strict`](crate::Staleness::Strict).
    fn is_volatile(&self) -> bool {
        false
    }
}

/// The result of [`begin`](SessionStore::begin).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BeginOutcome {
    /// The session.
    pub session: Session,
    /// The revocation of the sessions that the store ended to make room, if any.
    pub ended: Option<Revocation>,
    /// Whether this call began the session. Otherwise, the store already had a session with this
    /// id.
    pub is_new: bool,
}

impl BeginOutcome {
    /// The outcome for a new session. `ended` is the revocation of the sessions that the store
    /// ended to make room, if any.
    #[must_use]
    pub fn new(session: Session, ended: Option<Revocation>) -> Self {
        Self {
            session,
            ended,
            is_new: true,
        }
    }

    /// The outcome if the store already has a session with this id. The session stays as it is, and
    /// may have ended.
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
    /// The sessions, in the store's order. A part may be empty although more sessions follow.
    pub sessions: Vec<Session>,
    /// The place to continue from. `None` after the last part.
    pub next: Option<SessionCursor>,
}

impl ScannedPart {
    /// The part with these sessions. The reader continues from `next`.
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
    /// This session.
    Session(SessionId),
    /// This session, if it belongs to the account.
    SessionOf(SessionId, AccountId),
    /// All sessions of the account that have begun.
    AllOf(AccountId),
    /// All sessions of the account that have begun, except this one, if it is live.
    AllOfBut(AccountId, SessionId),
}

/// The result of one step of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// How many rows and entries the step removed.
    pub removed: usize,
    /// Whether the step stopped at its limit, so there may be more to remove. For example, a step
    /// that found many sessions in use removes little, and has not looked at the sessions after
    /// them.
    pub more: bool,
}

impl Purged {
    /// The result of a step that removed this many rows and entries together. `more` means that it
    /// stopped at its limit.
    #[must_use]
    pub const fn new(removed: usize, more: bool) -> Self {
        Self { removed, more }
    }
}

/// The contract of a store: sessions, and the log of their ends.
///
/// A store makes no decisions: [`decide`] judges refresh tokens, and [`Session`] and [`Account`]
/// define the changes of a row. `store_contract!` of `gatepass-testkit` checks each of these rules:
///
/// 1. A change that a call has acknowledged is durable, and every later call on every node sees it.
/// 2. Each call is atomic. Ending a session and appending to the log is one act.
/// 3. At most one of several [`advance`](SessionStore::advance)s from one generation succeeds.
/// 4. The store uses its own time, which is the database's time if there is a database. Callers
///    pass durations.
/// 5. An entry stays in the log until [`Revocation::RETENTION_MARGIN`] after its `until`.
/// 6. A call fails only with a [`StoreError`], within bounded time, and never panics.
/// 7. The store serialises, per account, the beginning of sessions and the end of all sessions.
///    Each new session gets [`SessionNumber::next`] of the account's last number.
/// 8. A session that its account's [`Cutoff`] covers has ended, in every answer, and no call can
///    change it. Its row need not say so, and the purge removes it. A refresh that overlaps with
///    the end of all sessions may still change a row, because the cutoff covers the tokens that it
///    issued.
/// 9. Ending all sessions, and making room for a new one, costs the same however many sessions
///    there are.
/// 10. Changes of a session's identity have one order: each starts from the version that it names.
///     A change and its entry in the log are one act.
/// 11. The store counts attempts to log in that share a key one after the other, across all nodes.
///     A refused attempt writes nothing.
/// 12. A revocation of another issuer's tokens undoes no earlier one. It stays for its retention,
///     even though the store has no session for it.
/// 13. A session with a given id begins once. Later and concurrent calls find that session.
#[async_trait]
pub trait SessionStore: RevocationLog {
    /// Begins a session with [`Account::begin`](crate::store::Account::begin). If the store already
    /// has a session with this id, even an ended one, it changes nothing and returns
    /// [`BeginOutcome::existing`].
    ///
    /// If the account then has more than `max_sessions` usable sessions ([`Session::is_usable`]),
    /// the store ends the excess: all sessions up to the newest one that is too many. It uses
    /// [`Account::end_up_to`](crate::store::Account::end_up_to) with
    /// [`EndReason::TooManySessions`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be written.
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError>;

    /// Applies [`Session::advance`] to the session and returns it. `None` if the session is unknown
    /// or the change did not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::recover`] to the session and returns it. `None` if the session is unknown
    /// or the change did not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::renew`] to the session and returns it. `None` if the session is unknown
    /// or the change did not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError>;

    /// Applies [`Session::change`] to the session. If the versions have changed, it appends
    /// [`Session::grant_entry`] to the log in the same act. Returns the session. `None` if the
    /// session is unknown or the change did not fit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError>;

    /// The session, and the store's time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError>;

    /// Ends the sessions that `target` names, and appends the revocation to the log in the same
    /// act. It ends one session with [`Session::end`], and all sessions of an account with
    /// [`Account::end_all`](crate::store::Account::end_all).
    ///
    /// Returns the appended revocation. `None` if all these sessions were over before, or are
    /// unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError>;

    /// Appends the revocation of one access token to the log, unless its session has already ended.
    /// If the session has [`RevokeToken::MAX_PER_SESSION`] live entries, or its account has
    /// [`RevokeToken::MAX_PER_ACCOUNT`], the store ends the session instead. Returns the appended
    /// revocation.
    ///
    /// If the store doesn't know the session, it appends the revocation even beyond these numbers.
    /// A client can't refresh such a session, so it can't get more of its tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError>;

    /// Revokes access tokens of another issuer, for which the store has no session. Appends to the
    /// log, and returns the appended revocation.
    ///
    /// A single token gets its own entry, from [`RevokeForeign::single`]. The result is `None` if
    /// the token already has one. If the subject has [`RevokeForeign::MAX_PER_SUBJECT`] live
    /// entries, the store instead revokes all tokens that the subject got up to now.
    ///
    /// One entry revokes all tokens of a subject, and replaces the last entry of this kind
    /// ([`RevokeForeign::entry`]). The store makes no account for it, and keeps the entry until its
    /// retention is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn revoke_foreign(&self, revoke: RevokeForeign)
    -> Result<Option<Revocation>, StoreError>;

    /// At most `limit` usable sessions ([`Session::is_usable`]) of `account`, newest first. With
    /// `before`, only sessions with smaller numbers.
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

    /// Looks at about `limit` sessions, from the beginning or after the place `after`. Returns the
    /// sessions that `filter` matches at the store's time ([`SessionFilter::matches`]).
    ///
    /// The store decides on the order, which must not change. For example, it sorts by facts
    /// that a session keeps, such as its beginning and its id.
    ///
    /// A session that matches from the first call to the last is in exactly one part. This also
    /// holds if the caller continues from [`SessionFilter::cursor_behind`] a session in the middle
    /// of a part, or from a session that is gone. If an index shows that a session doesn't match,
    /// the store doesn't look at it.
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
    /// ones. In the same act, returns the identities that were known before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError>;

    /// Removes at most `limit` rows and entries that are no longer needed, both at `horizon` and at
    /// the store's own time. These are sessions past [`Session::purge_at`], log entries past their
    /// retention, and records of attempts past [`AttemptRecord::purge_at`].
    ///
    /// gatepass calls this again while [`more`](Purged::more) is true. So a step with `more` must
    /// have made progress: it has removed rows, or found that they are still in use.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be written.
    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError>;

    /// The horizon of the last [`purge`](Self::purge) by any process, if the store outlives
    /// processes and a purge has run. With it, a process that starts finds out whether its own
    /// clock is ahead.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Writes a node's heartbeat with the store's time, in place of the node's last one. Removes
    /// the heartbeats of all nodes that are older than `kept`. Returns the remaining ones, as
    /// [`heartbeats`](Self::heartbeats) does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError>;

    /// The last heartbeat of each node. The store must read from a primary, so that it returns each
    /// heartbeat whose [`beat`](Self::beat) returned before this call began.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    async fn heartbeats(&self) -> Result<Heartbeats, StoreError>;

    /// Applies [`CountAttempt::decide`] to the records of the attempt's keys, and writes the
    /// records that it returns, in one act.
    ///
    /// The store may forget a record from its [`purge_at`](AttemptRecord::purge_at) on. The purge
    /// removes it, unless the store lets it expire.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError>;

    /// Applies [`SettleAttempt::decide`] to the records of the attempt's keys in one act.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not confirm the change.
    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError>;
}

/// A shared store, or one that you choose at run time, is also a store.
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
