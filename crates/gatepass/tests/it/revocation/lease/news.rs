//! News: what a node learns by itself, when, and with how many pulls.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Authority, Issued, MemoryStore, Refusal, Staleness,
    store::{EndReason, EndSessions, SessionStore},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{SECOND, Ticking, builder, login, refusal, verify, verify_with};
use tokio::time::{Instant, sleep, timeout};

use crate::revocation::lease::DOWN;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A node that is told of news, over a store that others change.
struct Told {
    authority: Authority,
    store: Arc<dyn SessionStore>,
    counts: TestStore,
    handle: TestStore,
}

impl Told {
    async fn new(max_staleness: Duration, poll_interval: Duration) -> Self {
        let clock = Ticking::new();
        let store: Arc<dyn SessionStore> =
            Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
        let faulty = TestStore::new(Arc::clone(&store));
        let handle = faulty.clone();
        let counting = TestStore::new(faulty);
        let counts = counting.clone();
        let authority = builder(counting, &ManualClock::new())
            .clock(clock)
            .max_staleness(max_staleness)
            .poll_interval(poll_interval);
        Self {
            authority: authority.build().await.unwrap(),
            store,
            counts,
            handle,
        }
    }

    /// Another node ends this one.
    async fn end_elsewhere(&self, issued: &Issued) {
        let target = EndSessions::Session(issued.session_id);
        let _ = self.store.end(target, EndReason::Logout).await.unwrap();
    }

    fn pulls(&self) -> u64 {
        self.counts.calls_of(Op::Pull)
    }

    /// How long it takes until the node has pulled once more.
    async fn next_pull(&self) -> Duration {
        let (began, pulls) = (Instant::now(), self.pulls());
        let pulled = async {
            while self.pulls() == pulls {
                sleep(MILLISECOND).await;
            }
        };
        timeout(60 * SECOND, pulled).await.unwrap();
        began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_revocations_is_one_pull() {
    // It polls too rarely to help.
    let node = Told::new(60 * SECOND, 30 * SECOND).await;
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let mut ended = Vec::new();
        for _ in 0..20 {
            ended.push(login(&node.authority, "alice").await);
        }
        sleep(SECOND).await;
        node.counts.reset_calls();
        let began = Instant::now();
        for issued in &ended {
            node.end_elsewhere(issued).await;
            sleep(2 * MILLISECOND).await;
        }
        node.next_pull().await;
        pauses.push(began.elapsed());
        sleep(SECOND).await;
        assert_eq!(node.pulls(), 1);
        // Requests cannot have brought it about themselves.
        node.handle.inject(Op::Pull, DOWN);
        for issued in &ended {
            let verified = verify(&node.authority, issued).await;
            assert_eq!(refusal(verified), Refusal::Revoked);
        }
        node.handle.heal();
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= 50 * MILLISECOND, "{pauses:?}");
    assert!(*most <= 102 * MILLISECOND, "{pauses:?}");
    // Not all nodes at the same instant.
    assert!(*most > *least + 10 * MILLISECOND, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_steady_stream_of_revocations_is_at_most_twenty_pulls_a_second() {
    let node = Told::new(2 * SECOND, SECOND / 2).await;
    let issued = login(&node.authority, "alice").await;
    node.counts.reset_calls();
    for _ in 0..1000 {
        let issued = login(&node.authority, "alice").await;
        node.end_elsewhere(&issued).await;
        sleep(10 * MILLISECOND).await;
        verify(&node.authority, &issued).await.ok();
    }
    let pulls = node.pulls();
    assert!((100..=200).contains(&pulls), "{pulls} in 10 seconds");
    verify(&node.authority, &issued).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_needs_a_pull_does_not_wait_for_more_news() {
    let node = Told::new(60 * SECOND, 30 * SECOND).await;
    let issued = login(&node.authority, "alice").await;
    let own = login(&node.authority, "alice").await;
    sleep(SECOND).await;
    node.counts.reset_calls();
    let began = Instant::now();
    node.end_elsewhere(&issued).await;
    sleep(MILLISECOND).await;
    assert_eq!(node.pulls(), 0);
    let requirements = Staleness::Within(Duration::ZERO);
    let verified = verify_with(&node.authority, &issued, requirements).await;
    assert_eq!(refusal(verified), Refusal::Revoked);
    // Nor does a change that this node makes itself, or makes again.
    for _ in 0..2 {
        let logout = node.authority.logout(own.refresh_token.as_str());
        logout.await.unwrap();
        let verified = verify(&node.authority, &own).await;
        assert_eq!(refusal(verified), Refusal::Revoked);
    }
    assert_eq!(began.elapsed(), MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn the_pause_is_as_short_as_the_bound_is() {
    let node = Told::new(10 * MILLISECOND, 5 * MILLISECOND).await;
    for _ in 0..20 {
        let issued = login(&node.authority, "alice").await;
        node.next_pull().await;
        node.end_elsewhere(&issued).await;
        // tokio counts in milliseconds.
        assert!(node.next_pull().await <= 2 * MILLISECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn news_put_no_poll_off() {
    let poll = 60 * MILLISECOND;
    let node = Told::new(2 * SECOND, poll).await;
    // The node is told shortly before it would poll.
    node.handle
        .inject(Op::Changed, StoreFault::Delay(40 * MILLISECOND));
    node.next_pull().await;
    for _ in 0..20 {
        let issued = login(&node.authority, "alice").await;
        node.end_elsewhere(&issued).await;
        let pause = node.next_pull().await;
        assert!(pause <= poll + MILLISECOND, "{pause:?}");
    }
}
