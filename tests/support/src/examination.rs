//! A rule for the examinations of all stores.

use std::time::Duration;

use gatepass::{
    Clock,
    store::{EndReason, EndSessions, SessionStore, Severity},
};
use gatepass_testkit::{
    ManualClock,
    sessions::{account, begin, end},
};

/// Panics unless `examine` finds each kind of row that a purge should have removed long ago, and
/// finds nothing before and after that.
pub async fn finds_a_purge_that_does_not_keep_up<S: SessionStore>(
    store: &S,
    clock: &ManualClock,
    examine: impl AsyncFn() -> Vec<(Severity, &'static str)>,
) {
    // Each leaves rows in a different table: a live session, an ended session, a logout everywhere.
    for rows in 0..3 {
        let session = begin(store, "bob").await;
        match rows {
            0 => {}
            1 => drop(end(store, &session).await),
            _ => {
                let all = EndSessions::AllOf(account("bob"));
                store.end(all, EndReason::LogoutAll).await.unwrap();
            }
        }
        assert_eq!(examine().await, []);
        clock.advance(Duration::from_secs(365 * 86_400));
        assert_eq!(examine().await, [(Severity::Warning, "purge_behind")]);
        loop {
            let purged = store.purge(clock.now(), 100).await.unwrap();
            if purged.removed == 0 && !purged.more {
                break;
            }
        }
        assert_eq!(examine().await, []);
    }
}
