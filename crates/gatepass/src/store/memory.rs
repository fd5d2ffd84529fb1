//! A store that lives and dies with the process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Begun, Cursor, EndTarget, Pull, Purged, RevocationLog, RevokeToken, SessionStore, Status,
};
use crate::{
    Advance, Clock, EndReason, NewSession, Recover, Renew, Revocation, Revoked, Session, SessionId,
    StoreError, Subject, SystemClock, Timestamp, TokenId, random, random::SystemRandom,
};

/// Sessions in memory: for tests, and for a service that may log everybody out when it restarts.
///
/// It **forgets everything when the process ends**. What was revoked before a restart is then no
/// longer known, so every token is checked against the sessions it does know, and tokens from before
/// the restart are refused as [`UnknownSession`](crate::Refusal::UnknownSession). Building an
/// [`Authority`](crate::Authority) on it logs a warning. One process only.
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
    sessions: HashMap<SessionId, Session>,
    log: BTreeMap<u64, Entry>,
    tokens: HashMap<TokenId, u64>,
    purged_until: Option<Timestamp>,
}

struct Entry {
    session: SessionId,
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
        // Cursors never leave the process, so that a missing incarnation could do no harm.
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
        // No method leaves the state half changed, so that a panic elsewhere does not spoil it.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, state: &mut State, session: SessionId, revocation: Revocation) {
        let number = *self.inner.last_entry.borrow() + 1;
        if let Revoked::Token(token) = revocation.target {
            state.tokens.insert(token, number);
        }
        state.log.insert(
            number,
            Entry {
                session,
                revocation,
            },
        );
        self.inner.last_entry.send_replace(number);
    }

    fn end_one(&self, state: &mut State, id: SessionId, reason: EndReason) -> Option<Revocation> {
        let revocation = state
            .sessions
            .get_mut(&id)?
            .end(reason, self.inner.clock.now())?;
        self.append(state, id, revocation);
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
    fn live_of(&self, subject: &Subject, now: Timestamp) -> Vec<&Session> {
        let own = |session: &&Session| session.subject() == subject && session.is_live(now);
        let mut sessions: Vec<_> = self.sessions.values().filter(own).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
        sessions
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
    async fn pull(&self, after: Option<&Cursor>) -> Result<Pull, StoreError> {
        let state = self.state();
        let after = match after.map(|cursor| self.place(cursor)) {
            None => 0,
            Some(Some(number)) => number,
            Some(None) => return Ok(Pull::Reset),
        };
        let newer = state.log.range((Bound::Excluded(after), Bound::Unbounded));
        let entries = newer.map(|(_, entry)| entry.revocation).collect();
        let last = *self.inner.last_entry.borrow();
        let next = Cursor::new(format!("{}:{last}", self.inner.incarnation));
        Ok(Pull::Entries {
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
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = last.wait_for(|last| *last > after).await;
    }

    async fn status(&self, session: SessionId, token: TokenId) -> Result<Status, StoreError> {
        let state = self.state();
        Ok(match state.sessions.get(&session) {
            None => Status::Unknown,
            Some(session) if session.ended.is_some() => Status::Revoked,
            Some(_) if state.tokens.contains_key(&token) => Status::Revoked,
            Some(_) => Status::Live,
        })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn begin(&self, new: NewSession) -> Result<Begun, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let max = new.max_sessions;
        let session = Session::begin(new, now);
        let mut ended = Vec::new();
        if let Some(max) = max {
            let kept = usize::try_from(max.get() - 1).unwrap_or(usize::MAX);
            let live = state.live_of(session.subject(), now).into_iter();
            let usable = live.filter(|session| session.is_usable(now));
            let oldest: Vec<_> = usable.skip(kept).map(|session| session.id).collect();
            for id in oldest {
                ended.extend(self.end_one(&mut state, id, EndReason::TooManySessions));
            }
        }
        state.sessions.insert(session.id, session.clone());
        Ok(Begun { session, ended })
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let session = state.sessions.get_mut(&advance.id);
        Ok(session.and_then(|session| session.advance(advance, now).then(|| session.clone())))
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let session = state.sessions.get_mut(&recover.id);
        Ok(session.and_then(|session| session.recover(recover, now).then(|| session.clone())))
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let session = state.sessions.get_mut(&renew.id);
        Ok(session.and_then(|session| session.renew(renew, now).then(|| session.clone())))
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        Ok((
            self.state().sessions.get(&id).cloned(),
            self.inner.clock.now(),
        ))
    }

    async fn end(
        &self,
        target: EndTarget,
        reason: EndReason,
    ) -> Result<Vec<Revocation>, StoreError> {
        let mut state = self.state();
        let named: Vec<_> = match target {
            EndTarget::Session(id) => vec![id],
            EndTarget::SessionOf(id, subject) => {
                let own = state
                    .sessions
                    .get(&id)
                    .filter(|session| *session.subject() == subject);
                own.map(|session| session.id).into_iter().collect()
            }
            EndTarget::AllOf(subject) => {
                let own = state
                    .sessions
                    .values()
                    .filter(|session| *session.subject() == subject);
                own.map(|session| session.id).collect()
            }
            EndTarget::AllOfBut(subject, kept) => {
                let own = state
                    .sessions
                    .values()
                    .filter(|session| *session.subject() == subject);
                own.map(|session| session.id)
                    .filter(|id| *id != kept)
                    .collect()
            }
        };
        Ok(named
            .into_iter()
            .filter_map(|id| self.end_one(&mut state, id, reason))
            .collect())
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let mut state = self.state();
        let now = self.inner.clock.now();
        let ended = state
            .sessions
            .get(&token.session)
            .is_some_and(|session| session.ended.is_some());
        if ended || state.tokens.contains_key(&token.token) {
            return Ok(None);
        }
        let live = state.log.values().filter(|entry| {
            entry.session == token.session
                && entry.revocation.until + Revocation::RETENTION_MARGIN > now
        });
        if live.count() >= RevokeToken::MAX_PER_SESSION {
            return Ok(self.end_one(&mut state, token.session, EndReason::TooManyRevocations));
        }
        let revocation = Revocation {
            target: Revoked::Token(token.token),
            until: token.until,
        };
        self.append(&mut state, token.session, revocation);
        Ok(Some(revocation))
    }

    async fn sessions(&self, subject: &Subject) -> Result<Vec<Session>, StoreError> {
        let now = self.inner.clock.now();
        let state = self.state();
        let live = state.live_of(subject, now).into_iter();
        Ok(live
            .filter(|session| session.is_usable(now))
            .cloned()
            .collect())
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().purged_until)
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let mut state = self.state();
        let horizon = horizon.min(self.inner.clock.now());
        state.purged_until = Some(horizon);
        let past = |session: &&Session| session.purge_at() <= horizon;
        let sessions: Vec<_> = state
            .sessions
            .values()
            .filter(past)
            .take(limit)
            .map(|session| session.id)
            .collect();
        for id in &sessions {
            state.sessions.remove(id);
        }
        let past = |entry: &Entry| entry.revocation.until + Revocation::RETENTION_MARGIN <= horizon;
        let entries = state
            .log
            .iter()
            .filter(|(_, entry)| past(entry))
            .map(|(number, _)| *number);
        let entries: Vec<_> = entries.take(limit - sessions.len()).collect();
        for number in &entries {
            let removed = state.log.remove(number);
            if let Some(Entry {
                revocation:
                    Revocation {
                        target: Revoked::Token(token),
                        ..
                    },
                ..
            }) = removed
            {
                state.tokens.remove(&token);
            }
        }
        let removed = sessions.len() + entries.len();
        Ok(Purged {
            removed,
            more: removed >= limit,
        })
    }
}
