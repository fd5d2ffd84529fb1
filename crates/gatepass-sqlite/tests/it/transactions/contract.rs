//! An end in a transaction of the application keeps the same contract as one by the store.

use std::{sync::Mutex, time::Duration};

use gatepass::{
    Session, SessionId, StoreError, Timestamp, async_trait,
    store::{
        AccountId, Advance, BeginOutcome, ChangeIdentity, Cursor, EndReason, EndSessions,
        GrantVersion, Heartbeat, Heartbeats, NewSession, PullResult, Purged, Recover, Renew,
        Revocation, RevocationLog, RevokeToken, ScannedPart, ServiceIdentity, SessionNumber,
        SessionStore, TokenId, TokenStatus,
    },
};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{ManualClock, store_contract};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use tokio::task::yield_now;

/// A store that ends sessions in transactions over another connection, as an application does.
struct InTransactions {
    store: SqliteStore,
    conn: Mutex<Connection>,
    _directory: TempDir,
}

async fn fresh(clock: ManualClock) -> InTransactions {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("shop.db");
    let patience = Duration::from_secs(60);
    let store = SqliteStore::builder(&path).busy_timeout(patience);
    let store = store.clock(clock).open().unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.busy_timeout(patience).unwrap();
    InTransactions {
        store,
        conn: Mutex::new(conn),
        _directory: directory,
    }
}

store_contract!(fresh);

#[async_trait]
impl RevocationLog for InTransactions {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.store.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        // The store hears of its own commits alone. A node polls for those of others.
        while let Ok(PullResult::Entries { entries, .. }) = self.store.pull(Some(after)).await
            && entries.is_empty()
        {
            yield_now().await;
        }
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.store.status(session, token, grant).await
    }
}

#[async_trait]
impl SessionStore for InTransactions {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.store.begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.store.advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.store.recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.store.renew(renew).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        let mut conn = self.conn.lock().unwrap();
        let transaction = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::unavailable)?;
        let changed = self.store.change_in(&transaction, change);
        let changed = changed.map_err(StoreError::unavailable)?;
        transaction.commit().map_err(StoreError::unavailable)?;
        Ok(changed)
    }

    async fn scan(&self, after: Option<&Cursor>, limit: usize) -> Result<ScannedPart, StoreError> {
        self.store.scan(after, limit).await
    }

    async fn beat(
        &self,
        heartbeat: &Heartbeat,
        kept_for: Duration,
    ) -> Result<Heartbeats, StoreError> {
        self.store.beat(heartbeat, kept_for).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        self.store.heartbeats().await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.store.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut conn = self.conn.lock().unwrap();
        let transaction = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::unavailable)?;
        let ended = self.store.end_in(&transaction, target, reason);
        let ended = ended.map_err(StoreError::unavailable)?;
        transaction.commit().map_err(StoreError::unavailable)?;
        Ok(ended)
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.store.revoke_token(token).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.sessions(account, before, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        self.store.introduce(identities, join).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.store.purge(horizon, limit).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.purged_until().await
    }
}
