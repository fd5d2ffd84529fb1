//! A store that measures another one.
//!
//! A store with a database of your own has the same methods. Each is one transaction: it applies
//! the pure change that the docs of the method name, for example `Session::advance`, and writes the
//! entry of the log in the same act.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp, async_trait,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, GrantVersion, Heartbeat, Heartbeats, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign, RevokeToken, ScannedPart,
        ServiceIdentity, SessionNumber, SessionStore, SettleAttempt, TokenId, TokenStatus,
    },
};
use tokio::time::Instant;

pub(crate) const SLOW: Duration = Duration::from_millis(100);

/// A store that counts the calls to `inner`.
pub(crate) struct Timed<S> {
    inner: S,
    counts: Arc<Counts>,
}

#[derive(Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    slow: AtomicU64,
}

/// The text that Prometheus reads.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "store_calls_total {}", self.calls.load(Relaxed))?;
        writeln!(f, "store_slow_calls_total {}", self.slow.load(Relaxed))
    }
}

/// Counts a call when it is dropped, so also one that gatepass no longer waits for.
struct Timer<'a>(&'a Counts, &'static str, Instant);

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let Self(counts, call, begun) = self;
        counts.calls.fetch_add(1, Relaxed);
        let took = begun.elapsed();
        if took >= SLOW {
            counts.slow.fetch_add(1, Relaxed);
            tracing::warn!(call, ?took, "the store was slow");
        }
    }
}

type Answer<T> = Result<T, StoreError>;

impl<S> Timed<S> {
    pub(crate) fn new(inner: S) -> Self {
        let counts = Arc::default();
        Self { inner, counts }
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    async fn timed<T>(&self, call: &'static str, answer: impl Future<Output = T>) -> T {
        let _timer = Timer(&self.counts, call, Instant::now());
        answer.await
    }
}

#[async_trait]
impl<S: RevocationLog> RevocationLog for Timed<S> {
    async fn pull(&self, after: Option<&Cursor>) -> Answer<PullResult> {
        self.timed("pull", self.inner.pull(after)).await
    }

    /// Only waits, and asks nothing.
    async fn changed(&self, after: &Cursor) {
        self.inner.changed(after).await;
    }

    async fn status(
        &self,
        id: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Answer<TokenStatus> {
        self.timed("status", self.inner.status(id, token, grant))
            .await
    }

    /// The default is `false`: with `MemoryStore`, gates would then trust tokens from before a
    /// restart.
    fn is_volatile(&self) -> bool {
        self.inner.is_volatile()
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Timed<S> {
    async fn begin(&self, new: NewSession) -> Answer<BeginOutcome> {
        self.timed("begin", self.inner.begin(new)).await
    }

    async fn advance(&self, advance: Advance) -> Answer<Option<Session>> {
        self.timed("advance", self.inner.advance(advance)).await
    }

    async fn recover(&self, recover: Recover) -> Answer<Option<Session>> {
        self.timed("recover", self.inner.recover(recover)).await
    }

    async fn renew(&self, renew: Renew) -> Answer<Option<Session>> {
        self.timed("renew", self.inner.renew(renew)).await
    }

    async fn change(&self, change: ChangeIdentity) -> Answer<Option<Session>> {
        self.timed("change", self.inner.change(change)).await
    }

    async fn load(&self, id: SessionId) -> Answer<(Option<Session>, Timestamp)> {
        self.timed("load", self.inner.load(id)).await
    }

    async fn end(&self, target: EndSessions, reason: EndReason) -> Answer<Option<Revocation>> {
        self.timed("end", self.inner.end(target, reason)).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Answer<Option<Revocation>> {
        self.timed("revoke_token", self.inner.revoke_token(token))
            .await
    }

    async fn revoke_foreign(&self, revoke: RevokeForeign) -> Answer<Option<Revocation>> {
        self.timed("revoke_foreign", self.inner.revoke_foreign(revoke))
            .await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Answer<Vec<Session>> {
        self.timed("sessions", self.inner.sessions(account, before, limit))
            .await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Answer<ScannedPart> {
        self.timed("scan", self.inner.scan(filter, after, limit))
            .await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Answer<Vec<ServiceIdentity>> {
        self.timed("introduce", self.inner.introduce(identities, join))
            .await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Answer<Purged> {
        self.timed("purge", self.inner.purge(horizon, limit)).await
    }

    async fn purged_until(&self) -> Answer<Option<Timestamp>> {
        self.timed("purged_until", self.inner.purged_until()).await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Answer<Heartbeats> {
        self.timed("beat", self.inner.beat(heartbeat, kept)).await
    }

    async fn heartbeats(&self) -> Answer<Heartbeats> {
        self.timed("heartbeats", self.inner.heartbeats()).await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Answer<AttemptOutcome> {
        self.timed("count_attempt", self.inner.count_attempt(attempt))
            .await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Answer<()> {
        self.timed("settle_attempt", self.inner.settle_attempt(settled))
            .await
    }
}
