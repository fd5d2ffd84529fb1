//! The store behind a proxy that pools transactions keeps the contract.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test does not expect is a panic"
)]

mod support;

use gatepass_postgres::PostgresStore;
use gatepass_testkit::{ManualClock, store_contract};

async fn fresh(clock: ManualClock) -> PostgresStore {
    let store = support::at(support::pgbouncer());
    store.clock(clock).open().await.unwrap()
}

store_contract!(fresh);
