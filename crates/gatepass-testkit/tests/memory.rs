//! The store in memory keeps the contract.

use gatepass::MemoryStore;
use gatepass_testkit::{ManualClock, store_contract};

async fn fresh(clock: ManualClock) -> MemoryStore {
    MemoryStore::with_clock(clock)
}

store_contract!(fresh);
