//! Connections that stay open, and end with their session, their token, or the node's knowledge of
//! revocations.

mod lease;
mod races;
mod renewal;
mod sessions;
mod streams;

use std::{sync::Arc, time::Duration};

use gatepass::{
    Authority, Connection, Device, Ended, Error, Identity, Issued, MemoryStore, Refusal,
    Requirements, Scopes, Staleness,
    store::{SessionStore, StoreErrorKind},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{
    HOUR, MINUTE, PATIENCE, SECOND, Ticking, builder, login, refresh, refusal, subject, verify,
};
use tokio::time::{Instant, timeout};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
/// When an access token of the defaults expires, the leeway included.
const EXPIRY: Duration = Duration::from_secs(930);
/// How old knowledge may be by default.
const BOUND: Duration = Duration::from_secs(2);

/// A node over a store that fails on command, with a clock that goes with tokio's.
struct Node {
    authority: Authority,
    store: Arc<dyn SessionStore>,
    handle: TestStore,
}

impl Node {
    async fn new() -> Self {
        let memory = MemoryStore::with_clock(Ticking::new());
        Self::over(Arc::new(TestStore::new(memory).durable())).await
    }

    async fn over(store: Arc<dyn SessionStore>) -> Self {
        let handle = TestStore::new(Arc::clone(&store));
        let building = builder(handle.clone(), &ManualClock::new()).clock(Ticking::new());
        Self {
            authority: building.build().await.unwrap(),
            store,
            handle,
        }
    }

    /// A login, and an open connection with its token.
    async fn open(&self) -> (Issued, Connection) {
        let issued = login(&self.authority, "alice").await;
        let connection = self.connect(&issued).await;
        (issued, connection)
    }

    async fn connect(&self, issued: &Issued) -> Connection {
        let pass = verify(&self.authority, issued).await.unwrap();
        self.authority.verifier().connection(&pass)
    }
}

async fn is_open(connection: &Connection) -> bool {
    timeout(Duration::from_millis(1), connection.ended())
        .await
        .is_err()
}

/// How a connection ends, and after how long.
async fn end_of(connection: &Connection) -> (Ended, Duration) {
    let began = Instant::now();
    let ended = timeout(24 * HOUR, connection.ended()).await;
    (ended.unwrap(), began.elapsed())
}

fn assert_about(actual: Duration, expected: Duration) {
    let tolerated = Duration::from_millis(20);
    assert!(
        actual.abs_diff(expected) <= tolerated,
        "{actual:?} {expected:?}"
    );
}
