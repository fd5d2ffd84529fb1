//! The store.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use gatepass::{
    Clock, Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, Examination, GrantEffect, GrantVersion, Heartbeat, Heartbeats,
        NewSession, PullResult, Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign,
        RevokeToken, ScannedPart, ServiceIdentity, SessionNumber, SessionStore, SettleAttempt,
        TokenId, TokenStatus,
    },
};
use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{
    accounts, attempts,
    connecting::{Connecting, connecting_setters},
    error::OpenError,
    examination, heartbeats,
    link::Dialect,
    log,
    reader::PostgresLog,
    rights, schema,
    schema::{Home, Purpose},
    sessions,
    teller::Teller,
};

/// A store for sessions and revocations in a PostgreSQL database.
///
/// A store is cheap to clone. The [crate's documentation](crate) says what it does with the
/// database.
#[derive(Clone)]
pub struct PostgresStore {
    /// The part that reads, over the same connections.
    log: PostgresLog,
    teller: Arc<Teller>,
    on_loan: Arc<Dialect>,
}

/// Options to open a [`PostgresStore`].
#[derive(Clone)]
pub struct PostgresStoreBuilder {
    connecting: Connecting,
    clock: Option<Arc<dyn Clock>>,
}

/// The most rows that one batch of a purge removes, so that it holds none of them for long.
const PURGED_AT_ONCE: usize = 500;
/// A purge looks at no more than this many times the rows that it may remove.
const ROUNDS: usize = 4;
/// The most accounts that a purge looks at because their sessions have ended together.
const ACCOUNTS: usize = 100;

impl PostgresStore {
    /// Opens the store over your own pool, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(pool: PgPool) -> Result<Self, OpenError> {
        Self::builder(pool).open().await
    }

    /// Opens the store in the database at `url`, over a pool of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn connect(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::at(url).open().await
    }

    /// A builder for a store over your own pool.
    #[must_use]
    pub fn builder(pool: PgPool) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(Connecting::over(pool))
    }

    /// A builder for a store at `url`, over a pool of its own. The URL looks like
    /// `postgres://user:password@host:5432/database`, with sqlx's own parameters after a `?`.
    #[must_use]
    pub fn at(url: impl Into<String>) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(Connecting::at(url.into()))
    }

    pub(crate) fn home(&self) -> &Home {
        self.log.home()
    }

    /// The dialect for a connection of the application.
    pub(crate) fn on_loan(&self) -> &Dialect {
        &self.on_loan
    }
}

impl PostgresStoreBuilder {
    fn new(connecting: Connecting) -> Self {
        let clock = None;
        Self { connecting, clock }
    }

    connecting_setters!();

    /// Takes the time from `clock`. The default is the database server's clock, so that all nodes
    /// agree.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Looks for faults of the server and the database without changing anything: a replica,
    /// settings that make a crash lose data, missing indexes, and a purge that doesn't keep up.
    /// `gatepass doctor` shows the result.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the database can't be reached or read.
    pub async fn examine(self) -> Result<Examination, OpenError> {
        examination::examine(self.connecting, self.clock).await
    }

    /// Opens the store: connects, checks the server, and creates or migrates the schema.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(self) -> Result<PostgresStore, OpenError> {
        let connected = self.connecting.open(Purpose::Write, self.clock).await?;
        let log = PostgresLog::new(connected);
        let teller = Arc::new(Teller::start(log.clone()));
        let on_loan = Arc::new(log.links().dialect.on_loan());
        Ok(PostgresStore {
            log,
            teller,
            on_loan,
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.log.links().dialect.schema)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connecting
            .describe(&mut f.debug_struct("PostgresStoreBuilder"))
    }
}

