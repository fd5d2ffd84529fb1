//! The store in a file keeps the contract.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{ManualClock, store_contract};
use tempfile::TempDir;

thread_local! {
    /// Lives as long as the test's thread. The stores are dropped before it.
    static DIRECTORY: TempDir = TempDir::new().unwrap();
}

async fn fresh(clock: ManualClock) -> SqliteStore {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}.db", NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = DIRECTORY.with(|directory| directory.path().join(name));
    // The contract doesn't require a fast disk, and the disk may be busy with other tests.
    let store = SqliteStore::builder(path).busy_timeout(Duration::from_secs(60));
    store.clock(clock).open().unwrap()
}

store_contract!(fresh);
