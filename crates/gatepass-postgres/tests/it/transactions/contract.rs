//! Ends and changes of rights in the application's own transaction keep the same contract as those
//! by the store.

use gatepass::{
    Session, StoreError, async_trait,
    store::{ChangeIdentity, EndReason, EndSessions, Revocation},
};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::{ManualClock, store_contract};
use sqlx::PgPool;
use test_support::transactions::{InTransactions, Transactions};

use crate::support;

/// A store, and the application's own pool.
struct Shop {
    store: PostgresStore,
    pool: PgPool,
}

async fn fresh(clock: ManualClock) -> InTransactions<Shop> {
    let store = support::at(support::postgres());
    InTransactions(Shop {
        store: store.clock(clock).open().await.unwrap(),
        pool: support::pool(&support::postgres()),
    })
}

store_contract!(fresh);

#[async_trait]
impl Transactions for Shop {
    type Store = PostgresStore;

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        loop {
            let mut transaction = self.pool.begin().await.map_err(StoreError::unavailable)?;
            let ended = self.store.end_in(&mut transaction, target.clone(), reason);
            match ended.await {
                Ok(ended) => {
                    let committed = transaction.commit().await;
                    return committed.map(|()| ended).map_err(StoreError::unavailable);
                }
                Err(error) if error.is_busy() => {}
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        }
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        loop {
            let mut transaction = self.pool.begin().await.map_err(StoreError::unavailable)?;
            let changed = self.store.change_in(&mut transaction, change.clone());
            match changed.await {
                Ok(changed) => {
                    let committed = transaction.commit().await;
                    return committed.map(|()| changed).map_err(StoreError::unavailable);
                }
                Err(error) if error.is_busy() => {}
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        }
    }
}
