//! A store that counts its calls, and fails, hangs or holds a call on command.

use std::{
    collections::HashMap,
    fmt, future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, GrantVersion, Heartbeat, Heartbeats, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign, RevokeToken, ScannedPart,
        ServiceIdentity, SessionNumber, SessionStore, SettleAttempt, StoreErrorKind, TokenId,
        TokenStatus,
    },
};
use tokio::sync::{oneshot, watch};

use crate::op::Op;

/// Wraps a store for tests. It counts its calls and misbehaves on command.
///
/// Clones are the same store: give one to the authority under test, and command and count with the
/// other. A command applies to later calls. [`Op::Changed`] has no error to return, so under
/// [`StoreFault::Fail`] and [`StoreFault::LoseAnswer`] it never resolves, as under
/// [`StoreFault::Hang`].
///
/// ```
/// use gatepass::{MemoryStore, SessionId, store::{EndReason, EndSessions, SessionStore}};
/// use gatepass_testkit::{Op, TestStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = TestStore::new(MemoryStore::new());
/// let held = store.hold_before(Op::End);
///
/// let target = EndSessions::Session(SessionId::from_bytes([7; 18]));
/// let logout = tokio::spawn({
///     let store = store.clone();
///     async move { store.end(target, EndReason::Logout).await }
/// });
/// held.reached().await;
/// // You act here while the logout is under way and has not changed anything yet.
/// held.release();
/// logout.await.unwrap().unwrap();
/// assert_eq!(store.calls_of(Op::End), 1);
/// # }
/// ```
#[derive(Clone)]
pub struct TestStore {
    shared: Arc<Shared>,
}

struct Shared {
    inner: RwLock<Arc<dyn SessionStore>>,
    state: Mutex<State>,
    calls: Mutex<HashMap<Op, u64>>,
    durable: AtomicBool,
}

/// How an operation misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// It fails, and does nothing.
    Fail(StoreErrorKind),
    /// It does its work, and fails nevertheless: the answer is lost.
    LoseAnswer(StoreErrorKind),
    /// It does nothing and never returns, not even after you lift the fault.
    Hang,
    /// It takes this much longer, in tokio's time.
    Delay(Duration),
}

#[derive(Debug, Default)]
struct State {
    faults: HashMap<Op, StoreFault>,
    holds: Vec<(Op, Side, Barrier)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The store's half of a [`HeldCall`].
#[derive(Debug)]
struct Barrier {
    reached: watch::Sender<bool>,
    released: oneshot::Receiver<()>,
}

/// Holds the next call of an operation until you release or drop this. Later calls pass.
#[derive(Debug)]
#[must_use = "a held call that is dropped is released"]
pub struct HeldCall {
    reached: watch::Receiver<bool>,
    release: oneshot::Sender<()>,
}

impl TestStore {
    /// A store that does as `inner` does until you command otherwise.
    #[must_use]
    pub fn new(inner: impl SessionStore) -> Self {
        Self {
            shared: Arc::new(Shared {
                inner: RwLock::new(Arc::new(inner)),
                state: Mutex::default(),
                calls: Mutex::default(),
                durable: AtomicBool::new(false),
            }),
        }
    }

    /// Makes nodes treat it as durable, even if the store within isn't. With
    /// [`MemoryStore`](gatepass::MemoryStore), it is a durable store without its own thread, so
    /// tokio's paused time waits for it.
    #[must_use]
    pub fn durable(self) -> Self {
        self.shared.durable.store(true, Ordering::Relaxed);
        self
    }

    /// Replaces the store within, as in a failover or a restore.
    pub fn replace(&self, inner: impl SessionStore) {
        let mut within = self
            .shared
            .inner
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *within = Arc::new(inner);
    }

    /// The number of calls of `op`.
    #[must_use]
    pub fn calls_of(&self, op: Op) -> u64 {
        self.counted().get(&op).copied().unwrap_or(0)
    }

    /// The number of calls of all operations except [`Op::Changed`], which waits and asks nothing.
    #[must_use]
    pub fn calls(&self) -> u64 {
        let asks = |(op, count): (&Op, &u64)| if *op == Op::Changed { 0 } else { *count };
        self.counted().iter().map(asks).sum()
    }

    /// Starts counting from zero again.
    pub fn reset_calls(&self) {
        self.counted().clear();
    }

    /// Makes later calls of `op` misbehave.
    pub fn inject(&self, op: Op, fault: StoreFault) {
        self.state().faults.insert(op, fault);
    }

    /// Makes all later calls misbehave.
    pub fn inject_everywhere(&self, fault: StoreFault) {
        Op::ALL.into_iter().for_each(|op| self.inject(op, fault));
    }

    /// Makes later calls of `op` behave again.
    pub fn lift(&self, op: Op) {
        self.state().faults.remove(&op);
    }

    /// Makes all later calls behave again. A held call stays held.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Holds the next call of `op` before it does anything.
    pub fn hold_before(&self, op: Op) -> HeldCall {
        self.hold(op, Side::Before)
    }

