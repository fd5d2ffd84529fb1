//! A store in the memory of the process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    env::{
        clock::{Clock, SystemClock, Timestamp},
        random::{self, SystemRandom},
    },
    model::{
        account::Account,
        changes::{
            Advance, ChangeIdentity, NewSession, Recover, Renew, RevokeForeign, RevokeToken,
        },
        grant::GrantEffect,
        ids::{AccountId, GrantVersion, NodeId, SessionId, SessionNumber, TokenId},
        revocation::{Revocation, RevocationTarget},
        session::{EndReason, Session},
        session_cursor::SessionCursor,
        session_filter::SessionFilter,
        throttling::{AttemptOutcome, CountAttempt, SettleAttempt},
    },
    store::{
        BeginOutcome, Cursor, EndSessions, PullResult, Purged, RevocationLog, ScannedPart,
        SessionStore, TokenStatus,
        error::StoreError,
        heartbeat::{Heartbeat, Heartbeats, RecordedHeartbeat},
        memory_attempts::Attempts,
        service::ServiceIdentity,
    },
};

/// Sessions in memory: for tests, and for a service that may log all users out when it restarts.
///
/// It **forgets everything when the process ends**. After a restart, it no longer knows what was
/// revoked before. So gatepass checks every token against the sessions in the store, and refuses
/// tokens from before the restart as [`UnknownSession`](crate::Refusal::UnknownSession).
///
/// An [`Authority`](crate::Authority) that you build on it logs a warning. Only one process can use
/// it.
///
/// ```
/// use gatepass::{Authority, MasterSecret, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), gatepass::BuildError> {
/// let authority = Authority::builder(
///     "https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new(),
/// ).build().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    last_entry: watch::Sender<u64>,
    incarnation: String,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<SessionId, Session>,
    accounts: HashMap<AccountId, Account>,
    /// The sessions of each account in the order in which they began.
    order: BTreeMap<(AccountId, SessionNumber), SessionId>,
    /// All sessions in the order in which they began.
    begun: BTreeSet<(Timestamp, SessionId)>,
    log: BTreeMap<u64, Entry>,
    tokens: HashMap<TokenId, u64>,
    /// The entry of each account's cutoff.
    cutoffs: HashMap<AccountId, u64>,
    /// The one entry of each session whose rights have changed.
    grants: HashMap<SessionId, u64>,
    identities: Vec<ServiceIdentity>,
    purged_until: Option<Timestamp>,
    heartbeats: HashMap<NodeId, RecordedHeartbeat>,
    attempts: Attempts,
}

struct Entry {
    /// The session and the account of the token, if the entry revokes one token.
    token_of: Option<(SessionId, AccountId)>,
    revocation: Revocation,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store on `clock`.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        // Cursors never leave the process, so a missing incarnation does no harm.
        let incarnation = random::bytes(&SystemRandom).map(TokenId::from_bytes);
        let inner = Inner {
            state: Mutex::default(),
            last_entry: watch::Sender::new(0),
            incarnation: incarnation.map(|id| id.to_string()).unwrap_or_default(),
            clock: Arc::new(clock),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No method leaves the state half changed, so the state is valid even after a panic.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn append(
        &self,
        state: &mut State,
        revocation: Revocation,
        token_of: Option<(SessionId, AccountId)>,
    ) {
        let number = *self.inner.last_entry.borrow() + 1;
        match revocation.target {
            RevocationTarget::Session(_) => {}
            RevocationTarget::Token(token) => drop(state.tokens.insert(token, number)),
            RevocationTarget::Sessions(account, _) => {
                if let Some(older) = state.cutoffs.insert(account, number) {
                    state.log.remove(&older);
                }
            }
            RevocationTarget::Grant(session, _) => {
                if let Some(older) = state.grants.insert(session, number) {
                    state.log.remove(&older);
                }
            }
        }
        let entry = Entry {
            token_of,
            revocation,
        };
        state.log.insert(number, entry);
        self.inner.last_entry.send_replace(number);
    }

    fn end_one(&self, state: &mut State, id: SessionId, reason: EndReason) -> Option<Revocation> {
        if state.get(id)?.ended.is_some() {
            return None;
        }
        let session = state.sessions.get_mut(&id)?;
        let revocation = session.end(reason, self.inner.clock.now())?;
        self.append(state, revocation, None);
        Some(revocation)
    }

    fn end_all(
        &self,
        state: &mut State,
        account: AccountId,
        kept: Option<SessionId>,
        reason: EndReason,
    ) -> Option<Revocation> {
        let own = |session: &Session| session.account() == account && session.ended.is_none();
        let kept = kept.and_then(|id| state.get(id)).filter(own);
        let kept = kept.map(|session| session.number);
        let account = state.accounts.get_mut(&account)?;
        let revocation = account.end_all(kept, reason, self.inner.clock.now())?;
        self.append(state, revocation, None);
        Some(revocation)
    }

    fn place(&self, cursor: &Cursor) -> Option<u64> {
        let (incarnation, number) = cursor.as_str().split_once(':')?;
        let number = number.parse().ok()?;
        let known =
            incarnation == self.inner.incarnation && number <= *self.inner.last_entry.borrow();
        known.then_some(number)
    }
}

impl State {
    /// The session. If it ended together with others, with that end.
    fn get(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|session| self.seen(session))
    }

