//! Writers that contend for one file.

use std::time::{Duration, Instant};

use gatepass::store::SessionStore;
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::sessions::{advance_of, begin};
use tempfile::TempDir;
use tokio::task::JoinSet;

const STORES: u8 = 3;
const CALLERS: u8 = 16;
/// Longer than a store waits for the lock. A store that never gets the lock fails the test.
const WORK: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_gets_its_turn_however_much_others_write() {
    let directory = TempDir::new().unwrap();
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..STORES {
        let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
        for _ in 0..CALLERS {
            let store = store.clone();
            callers.spawn(async move {
                let mut session = begin(&store, "alice").await;
                while began.elapsed() < WORK {
                    let advanced = store.advance(advance_of(&session)).await;
                    session = advanced.unwrap().unwrap();
                }
                let (stored, _) = store.load(session.id).await.unwrap();
                assert_eq!(stored, Some(session), "nothing is lost");
            });
        }
    }
    callers.join_all().await;
}