    /// Holds the next call of `op` after it is done, before its caller learns of it.
    pub fn hold_after(&self, op: Op) -> HeldCall {
        self.hold(op, Side::After)
    }

    fn hold(&self, op: Op, side: Side) -> HeldCall {
        let (reached_sender, reached) = watch::channel(false);
        let (release, released) = oneshot::channel();
        let barrier = Barrier {
            reached: reached_sender,
            released,
        };
        self.state().holds.push((op, side, barrier));
        HeldCall { reached, release }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, HashMap<Op, u64>> {
        let calls = &self.shared.calls;
        calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, op: Op) {
        *self.counted().entry(op).or_default() += 1;
    }

    fn inner(&self) -> Arc<dyn SessionStore> {
        let inner = &self.shared.inner;
        Arc::clone(&inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn fault(&self, op: Op) -> Option<StoreFault> {
        self.state().faults.get(&op).copied()
    }

    fn take_hold(&self, op: Op, side: Side) -> Option<Barrier> {
        let mut state = self.state();
        let here = |(of, on, barrier): &(Op, Side, Barrier)| {
            // A barrier that was dropped unused must not take the place of another.
            *of == op && *on == side && !barrier.reached.is_closed()
        };
        let index = state.holds.iter().position(here)?;
        Some(state.holds.remove(index).2)
    }

    async fn pass(&self, op: Op, side: Side) {
        if let Some(Barrier { reached, released }) = self.take_hold(op, side) {
            reached.send_replace(true);
            // Dropping a barrier releases its call.
            let _ = released.await;
        }
    }

    /// Runs `call` under the commands for `op`.
    async fn run<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.count(op);
        let fault = self.fault(op);
        match fault {
            Some(StoreFault::Fail(kind)) => return Err(StoreError::new(kind)),
            Some(StoreFault::Hang) => future::pending().await,
            Some(StoreFault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(StoreFault::LoseAnswer(_)) | None => {}
        }
        self.pass(op, Side::Before).await;
        let answer = call.await;
        self.pass(op, Side::After).await;
        match fault {
            Some(StoreFault::LoseAnswer(kind)) => Err(StoreError::new(kind)),
            _ => answer,
        }
    }
}

impl HeldCall {
    /// Resolves once a call is held here, or at once if one is or was held.
    pub async fn reached(&self) {
        // Without a store, no call comes.
        let _ = self.reached.clone().wait_for(|reached| *reached).await;
    }

    /// Lets the call go on.
    pub fn release(self) {
        // Fails if the call was cancelled.
        let _ = self.release.send(());
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStore")
            .field("state", &*self.state())
            .field("calls", &*self.counted())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for TestStore {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let inner = self.inner();
        self.run(Op::Pull, inner.pull(after)).await
    }

    async fn changed(&self, after: &Cursor) {
        self.count(Op::Changed);
        match self.fault(Op::Changed) {
            // If this returned, the follower would ask again at once, and so on.
            Some(StoreFault::Fail(_) | StoreFault::LoseAnswer(_) | StoreFault::Hang) => {
                future::pending().await
            }
            Some(StoreFault::Delay(delay)) => tokio::time::sleep(delay).await,
            None => {}
        }
        self.pass(Op::Changed, Side::Before).await;
        self.inner().changed(after).await;
        self.pass(Op::Changed, Side::After).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        let inner = self.inner();
        self.run(Op::Status, inner.status(session, token, grant))
            .await
    }

    fn is_volatile(&self) -> bool {
        !self.shared.durable.load(Ordering::Relaxed) && self.inner().is_volatile()
    }
}

#[async_trait]
impl SessionStore for TestStore {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        let inner = self.inner();
        self.run(Op::Begin, inner.begin(new)).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let inner = self.inner();
        self.run(Op::Advance, inner.advance(advance)).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let inner = self.inner();
        self.run(Op::Recover, inner.recover(recover)).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let inner = self.inner();
        self.run(Op::Renew, inner.renew(renew)).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        let inner = self.inner();
        self.run(Op::Change, inner.change(change)).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        let inner = self.inner();
        self.run(Op::Load, inner.load(id)).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        let inner = self.inner();
        self.run(Op::End, inner.end(target, reason)).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let inner = self.inner();
        self.run(Op::RevokeToken, inner.revoke_token(token)).await
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        let inner = self.inner();
        self.run(Op::RevokeForeign, inner.revoke_foreign(revoke))
            .await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let inner = self.inner();
        self.run(Op::Sessions, inner.sessions(account, before, limit))
            .await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        let inner = self.inner();
        self.run(Op::Scan, inner.scan(filter, after, limit)).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        let inner = self.inner();
        self.run(Op::Introduce, inner.introduce(identities, join))
            .await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.inner();
        self.run(Op::PurgedUntil, inner.purged_until()).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let inner = self.inner();
        self.run(Op::Purge, inner.purge(horizon, limit)).await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        let inner = self.inner();
        self.run(Op::Beat, inner.beat(heartbeat, kept)).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        let inner = self.inner();
        self.run(Op::Heartbeats, inner.heartbeats()).await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        let inner = self.inner();
        self.run(Op::CountAttempt, inner.count_attempt(attempt))
            .await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        let inner = self.inner();
        self.run(Op::SettleAttempt, inner.settle_attempt(settled))
            .await
    }
}

#[cfg(test)]
mod tests {
    use gatepass::MemoryStore;
    use tokio::time::timeout;

    use super::*;
    use crate::store_contract::{begin_one, ended};

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn faults_are_injected_by_operation_and_lifted() {
        let store = TestStore::new(MemoryStore::new());
        let handle = store.clone();
        let id = begin_one(&store).await;
        handle.inject(Op::Load, StoreFault::Fail(StoreErrorKind::TimedOut));
        let error = store.load(id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TimedOut);
        assert!(store.pull(None).await.is_ok());

        handle.inject(Op::Load, StoreFault::Hang);
        assert!(timeout(LONG, store.load(id)).await.is_err());

        handle.inject(Op::Load, StoreFault::Delay(LONG));
        let start = tokio::time::Instant::now();
        assert!(store.load(id).await.is_ok());
        assert_eq!(start.elapsed(), LONG);

        handle.lift(Op::Load);
        handle.inject_everywhere(StoreFault::Fail(StoreErrorKind::Busy));
        assert!(store.pull(None).await.is_err());
        handle.heal();
        assert!(store.load(id).await.is_ok() && store.pull(None).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_answer_is_of_something_that_was_done() {
        let store = TestStore::new(MemoryStore::new());
        let id = begin_one(&store).await;
        let handle = store.clone();
        handle.inject(Op::End, StoreFault::LoseAnswer(StoreErrorKind::Unavailable));
        let end = store.end(EndSessions::Session(id), EndReason::Logout).await;
        assert!(end.is_err());
        assert!(ended(&store, id).await);
    }

    #[tokio::test]
    async fn a_call_is_held_on_the_side_that_was_asked_for() {
        let store = TestStore::new(MemoryStore::new());
        let handle = store.clone();
        for (before, done_when_held) in [(true, false), (false, true)] {
            let id = begin_one(&store).await;
            drop(handle.hold_before(Op::End));
            let held = if before {
                handle.hold_before(Op::End)
            } else {
                handle.hold_after(Op::End)
            };
            let target = EndSessions::Session(id);
            let ending = tokio::spawn({
                let store = store.clone();
                async move { store.end(target, EndReason::Logout).await }
            });
            held.reached().await;
            held.reached().await;
            assert_eq!(ended(&store, id).await, done_when_held);
            let unknown = EndSessions::Session(SessionId::from_bytes([0; 18]));
            store.end(unknown, EndReason::Logout).await.unwrap();
            assert!(!ending.is_finished());
            held.release();
            ending.await.unwrap().unwrap();
            assert!(ended(&store, id).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_changes_of_a_failing_store_does_not_end() {
        let store = TestStore::new(MemoryStore::new());
        // The inner store answers at once for an unknown place.
        let cursor = Cursor::new("nowhere");
        for fault in [
            StoreFault::Fail(StoreErrorKind::Unavailable),
            StoreFault::Hang,
        ] {
            store.inject_everywhere(fault);
            assert!(timeout(LONG, store.changed(&cursor)).await.is_err());
        }
        store.heal();
        assert!(timeout(LONG, store.changed(&cursor)).await.is_ok());
        assert!(store.is_volatile());
    }

    #[tokio::test]
    async fn calls_are_counted_by_operation() {
        let store = TestStore::new(MemoryStore::new());
        let id = SessionId::from_bytes([1; 18]);
        store.load(id).await.unwrap();
        store.inject(Op::Load, StoreFault::Fail(StoreErrorKind::Busy));
        store.load(id).await.unwrap_err();
        store.pull(None).await.unwrap();
        assert_eq!((store.calls_of(Op::Load), store.calls_of(Op::Pull)), (2, 1));
        assert_eq!(store.calls(), 3);
        store.reset_calls();
        assert_eq!(store.calls(), 0);
    }

    #[tokio::test]
    async fn another_store_takes_the_place_of_the_one_within() {
        let store = TestStore::new(MemoryStore::new());
        let id = begin_one(&store).await;
        let other = MemoryStore::new();
        store.replace(other.clone());
        assert!(store.load(id).await.unwrap().0.is_none());
        let id = begin_one(&other).await;
        assert!(store.load(id).await.unwrap().0.is_some());
    }

    #[test]
    fn it_is_as_durable_as_it_is_told_to_be() {
        let store = TestStore::new(MemoryStore::new());
        assert!(store.is_volatile());
        assert!(!store.durable().is_volatile());
    }
}