    fn seen(&self, session: &Session) -> Session {
        let account = self.accounts.get(&session.account());
        let ended = account.and_then(|account| account.end_of(session.number));
        Session {
            ended: session.ended.or(ended),
            ..session.clone()
        }
    }

    /// Whether the store may drop the revocation early, since no session that it concerns is left.
    fn is_droppable(&self, revocation: &Revocation, horizon: Timestamp) -> bool {
        let RevocationTarget::Sessions(id, cutoff) = revocation.target else {
            return false;
        };
        let account = self.accounts.get(&id);
        // A subject of another issuer has no account, and its entry stays for its retention.
        let droppable = account.is_some_and(|account| account.droppable_at() <= horizon);
        let mut numbers = self.numbers(id, cutoff.up_to);
        droppable && !numbers.any(|number| cutoff.covers(number))
    }

    fn has_sessions(&self, account: AccountId, up_to: SessionNumber) -> bool {
        self.numbers(account, up_to).next().is_some()
    }

    /// The numbers of the account's sessions up to `up_to`.
    fn numbers(
        &self,
        account: AccountId,
        up_to: SessionNumber,
    ) -> impl Iterator<Item = SessionNumber> {
        let own = (account, SessionNumber::new(0))..=(account, up_to);
        self.order.range(own).map(|((_, number), _)| *number)
    }

    /// Applies `change` to the session, unless it has ended.
    fn change(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> bool,
    ) -> Option<Session> {
        if self.get(id)?.ended.is_some() {
            return None;
        }
        let session = self.sessions.get_mut(&id)?;
        change(session).then(|| session.clone())
    }

    fn heartbeats(&self, now: Timestamp) -> Heartbeats {
        Heartbeats::new(now, self.heartbeats.values().cloned().collect())
    }

