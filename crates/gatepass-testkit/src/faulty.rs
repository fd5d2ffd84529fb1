//! A store that fails, hangs, or waits at a gate on command.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Session, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, BeginOutcome, Cursor, EndReason, EndSessions, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeToken, ServiceIdentity,
        SessionNumber, SessionStore, StoreErrorKind, TokenId, TokenStatus,
    },
};
use tokio::sync::{oneshot, watch};

use crate::op::Op;

/// A store that misbehaves on command, for tests of what happens then.
///
/// ```
/// use gatepass::{MemoryStore, SessionId, store::{EndReason, EndSessions, SessionStore}};
/// use gatepass_testkit::{FaultyStore, Op};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = Arc::new(FaultyStore::new(MemoryStore::new()));
/// let gate = store.handle().hold_before(Op::End);
///
/// let target = EndSessions::Session(SessionId::from_bytes([7; 18]));
/// let logout = tokio::spawn({
///     let store = Arc::clone(&store);
///     async move { store.end(target, EndReason::Logout).await }
/// });
/// gate.reached().await;
/// // What is done here, happens while the logout is under way and has not changed anything yet.
/// gate.release();
/// logout.await.unwrap().unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    handle: FaultHandle,
}

/// How an operation misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails, without having done anything.
    Fail(StoreErrorKind),
    /// It is done, and fails nevertheless: the answer got lost.
    LoseAnswer(StoreErrorKind),
    /// It never returns, without having done anything; not even once the fault is lifted.
    Hang,
    /// It takes so much longer, in tokio's time.
    Delay(Duration),
}

/// Commands a [`FaultyStore`], also after that was moved elsewhere. Clones command the same store.
///
/// A command holds for calls that begin later. [`Op::Changed`] has no error to return: under
/// [`Fault::Fail`] and [`Fault::LoseAnswer`] it never resolves, as under [`Fault::Hang`].
#[derive(Clone, Debug, Default)]
pub struct FaultHandle {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: HashMap<Op, Fault>,
    gates: Vec<(Op, Side, Barrier)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The store's half of a gate.
#[derive(Debug)]
struct Barrier {
    reached: watch::Sender<bool>,
    released: oneshot::Receiver<()>,
}

/// Holds one call, the next of its operation, until it is released or dropped. Later calls pass.
#[derive(Debug)]
#[must_use = "a gate that is dropped holds nothing"]
pub struct Gate {
    reached: watch::Receiver<bool>,
    release: oneshot::Sender<()>,
}

impl<S> FaultyStore<S> {
    /// Wraps `inner`, which behaves until told otherwise.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            handle: FaultHandle::default(),
        }
    }

    /// The handle that commands this store.
    #[must_use]
    pub fn handle(&self) -> FaultHandle {
        self.handle.clone()
    }
}

impl FaultHandle {
    /// Has calls of `op` misbehave from now on.
    pub fn inject(&self, op: Op, fault: Fault) {
        self.state().faults.insert(op, fault);
    }

    /// Has all calls misbehave from now on.
    pub fn inject_everywhere(&self, fault: Fault) {
        Op::ALL.into_iter().for_each(|op| self.inject(op, fault));
    }

    /// Has calls of `op` behave again.
    pub fn lift(&self, op: Op) {
        self.state().faults.remove(&op);
    }

    /// Has all calls behave again. Gates stay.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Holds the next call of `op` before it does anything.
    pub fn hold_before(&self, op: Op) -> Gate {
        self.hold(op, Side::Before)
    }

    /// Holds the next call of `op` after it is done, before its caller knows.
    pub fn hold_after(&self, op: Op) -> Gate {
        self.hold(op, Side::After)
    }

    fn hold(&self, op: Op, side: Side) -> Gate {
        let (reached_sender, reached) = watch::channel(false);
        let (release, released) = oneshot::channel();
        let barrier = Barrier {
            reached: reached_sender,
            released,
        };
        self.state().gates.push((op, side, barrier));
        Gate { reached, release }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, op: Op) -> Option<Fault> {
        self.state().faults.get(&op).copied()
    }

    fn take_gate(&self, op: Op, side: Side) -> Option<Barrier> {
        let mut state = self.state();
        let here = |(of, on, barrier): &(Op, Side, Barrier)| {
            // One that was dropped unused would take the place of another.
            *of == op && *on == side && !barrier.reached.is_closed()
        };
        let index = state.gates.iter().position(here)?;
        Some(state.gates.remove(index).2)
    }

    async fn pass(&self, op: Op, side: Side) {
        if let Some(Barrier { reached, released }) = self.take_gate(op, side) {
            reached.send_replace(true);
            // A gate that is dropped is open.
            let _ = released.await;
        }
    }

    /// Runs `call` as it is commanded for `op`.
    async fn run<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = self.fault(op);
        match fault {
            Some(Fault::Fail(kind)) => return Err(StoreError::new(kind)),
            Some(Fault::Hang) => future::pending().await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::LoseAnswer(_)) | None => {}
        }
        self.pass(op, Side::Before).await;
        let answer = call.await;
        self.pass(op, Side::After).await;
        match fault {
            Some(Fault::LoseAnswer(kind)) => Err(StoreError::new(kind)),
            _ => answer,
        }
    }
}

