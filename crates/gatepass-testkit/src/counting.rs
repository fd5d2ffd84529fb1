//! A store that counts what it is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use gatepass::{
    Session, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, BeginOutcome, Cursor, EndReason, EndSessions, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeToken, ServiceIdentity,
        SessionNumber, SessionStore, TokenId, TokenStatus,
    },
};

use crate::op::Op;

/// A store that counts its calls, for tests that claim how many round trips something costs.
#[derive(Debug)]
pub struct CountingStore<S> {
    inner: S,
    counts: Counts,
}

/// The calls of a [`CountingStore`], also after it was moved elsewhere. Clones show the same
/// counts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    calls: Arc<Mutex<HashMap<Op, u64>>>,
}

impl<S> CountingStore<S> {
    /// Counts the calls of `inner`.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            counts: Counts::default(),
        }
    }

    /// The counts, which go on counting.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

impl Counts {
    /// How often `op` was called.
    #[must_use]
    pub fn of(&self, op: Op) -> u64 {
        self.with(|calls| calls.get(&op).copied().unwrap_or(0))
    }

    /// How often any operation was called. [`Op::Changed`] does not count: it waits, and asks
    /// nothing.
    #[must_use]
    pub fn total(&self) -> u64 {
        let asks = |(op, count): (&Op, &u64)| if *op == Op::Changed { 0 } else { *count };
        self.with(|calls| calls.iter().map(asks).sum())
    }

    /// Starts again from zero.
    pub fn reset(&self) {
        self.with(|calls| calls.clear());
    }

    fn add(&self, op: Op) {
        self.with(|calls| *calls.entry(op).or_default() += 1);
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Op, u64>) -> T) -> T {
        look(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl<S: RevocationLog> RevocationLog for CountingStore<S> {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.counts.add(Op::Pull);
        self.inner.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.counts.add(Op::Changed);
        self.inner.changed(after).await;
    }

    async fn status(&self, session: SessionId, token: TokenId) -> Result<TokenStatus, StoreError> {
        self.counts.add(Op::Status);
        self.inner.status(session, token).await
    }

    fn is_volatile(&self) -> bool {
        self.inner.is_volatile()
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for CountingStore<S> {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.counts.add(Op::Begin);
        self.inner.begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.counts.add(Op::Advance);
        self.inner.advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.counts.add(Op::Recover);
        self.inner.recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.counts.add(Op::Renew);
        self.inner.renew(renew).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.counts.add(Op::Load);
        self.inner.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        self.counts.add(Op::End);
        self.inner.end(target, reason).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.counts.add(Op::RevokeToken);
        self.inner.revoke_token(token).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.counts.add(Op::Sessions);
        self.inner.sessions(account, before, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        self.counts.add(Op::Introduce);
        self.inner.introduce(identities, join).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.counts.add(Op::PurgedUntil);
        self.inner.purged_until().await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.counts.add(Op::Purge);
        self.inner.purge(horizon, limit).await
    }
}

#[cfg(test)]
mod tests {
    use gatepass::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn calls_are_counted_by_operation() {
        let store = CountingStore::new(MemoryStore::new());
        let counts = store.counts();
        let id = SessionId::from_bytes([1; 18]);
        store.load(id).await.unwrap();
        store.load(id).await.unwrap();
        store.pull(None).await.unwrap();
        assert_eq!((counts.of(Op::Load), counts.of(Op::Pull)), (2, 1));
        assert_eq!(counts.total(), 3);
        counts.reset();
        assert_eq!(counts.total(), 0);
        assert!(store.is_volatile());
    }
}
