//! Ends and changes of rights in the application's own transaction keep the same contract as those
//! by the store.

use std::{sync::Mutex, time::Duration};

use gatepass::{
    Session, StoreError, async_trait,
    store::{
        ChangeIdentity, Cursor, EndReason, EndSessions, PullResult, Revocation, RevocationLog,
    },
};
use gatepass_sqlite::{SqliteStore, TransactionError};
use gatepass_testkit::{ManualClock, store_contract};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tempfile::TempDir;
use test_support::transactions::{InTransactions, Transactions};
use tokio::task::yield_now;

/// A store, and the application's own connection.
struct Shop {
    store: SqliteStore,
    conn: Mutex<Connection>,
    _directory: TempDir,
}

async fn fresh(clock: ManualClock) -> InTransactions<Shop> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("shop.db");
    let patience = Duration::from_secs(60);
    let store = SqliteStore::builder(&path).busy_timeout(patience);
    let store = store.clock(clock).open().unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.busy_timeout(patience).unwrap();
    InTransactions(Shop {
        store,
        conn: Mutex::new(conn),
        _directory: directory,
    })
}

store_contract!(fresh);

impl Shop {
    fn commit<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, TransactionError>,
    ) -> Result<T, StoreError> {
        let mut conn = self.conn.lock().unwrap();
        let transaction = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::unavailable)?;
        let done = act(&transaction).map_err(StoreError::unavailable)?;
        transaction.commit().map_err(StoreError::unavailable)?;
        Ok(done)
    }
}

#[async_trait]
impl Transactions for Shop {
    type Store = SqliteStore;

    fn store(&self) -> &SqliteStore {
        &self.store
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        self.commit(|transaction| self.store.end_in(transaction, target, reason))
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        self.commit(|transaction| self.store.change_in(transaction, change))
    }

    /// The store is notified only of its own commits. A node polls for those of others.
    async fn changed(&self, after: &Cursor) {
        while let Ok(PullResult::Entries { entries, .. }) = self.store.pull(Some(after)).await
            && entries.is_empty()
        {
            yield_now().await;
        }
    }
}