    /// The usable sessions of an account that began before the one with the number `before`, newest
    /// first.
    fn usable(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        now: Timestamp,
    ) -> impl Iterator<Item = Session> {
        let first = (account, SessionNumber::new(0));
        let end = before.map_or(Bound::Included(SessionNumber::MAX), Bound::Excluded);
        let own = (Bound::Included(first), end.map(|number| (account, number)));
        let newest_first = self.order.range(own).rev();
        newest_first
            .filter_map(|(_, id)| self.get(*id))
            .filter(move |session| session.is_usable(now))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for MemoryStore {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let state = self.state();
        let after = match after.map(|cursor| self.place(cursor)) {
            None => 0,
            Some(Some(number)) => number,
            Some(None) => return Ok(PullResult::Reset),
        };
        let newer = state.log.range((Bound::Excluded(after), Bound::Unbounded));
        let entries = newer.map(|(_, entry)| entry.revocation).collect();
        let last = *self.inner.last_entry.borrow();
        let next = Cursor::new(format!("{}:{last}", self.inner.incarnation));
        Ok(PullResult::Entries {
            entries,
            next,
            more: false,
        })
    }

    async fn changed(&self, after: &Cursor) {
        let Some(after) = self.place(after) else {
            return;
        };
        let mut last = self.inner.last_entry.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = last.wait_for(|last| *last > after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        let now = self.inner.clock.now();
        let state = self.state();
        let session = state.get(session);
        Ok(match session.filter(|session| now < session.purge_at()) {
            None => TokenStatus::Unknown,
            Some(session) if session.ended.is_some() => TokenStatus::Revoked,
            Some(_) if state.tokens.contains_key(&token) => TokenStatus::Revoked,
            Some(session) if session.grant.refuses(grant) => TokenStatus::Stale,
            Some(_) => TokenStatus::Live,
        })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        let mut state = self.state();
        if let Some(session) = state.get(new.id) {
            return Ok(BeginOutcome::existing(session));
        }
        let now = self.inner.clock.now();
        let (id, max) = (new.account(), new.max_sessions);
        let account = state.accounts.entry(id);
        let account = account.or_insert_with(|| Account::new(id));
        let session = account.begin(new, now);
        let mut ended = None;
        if let Some(max) = max {
            let kept = usize::try_from(max.get() - 1).unwrap_or(usize::MAX);
            let newest_too_many = state.usable(id, None, now).nth(kept);
            let number = newest_too_many.map(|session| session.number);
            if let (Some(number), Some(account)) = (number, state.accounts.get_mut(&id)) {
                ended = account.end_up_to(number, EndReason::TooManySessions, now);
            }
        }
        if let Some(revocation) = ended {
            self.append(&mut state, revocation, None);
        }
        state.order.insert((id, session.number), session.id);
        state.begun.insert((session.created_at, session.id));
        state.sessions.insert(session.id, session.clone());
        Ok(BeginOutcome::new(session, ended))
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let now = self.inner.clock.now();
        Ok(self
            .state()
            .change(advance.id, |session| session.advance(advance, now)))
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let now = self.inner.clock.now();
        Ok(self
            .state()
            .change(recover.id, |session| session.recover(recover, now)))
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let now = self.inner.clock.now();
        Ok(self
            .state()
            .change(renew.id, |session| session.renew(renew, now)))
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        let now = self.inner.clock.now();
        let mut state = self.state();
        let announced = change.effect != GrantEffect::None;
        let changed = state.change(change.id, |session| session.change(change, now));
        if let Some(session) = changed.as_ref().filter(|_| announced) {
            self.append(&mut state, session.grant_entry(), None);
        }
        Ok(changed)
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        Ok((self.state().get(id), self.inner.clock.now()))
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut state = self.state();
        Ok(match target {
            EndSessions::Session(id) => self.end_one(&mut state, id, reason),
            EndSessions::SessionOf(id, account) => {
                let owner = state.sessions.get(&id).map(Session::account);
                match owner == Some(account) {
                    true => self.end_one(&mut state, id, reason),
                    false => None,
                }
            }
            EndSessions::AllOf(account) => self.end_all(&mut state, account, None, reason),
            EndSessions::AllOfBut(account, kept) => {
                self.end_all(&mut state, account, Some(kept), reason)
            }
        })
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let session = state.get(token.session);
        let known = session.is_some();
        let ended = session.is_some_and(|session| session.ended.is_some());
        if ended || state.tokens.contains_key(&token.token) {
            return Ok(None);
        }
        let kept = |entry: &&Entry| entry.revocation.until + Revocation::RETENTION_MARGIN > now;
        let live = state.log.values().filter(kept);
        let live = Vec::from_iter(live.filter_map(|entry| entry.token_of));
        let of_session = live.iter().filter(|(of, _)| *of == token.session);
        let of_account = live.iter().filter(|(_, of)| *of == token.account);
        let full = of_session.count() >= RevokeToken::MAX_PER_SESSION
            || of_account.count() >= RevokeToken::MAX_PER_ACCOUNT;
        if full && known {
            return Ok(self.end_one(&mut state, token.session, EndReason::TooManyRevocations));
        }
        let revocation = Revocation {
            target: RevocationTarget::Token(token.token),
            until: token.until,
        };
        self.append(&mut state, revocation, Some((token.session, token.account)));
        Ok(Some(revocation))
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        if let Some(single) = revoke.single() {
            if state.tokens.contains_key(&single.token) {
                return Ok(None);
            }
            let kept = |entry: &&Entry| entry.revocation.until + Revocation::RETENTION_MARGIN > now;
            let live = state.log.values().filter(kept);
            let of_subject = live.filter_map(|entry| entry.token_of);
            let of_subject = of_subject.filter(|(_, of)| *of == revoke.account);
            if of_subject.count() < RevokeForeign::MAX_PER_SUBJECT {
                let revocation = Revocation {
                    target: RevocationTarget::Token(single.token),
                    until: single.until,
                };
                let token_of = Some((single.session, single.account));
                self.append(&mut state, revocation, token_of);
                return Ok(Some(revocation));
            }
        }
        let before = state.cutoffs.get(&revoke.account);
        let before = before.and_then(|number| state.log.get(number));
        let before = before.and_then(|entry| match entry.revocation.target {
            RevocationTarget::Sessions(_, cutoff) => Some((cutoff, entry.revocation.until)),
            _ => None,
        });
        let revocation = revoke.entry(before, now);
        self.append(&mut state, revocation, None);
        Ok(Some(revocation))
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let now = self.inner.clock.now();
        let state = self.state();
        Ok(state.usable(account, before, now).take(limit).collect())
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        let now = self.inner.clock.now();
        let state = self.state();
        let (first, (before, id)) = filter.begun_range(after);
        let end = <[u8; 18]>::try_from(id).unwrap_or_default();
        let end = (before, SessionId::from_bytes(end));
        let first = (first, SessionId::from_bytes([0; 18])).min(end);
        let range = state.begun.range(first..end).rev().take(limit);
        let mut newest_first = Vec::from_iter(range.filter_map(|(_, id)| state.get(*id)));
        let next = newest_first.last().filter(|_| newest_first.len() == limit);
        let next = next.map(|last| filter.cursor_behind(last));
        newest_first.retain(|session| filter.matches(session, now));
        Ok(ScannedPart::new(newest_first, next))
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        let mut state = self.state();
        let before = state.identities.clone();
        if before.is_empty() || join {
            let new = identities.iter().filter(|one| !before.contains(one));
            state.identities.extend(new.cloned());
        }
        Ok(before)
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().purged_until)
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let mut state = self.state();
        let horizon = horizon.min(self.inner.clock.now());
        state.purged_until = Some(horizon);
        let past = |session: &&Session| state.seen(session).purge_at() <= horizon;
        let sessions = state.sessions.values().filter(past).take(limit);
        let sessions = Vec::from_iter(sessions.cloned());
        for session in &sessions {
            state.sessions.remove(&session.id);
            state.order.remove(&(session.account(), session.number));
            state.begun.remove(&(session.created_at, session.id));
        }
        let past = |(_, entry): &(&u64, &Entry)| {
            entry.revocation.until + Revocation::RETENTION_MARGIN <= horizon
                || state.is_droppable(&entry.revocation, horizon)
        };
        let entries = state.log.iter().filter(past).map(|(number, _)| *number);
        let entries = Vec::from_iter(entries.take(limit - sessions.len()));
        for number in &entries {
            let removed = state.log.remove(number);
            match removed.map(|entry| entry.revocation.target) {
                Some(RevocationTarget::Token(token)) => drop(state.tokens.remove(&token)),
                Some(RevocationTarget::Sessions(account, _)) => {
                    state.cutoffs.remove(&account);
                }
                Some(RevocationTarget::Grant(session, _)) => {
                    state.grants.remove(&session);
                }
                Some(RevocationTarget::Session(_)) | None => {}
            }
        }
        let past = |account: &&Account| {
            account.purge_at() <= horizon && !state.has_sessions(account.id, SessionNumber::MAX)
        };
        let left = limit - sessions.len() - entries.len();
        let accounts = state.accounts.values().filter(past).take(left);
        let accounts = Vec::from_iter(accounts.map(|account| account.id));
        for id in &accounts {
            state.accounts.remove(id);
        }
        let left = left - accounts.len();
        let attempts = state.attempts.purge(horizon, left);
        let removed = sessions.len() + entries.len() + accounts.len() + attempts;
        Ok(Purged {
            removed,
            more: removed >= limit,
        })
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let recorded = RecordedHeartbeat::new(heartbeat.clone(), now);
        state.heartbeats.insert(heartbeat.node, recorded);
        state.heartbeats.retain(|_, one| now.since(one.at) <= kept);
        Ok(state.heartbeats(now))
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        let state = self.state();
        Ok(state.heartbeats(self.inner.clock.now()))
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        let mut state = self.state();
        Ok(state.attempts.count(&attempt, self.inner.clock.now()))
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        let mut state = self.state();
        state.attempts.settle(&settled, self.inner.clock.now());
        Ok(())
    }
}
