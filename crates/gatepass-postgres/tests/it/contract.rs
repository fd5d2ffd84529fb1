//! The store in PostgreSQL keeps the contract.

use gatepass_postgres::PostgresStore;
use gatepass_testkit::{ManualClock, store_contract};

use crate::support;

async fn fresh(clock: ManualClock) -> PostgresStore {
    let store = support::over(support::pool(&support::postgres()));
    store.clock(clock).open().await.unwrap()
}

store_contract!(fresh);
