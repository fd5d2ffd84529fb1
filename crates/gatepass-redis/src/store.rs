//! The store.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Clock, Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, Examination, GrantVersion, Heartbeat, Heartbeats, NewSession,
        PullResult, Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign, RevokeToken,
        ScannedPart, ServiceIdentity, SessionNumber, SessionStore, SettleAttempt, TokenId,
        TokenStatus,
    },
};

use crate::{
    attempts,
    error::OpenError,
    examination, heartbeats,
    opening::{self, Access, Settings},
    partition::Partition,
    reader::RedisLog,
    route::Servers,
    sessions,
};

/// A store for sessions and revocations in Redis, on a single server or in a cluster.
///
/// A store is cheap to clone. The [crate's documentation](crate) says what it does with the
/// servers.
#[derive(Clone)]
pub struct RedisStore {
    namespace: String,
    log: RedisLog,
    /// The number of purges so far.
    purges: Arc<AtomicUsize>,
}

/// Options to open a [`RedisStore`].
#[derive(Clone)]
pub struct RedisStoreBuilder {
    settings: Settings,
}

/// The most sessions and entries that one script of a purge removes, and the most of each that it
/// looks at. Meanwhile, the server does nothing else.
const PURGED_AT_ONCE: usize = 100;
/// A purge looks at no more than this many times the rows that it may remove.
const ROUNDS: usize = 4;

impl RedisStore {
    /// Opens the store at `urls`, with the defaults of [`at`](Self::at).
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn connect(urls: impl Into<String>) -> Result<Self, OpenError> {
        Self::at(urls).open().await
    }

    /// A builder for a store at `urls`. A URL looks like `redis://user:password@host:6379`, or
    /// begins with `rediss://` for encrypted connections. On a single server, it may end with `/`
    /// and the number of a database. The store detects whether the server is part of a cluster. For
    /// a cluster, you can name several nodes, separated by commas: the store needs one of them that
    /// answers. All must have the same user, password and encryption.
    #[must_use]
    pub fn at(urls: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder {
            settings: Settings::new(urls.into()),
        }
    }

    fn servers(&self) -> &Arc<Servers> {
        self.log.servers()
    }
}

impl RedisStoreBuilder {
    /// Stores everything under keys that begin with this name. The default is `gatepass`. If two
    /// applications share a server but not their sessions, each needs its own namespace.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.settings.namespace = name.into();
        self
    }

    /// Takes the time from `clock`. The default is the server's clock, so that all nodes agree.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Some(Arc::new(clock));
        self
    }

    /// Gives up on a call after this long, including the time to connect. The default is 2 s. Keep
    /// it shorter than the [`store_timeout`](gatepass::AuthorityBuilder::store_timeout), so that
    /// the store notices and drops a connection that hangs.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Gives up on opening after this long. The default is 10 s.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.settings.open_timeout = timeout;
        self
    }

    /// Acknowledges a change only when this many replicas have it (`WAIT`). The call fails if that
    /// takes longer than `patience`, which should be shorter than [`timeout`](Self::timeout). The
    /// default is no replicas: a failover loses the changes that the new primary has not received.
    #[must_use]
    pub fn replicas(mut self, replicas: u32, patience: Duration) -> Self {
        self.settings.replicas = Some((replicas, patience)).filter(|_| replicas > 0);
        self
    }

    /// Looks for faults of the servers and their data without changing anything: eviction,
    /// replicas, settings that make a crash lose data, and a purge that doesn't keep up. `gatepass
    /// doctor` shows the result. A user with `+config|get` sees more.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the servers can't be reached or read.
    pub async fn examine(self) -> Result<Examination, OpenError> {
        examination::examine(self.settings).await
    }

    /// Opens the store: connects, and checks the servers.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(self) -> Result<RedisStore, OpenError> {
        let namespace = self.settings.namespace.clone();
        let servers = self.settings.open(Access::Store).await?;
        Ok(RedisStore {
            namespace,
            log: RedisLog::new(servers),
            purges: Arc::default(),
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leaves out the URLs, because they contain passwords.
        f.debug_struct("RedisStoreBuilder")
            .field("namespace", &self.settings.namespace)
            .field("timeout", &self.settings.timeout)
            .field("open_timeout", &self.settings.open_timeout)
            .field("replicas", &self.settings.replicas)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for RedisStore {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.log.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.log.changed(after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.log.status(session, token, grant).await
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        sessions::begin(self.servers(), new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        sessions::advance(self.servers(), advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        sessions::recover(self.servers(), recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        sessions::renew(self.servers(), renew).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        sessions::change(self.servers(), change).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.log.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        sessions::end(self.servers(), target, reason).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        sessions::revoke_token(self.servers(), token).await
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        sessions::revoke_foreign(self.servers(), revoke).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        sessions::usable(self.servers(), account, before, limit).await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        self.log.scan(filter, after, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        sessions::introduce(self.servers(), identities, join).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        opening::refuse_evicting(self.servers())
            .await
            .map_err(StoreError::from)?;
        let horizon = sessions::remember_horizon(self.servers(), horizon).await?;
        let (mut removed, mut looked_at) = (0, 0_usize);
        // Each purge starts with another partition, because the first one may take all the time of
        // a purge.
        let start = self.purges.fetch_add(1, Ordering::Relaxed);
        for partition in Partition::all_from(start) {
            // Each batch is a script of its own.
            while removed < limit && looked_at < limit.saturating_mul(ROUNDS) {
                let asked = (limit - removed).min(PURGED_AT_ONCE);
                let purged = sessions::purge(self.servers(), partition, horizon, asked).await?;
                removed += purged.removed;
                looked_at = looked_at.saturating_add(purged.looked_at);
                if !purged.more {
                    break;
                }
            }
        }
        // Otherwise each partition has answered that there is no more.
        let more = removed >= limit || looked_at >= limit.saturating_mul(ROUNDS);
        Ok(Purged::new(removed, more))
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        sessions::last_horizon(self.servers()).await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        heartbeats::beat(self.servers(), heartbeat, kept).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        heartbeats::all(self.servers()).await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        attempts::count(self.servers(), attempt).await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        attempts::settle(self.servers(), settled).await
    }
}