impl Gate {
    /// Resolves once a call is held here; at once if one is, or was.
    pub async fn reached(&self) {
        // Without a store there is nothing to wait for.
        let _ = self.reached.clone().wait_for(|reached| *reached).await;
    }

    /// Lets the call go on.
    pub fn release(self) {
        // Fails if the call was cancelled.
        let _ = self.release.send(());
    }
}

#[async_trait]
impl<S: RevocationLog> RevocationLog for FaultyStore<S> {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.handle.run(Op::Pull, self.inner.pull(after)).await
    }

    async fn changed(&self, after: &Cursor) {
        match self.handle.fault(Op::Changed) {
            // To return would have the follower ask again at once, and so on.
            Some(Fault::Fail(_) | Fault::LoseAnswer(_) | Fault::Hang) => future::pending().await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            None => {}
        }
        self.handle.pass(Op::Changed, Side::Before).await;
        self.inner.changed(after).await;
        self.handle.pass(Op::Changed, Side::After).await;
    }

    async fn status(&self, session: SessionId, token: TokenId) -> Result<TokenStatus, StoreError> {
        let call = self.inner.status(session, token);
        self.handle.run(Op::Status, call).await
    }

    fn is_volatile(&self) -> bool {
        self.inner.is_volatile()
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for FaultyStore<S> {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.handle.run(Op::Begin, self.inner.begin(new)).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let call = self.inner.advance(advance);
        self.handle.run(Op::Advance, call).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let call = self.inner.recover(recover);
        self.handle.run(Op::Recover, call).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let call = self.inner.renew(renew);
        self.handle.run(Op::Renew, call).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.handle.run(Op::Load, self.inner.load(id)).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        let call = self.inner.end(target, reason);
        self.handle.run(Op::End, call).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let call = self.inner.revoke_token(token);
        self.handle.run(Op::RevokeToken, call).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let call = self.inner.sessions(account, before, limit);
        self.handle.run(Op::Sessions, call).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        let call = self.inner.introduce(identities, join);
        self.handle.run(Op::Introduce, call).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let call = self.inner.purged_until();
        self.handle.run(Op::PurgedUntil, call).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let call = self.inner.purge(horizon, limit);
        self.handle.run(Op::Purge, call).await
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
        let store = FaultyStore::new(MemoryStore::new());
        let handle = store.handle();
        let id = begin_one(&store).await;
        handle.inject(Op::Load, Fault::Fail(StoreErrorKind::TimedOut));
        let error = store.load(id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TimedOut);
        assert!(store.pull(None).await.is_ok());

        handle.inject(Op::Load, Fault::Hang);
        assert!(timeout(LONG, store.load(id)).await.is_err());

        handle.inject(Op::Load, Fault::Delay(LONG));
        let start = tokio::time::Instant::now();
        assert!(store.load(id).await.is_ok());
        assert_eq!(start.elapsed(), LONG);

        handle.lift(Op::Load);
        handle.inject_everywhere(Fault::Fail(StoreErrorKind::Busy));
        assert!(store.pull(None).await.is_err());
        handle.heal();
        assert!(store.load(id).await.is_ok() && store.pull(None).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_answer_is_of_something_that_was_done() {
        let store = FaultyStore::new(MemoryStore::new());
        let id = begin_one(&store).await;
        let handle = store.handle();
        handle.inject(Op::End, Fault::LoseAnswer(StoreErrorKind::Unavailable));
        let end = store.end(EndSessions::Session(id), EndReason::Logout).await;
        assert!(end.is_err());
        assert!(ended(&store, id).await);
    }

    #[tokio::test]
    async fn a_gate_holds_one_call_on_the_side_that_was_asked_for() {
        let store = Arc::new(FaultyStore::new(MemoryStore::new()));
        let handle = store.handle();
        for (before, done_at_the_gate) in [(true, false), (false, true)] {
            let id = begin_one(&*store).await;
            drop(handle.hold_before(Op::End));
            let gate = if before {
                handle.hold_before(Op::End)
            } else {
                handle.hold_after(Op::End)
            };
            let target = EndSessions::Session(id);
            let held = tokio::spawn({
                let store = Arc::clone(&store);
                async move { store.end(target, EndReason::Logout).await }
            });
            gate.reached().await;
            gate.reached().await;
            assert_eq!(ended(&*store, id).await, done_at_the_gate);
            let unknown = EndSessions::Session(SessionId::from_bytes([0; 18]));
            store.end(unknown, EndReason::Logout).await.unwrap();
            assert!(!held.is_finished());
            gate.release();
            held.await.unwrap().unwrap();
            assert!(ended(&*store, id).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_changes_of_a_failing_store_waits() {
        let store = FaultyStore::new(MemoryStore::new());
        // The inner store answers at once for a place that it does not know.
        let cursor = Cursor::new("nowhere");
        for fault in [Fault::Fail(StoreErrorKind::Unavailable), Fault::Hang] {
            store.handle().inject_everywhere(fault);
            assert!(timeout(LONG, store.changed(&cursor)).await.is_err());
        }
        store.handle().heal();
        assert!(timeout(LONG, store.changed(&cursor)).await.is_ok());
        assert!(store.is_volatile());
    }
}
