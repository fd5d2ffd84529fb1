//! Clients that hang up: they delay no other client, and an act that has begun is done.

use std::{sync::Arc, time::Duration};

use gatepass::{Clock, MemoryStore, Refusal, SessionId, Timestamp, store::SessionStore};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{MINUTE, SECOND, Store, World, builder, login, refresh, refusal, verify};
use tokio::{task::JoinSet, time::Instant};

test_support::on_both_stores! {
    a_logout_that_arrived_is_done_even_if_its_client_hangs_up
    a_thief_who_hangs_up_is_detected_all_the_same
}

const TIMEOUT: Duration = Duration::from_secs(1);

/// tokio's clock, which tests pause.
#[derive(Clone)]
struct Ticking(Instant);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        ManualClock::START + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_hang_up_do_not_prolong_the_wait_of_others() {
    let clock = Ticking(Instant::now());
    let faulty = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let handle = faulty.clone();
    let node = builder(faulty, &ManualClock::new())
        .clock(clock)
        .store_timeout(TIMEOUT);
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    handle.inject_everywhere(StoreFault::Hang);
    tokio::time::sleep(5 * SECOND).await;

    // At every phase of the follower's own pulls.
    for _ in 0..15 {
        tokio::time::sleep(SECOND / 10).await;
        // Each waits in line, and hangs up a moment before the pull that it has begun by then times
        // out.
        let nearly = TIMEOUT * 9 / 10;
        let mut others = JoinSet::new();
        for number in 1..=20 {
            let (node, first) = (node.clone(), first.clone());
            others.spawn(async move {
                let _ = tokio::time::timeout(nearly * number, verify(&node, &first)).await;
            });
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        verify(&node, &first).await.unwrap_err();
        assert!(began.elapsed() <= 2 * TIMEOUT, "{:?}", began.elapsed());
        others.shutdown().await;
    }
}

/// Waits until the session has ended; for ever if it does not.
async fn ended(store: &Store, id: SessionId) {
    while store.load(id).await.unwrap().0.unwrap().ended.is_none() {
        tokio::task::yield_now().await;
    }
}

async fn a_logout_that_arrived_is_done_even_if_its_client_hangs_up(world: World) {
    let faulty = TestStore::new(Arc::clone(&world.store));
    let gate = faulty.clone().hold_before(Op::End);
    let node = builder(faulty, &world.clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    let logout = tokio::spawn({
        let (node, token) = (node.clone(), first.refresh_token.clone());
        async move { node.logout(token.as_str()).await }
    });
    gate.reached().await;
    logout.abort();
    assert!(logout.await.unwrap_err().is_cancelled());
    gate.release();
    ended(&world.store, first.session_id).await;
    assert_eq!(refusal(refresh(&node, &first).await), Refusal::SessionEnded);
}

async fn a_thief_who_hangs_up_is_detected_all_the_same(world: World) {
    let faulty = TestStore::new(Arc::clone(&world.store));
    let handle = faulty.clone();
    let node = builder(faulty, &world.clock).build().await.unwrap();
    let stolen = login(&node, "alice").await;
    let second = refresh(&node, &stolen).await.unwrap();
    world.clock.advance(MINUTE);
    let third = refresh(&node, &second).await.unwrap();
    world.clock.advance(MINUTE);
    let gate = handle.hold_before(Op::End);
    let replay = tokio::spawn({
        let node = node.clone();
        async move { refresh(&node, &stolen).await }
    });
    gate.reached().await;
    replay.abort();
    assert!(replay.await.unwrap_err().is_cancelled());
    gate.release();
    ended(&world.store, third.session_id).await;
    assert_eq!(refusal(refresh(&node, &third).await), Refusal::SessionEnded);
}
