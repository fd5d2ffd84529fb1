//! The store.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Clock, Session, SessionCursor, SessionFilter, SessionId, StoreError, SystemClock, Timestamp,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, Examination, GrantVersion, Heartbeat, Heartbeats, NewSession,
        PullResult, Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign, RevokeToken,
        ScannedPart, ServiceIdentity, SessionNumber, SessionStore, SettleAttempt, TokenId,
        TokenStatus,
    },
};

use crate::{
    accounts, attempts,
    error::{Failure, OpenError},
    examination, heartbeats, log,
    opened::Opened,
    reader::Readers,
    scan, schema, sessions,
    writer::Writer,
};

/// A store for sessions and revocations in one SQLite file.
///
/// A store is cheap to clone; its threads end with the last clone. The [crate's
/// documentation](crate) says what it does with the file.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    readers: Readers,
    /// Reads the log alone, so that long lists of sessions don't delay pulls until the leases of
    /// nodes run out.
    log_reader: Readers,
    incarnation: Arc<str>,
    opened: Opened,
    clock: Arc<dyn Clock>,
}

/// Options to open a [`SqliteStore`].
#[derive(Clone)]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    readers: NonZeroUsize,
}

impl SqliteStore {
    /// Opens the file at `path` with the defaults of [`builder`](Self::builder), and creates it if
    /// it is missing. Blocks while it does.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open()
    }

    /// A builder with the default options for the file at `path`.
    #[must_use]
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder {
            path: path.as_ref().to_owned(),
            clock: Arc::new(SystemClock),
            busy_timeout: Duration::from_secs(2),
            readers: NonZeroUsize::MIN.saturating_add(1),
        }
    }

    pub(crate) fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

impl SqliteStoreBuilder {
    /// Takes the time from `clock`. The default is the system's clock. Processes that share a file
    /// must agree on the time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Waits this long for a lock that another connection holds. The default is 2 s: much longer
    /// than any transaction of a store, and short enough that a request still gets its error.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Reads on this many threads, each with its own connection. The default is 2, because
    /// refreshes don't use these threads: only lists of sessions and replays do. The log has a
    /// thread of its own.
    #[must_use]
    pub fn readers(mut self, readers: NonZeroUsize) -> Self {
        self.readers = readers;
        self
    }

    /// Looks for faults of the file without changing it: damage, the journal mode, the rights of
    /// other users, missing indexes, and a purge that doesn't keep up. Blocks while it reads the
    /// whole file. `gatepass doctor` shows the result.
    ///
    /// It can't see whether nodes write with `synchronous=FULL`. That is a setting of a connection,
    /// and each store sets it when it opens.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the file can't be read at all.
    pub fn examine(self) -> Result<Examination, OpenError> {
        examination::examine(&self.path, self.busy_timeout, self.clock.now())
    }

    /// Opens the store. Blocks while it creates or migrates the file.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub fn open(self) -> Result<SqliteStore, OpenError> {
        let (writer, incarnation) = schema::open_writer(&self.path, self.busy_timeout)?;
        let last_seq = log::last_seq(&writer).map_err(|failure| match failure {
            Failure::Sqlite(error) => OpenError::new(self.path.clone(), error),
            Failure::Unreadable(_) | Failure::Gone(_) => OpenError::Damaged {
                path: self.path.clone(),
            },
        })?;
        let opened = Opened::new(&self.path).map_err(|source| OpenError::Gone {
            path: self.path.clone(),
            source,
        })?;
        let readers = (0..self.readers.get())
            .map(|_| schema::open_reader(&self.path, self.busy_timeout))
            .collect::<Result<_, _>>()?;
        let log_reader = schema::open_reader(&self.path, self.busy_timeout)?;
        let clock = Arc::clone(&self.clock);
        let inner = Inner {
            writer: Writer::start(writer, opened.clone(), clock, self.busy_timeout, last_seq)
                .map_err(OpenError::Thread)?,
            readers: Readers::start(readers).map_err(OpenError::Thread)?,
            log_reader: Readers::start(vec![log_reader]).map_err(OpenError::Thread)?,
            incarnation: incarnation.into(),
            opened,
            clock: self.clock,
        };
        Ok(SqliteStore {
            inner: Arc::new(inner),
        })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStoreBuilder")
            .field("path", &self.path)
            .field("busy_timeout", &self.busy_timeout)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for SqliteStore {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let incarnation = Arc::clone(&self.inner.incarnation);
        let (after, opened) = (after.cloned(), self.inner.opened.clone());
        self.inner
            .log_reader
            .run(move |conn| {
                let pulled = log::pull(conn, &incarnation, after.as_ref())?;
                // If the file was replaced meanwhile, other processes now write to another file.
                opened.check()?;
                Ok(pulled)
            })
            .await
    }

