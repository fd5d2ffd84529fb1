//! The store behind a proxy that pools transactions keeps the contract.

use gatepass_postgres::PostgresStore;
use gatepass_testkit::{ManualClock, store_contract};

use crate::support;

async fn fresh(clock: ManualClock) -> PostgresStore {
    let store = support::at(support::pgbouncer());
    store.clock(clock).open().await.unwrap()
}

store_contract!(fresh);
