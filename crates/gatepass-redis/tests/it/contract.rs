//! The store in Redis keeps the contract.

use gatepass_redis::RedisStore;
use gatepass_testkit::{ManualClock, store_contract};

use crate::support;

async fn fresh(clock: ManualClock) -> RedisStore {
    let store = support::at(support::redis()).clock(clock);
    store.open().await.unwrap()
}

store_contract!(fresh);