    async fn changed(&self, after: &Cursor) {
        // If the cursor isn't a place in this log, the next pull answers with a reset.
        let Some(after) = log::place(&self.inner.incarnation, after) else {
            return;
        };
        let mut last_seq = self.inner.writer.last_seq();
        if last_seq.wait_for(|last| *last > after).await.is_err() {
            // The writing thread is gone. If this returned, the follower would ask again at once.
            std::future::pending::<()>().await;
        }
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        let clock = Arc::clone(&self.inner.clock);
        let opened = self.inner.opened.clone();
        self.inner
            .log_reader
            .run(move |conn| {
                let status = log::status(conn, session, token, grant, clock.now())?;
                opened.check()?;
                Ok(status)
            })
            .await
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::begin(write, new.clone()))
            .await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::advance(write, advance.clone()))
            .await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::recover(write, recover.clone()))
            .await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::renew(write, renew.clone()))
            .await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::change(write, change.clone()))
            .await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        let clock = Arc::clone(&self.inner.clock);
        let opened = self.inner.opened.clone();
        self.inner
            .readers
            .run(move |conn| {
                let session = sessions::find(conn, id)?.map(|stored| stored.session);
                opened.check()?;
                Ok((session, clock.now()))
            })
            .await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::end(write, &target, reason))
            .await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.inner
            .writer
            .run(move |write| sessions::revoke_token(write, token))
            .await
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        self.inner
            .writer
            .run(move |write| log::revoke_foreign(write.conn, revoke, write.now))
            .await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let clock = Arc::clone(&self.inner.clock);
        let opened = self.inner.opened.clone();
        self.inner
            .readers
            .run(move |conn| {
                let sessions = sessions::usable(conn, account, before, limit, clock.now())?;
                opened.check()?;
                Ok(sessions)
            })
            .await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        let (filter, after) = (filter.clone(), after.cloned());
        let clock = Arc::clone(&self.inner.clock);
        let opened = self.inner.opened.clone();
        self.inner
            .readers
            .run(move |conn| {
                let part = scan::scan(conn, &filter, after.as_ref(), limit, clock.now())?;
                opened.check()?;
                Ok(part)
            })
            .await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        let identities = identities.to_vec();
        self.inner
            .writer
            .run(move |write| schema::introduce(write.conn, &identities, join))
            .await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.inner
            .writer
            .run(move |write| {
                let horizon = horizon.min(write.now);
                schema::remember_horizon(write.conn, horizon)?;
                let sessions = sessions::purge(write.conn, horizon, limit)?;
                let left = limit.saturating_sub(sessions.removed);
                let accounts = accounts::purge(write.conn, horizon, left)?;
                let left = left.saturating_sub(accounts.removed);
                let entries = log::purge(write.conn, horizon, left)?;
                let rest = left.saturating_sub(entries);
                let attempts = attempts::purge(write.conn, horizon, rest)?;
                let removed = sessions.removed + accounts.removed + entries + attempts;
                let more = sessions.more || accounts.more || entries >= left || attempts >= rest;
                Ok(Purged::new(removed, more))
            })
            .await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner
            .readers
            .run(|conn| schema::last_horizon(conn))
            .await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        let heartbeat = heartbeat.clone();
        self.inner
            .writer
            .run(move |write| {
                heartbeats::write(write.conn, &heartbeat, kept, write.now)?;
                heartbeats::read(write.conn, write.now)
            })
            .await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        let (clock, opened) = (Arc::clone(&self.inner.clock), self.inner.opened.clone());
        self.inner
            .log_reader
            .run(move |conn| {
                let heartbeats = heartbeats::read(conn, clock.now())?;
                opened.check()?;
                Ok(heartbeats)
            })
            .await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        self.inner
            .writer
            .run(move |write| attempts::count(write, &attempt))
            .await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        self.inner
            .writer
            .run(move |write| attempts::settle(write, &settled))
            .await
    }
}
