//! The store in Redis keeps the contract.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test does not expect is a panic"
)]

mod support;

use gatepass_redis::RedisStore;
use gatepass_testkit::{ManualClock, store_contract};

async fn fresh(clock: ManualClock) -> RedisStore {
    let store = support::at(support::redis()).clock(clock);
    store.open().await.unwrap()
}

store_contract!(fresh);
