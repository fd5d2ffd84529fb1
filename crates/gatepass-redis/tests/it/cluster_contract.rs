//! The store in a Redis Cluster keeps the contract.

use gatepass_redis::RedisStore;
use gatepass_testkit::{ManualClock, store_contract};

use crate::support;

async fn fresh(clock: ManualClock) -> RedisStore {
    let store = support::at(support::cluster()).clock(clock);
    store.open().await.unwrap()
}

store_contract!(fresh);