#[async_trait]
impl RevocationLog for PostgresStore {
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
impl SessionStore for PostgresStore {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        let links = self.log.links();
        let begun = links
            .call(|link| Box::pin(sessions::begin(link, new.clone())))
            .await?;
        if begun.ended.is_some() {
            self.teller.tell();
        }
        Ok(begun)
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(sessions::advance(link, advance.clone())))
            .await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(sessions::recover(link, recover.clone())))
            .await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(sessions::renew(link, renew.clone())))
            .await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        let links = self.log.links();
        let is_announced = change.effect != GrantEffect::None;
        let changed = links
            .call(|link| Box::pin(rights::change(link, change.clone())))
            .await?;
        if is_announced && changed.is_some() {
            self.teller.tell();
        }
        Ok(changed)
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.log.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        let links = self.log.links();
        let ended = links
            .call(|link| Box::pin(sessions::end(link, target.clone(), reason)))
            .await?;
        if ended.is_some() {
            self.teller.tell();
        }
        Ok(ended)
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let links = self.log.links();
        let revoked = links
            .call(|link| Box::pin(sessions::revoke_token(link, token)))
            .await?;
        if revoked.is_some() {
            self.teller.tell();
        }
        Ok(revoked)
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        let links = self.log.links();
        let revoked = links
            .call(|link| Box::pin(log::revoke_foreign(link, revoke)))
            .await?;
        if revoked.is_some() {
            self.teller.tell();
        }
        Ok(revoked)
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(sessions::usable(link, account, before, limit)))
            .await
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
        let links = self.log.links();
        links
            .call(|link| Box::pin(schema::introduce(link, identities.to_vec(), join)))
            .await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let links = self.log.links();
        let horizon = links
            .call(|link| Box::pin(schema::remember_horizon(link, horizon)))
            .await?;
        let (mut removed, mut looked_at) = (0, 0_usize);
        // Each batch is its own transaction.
        while removed < limit && looked_at < limit.saturating_mul(ROUNDS) {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let purged = links
                .call(|link| Box::pin(sessions::purge(link, horizon, batch)))
                .await?;
            removed += purged.removed;
            looked_at = looked_at.saturating_add(purged.looked_at);
            if purged.looked_at < asked {
                break;
            }
        }
        let mut accounts = 0_usize;
        while removed < limit && accounts < limit.saturating_mul(ROUNDS) {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let idle = links
                .call(|link| Box::pin(accounts::purge_idle(link, horizon, batch)))
                .await?;
            removed += idle.removed;
            accounts = accounts.saturating_add(asked);
            if !idle.looked {
                break;
            }
        }
        let mut ended = 0_usize;
        while removed < limit && ended < ACCOUNTS {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let purged = links
                .call(|link| Box::pin(accounts::purge_ended(link, horizon, batch)))
                .await?;
            removed += purged.removed;
            if !purged.looked {
                break;
            }
            ended += 1;
        }
        while removed < limit {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let gone = links
                .call(|link| Box::pin(log::purge(link, horizon, batch)))
                .await?;
            removed += gone;
            if gone < asked {
                break;
            }
        }
        while removed < limit {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let gone = links
                .call(|link| Box::pin(attempts::purge(link, horizon, batch)))
                .await?;
            removed += gone;
            if gone < asked {
                break;
            }
        }
        // Otherwise all loops ended because fewer rows were left than they asked for.
        let most = limit.saturating_mul(ROUNDS);
        let more = removed >= limit || looked_at >= most || accounts >= most || ended >= ACCOUNTS;
        Ok(Purged::new(removed, more))
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(schema::last_horizon(link)))
            .await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        let links = self.log.links();
        links
            .call(|link| {
                let heartbeat = heartbeat.clone();
                Box::pin(async move { heartbeats::beat(link, &heartbeat, kept).await })
            })
            .await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        let links = self.log.links();
        links.call(|link| Box::pin(heartbeats::read(link))).await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(attempts::count(link, attempt)))
            .await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        let links = self.log.links();
        links
            .call(|link| Box::pin(attempts::settle(link, settled)))
            .await
    }
}
