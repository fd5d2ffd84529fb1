//! The replica of the revocations: the lease that it is believed by, the news that it pulls, and
//! what becomes of it when the log is another one.

mod bound;
mod news;
mod reset;

use std::{sync::Arc, time::Duration};

use gatepass::{Authority, store::StoreErrorKind};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{HOUR, Store, builder};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);

/// A node that polls so rarely that every call is one that was asked for.
struct Node {
    authority: Authority,
    counts: TestStore,
    handle: TestStore,
}

/// How old knowledge may be on such a node.
const BOUND: Duration = HOUR;

impl Node {
    async fn new(store: &Store, clock: &ManualClock) -> Self {
        Self::bounded(store, clock, BOUND).await
    }

    async fn bounded(store: &Store, clock: &ManualClock, bound: Duration) -> Self {
        let faulty = TestStore::new(Arc::clone(store));
        let handle = faulty.clone();
        let counting = TestStore::new(faulty);
        let counts = counting.clone();
        // No news either: what a request is judged by, it has brought about itself.
        handle.inject(Op::Changed, StoreFault::Hang);
        let authority = builder(counting, clock)
            .max_staleness(bound)
            .poll_interval(bound / 2);
        let authority = authority.build().await.unwrap();
        Self {
            authority,
            counts,
            handle,
        }
    }

    /// The answer, and how many calls of the store it took.
    async fn calls<T>(&self, asking: impl Future<Output = T>) -> (T, u64) {
        self.counts.reset_calls();
        let answer = asking.await;
        (answer, self.counts.calls())
    }
}
