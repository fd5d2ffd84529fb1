//! A node that was told, under danger, to go on judging by what it knew when its store went.

use std::{sync::Arc, time::Duration};

use gatepass::{Authority, BuildError, Error, Issued, Refusal, Staleness, store::StoreErrorKind};
use gatepass_testkit::{Op, StoreFault, TestStore};
use test_support::world::{
    DAY, HOUR, MINUTE, SECOND, World, builder, login, refusal, verify, verify_with,
};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const BOUND: Duration = MINUTE;
const AT_MOST: Duration = Duration::from_secs(600);

struct Node {
    world: World,
    authority: Authority,
    handle: TestStore,
    counts: TestStore,
    /// Logged in, and logged out before the store goes.
    live: Issued,
    ended: Issued,
}

impl Node {
    /// One that polls so rarely that every call is one that was asked for.
    async fn new() -> Self {
        let world = World::sqlite();
        let store = TestStore::new(Arc::clone(&world.store));
        let handle = store.clone();
        handle.inject(Op::Changed, StoreFault::Hang);
        let store = TestStore::new(store);
        let counts = store.clone();
        let authority = builder(store, &world.clock)
            .max_staleness(BOUND)
            .poll_interval(BOUND / 2)
            .danger_judge_by_stale_revocations(AT_MOST);
        let authority = authority.build().await.unwrap();
        let live = login(&authority, "alice").await;
        let ended = login(&authority, "alice").await;
        authority.logout(ended.access_token.as_str()).await.unwrap();
        Self {
            world,
            authority,
            handle,
            counts,
            live,
            ended,
        }
    }

    async fn judges(&self) {
        verify(&self.authority, &self.live).await.unwrap();
        let ended = verify(&self.authority, &self.ended).await;
        assert_eq!(refusal(ended), Refusal::Revoked);
        assert!(self.authority.health().is_ready());
    }

    async fn does_not_judge(&self, staleness: Staleness) {
        for issued in [&self.live, &self.ended] {
            let verified = verify_with(&self.authority, issued, staleness).await;
            assert!(
                matches!(verified, Err(Error::Store(_))),
                "{staleness:?} {verified:?}"
            );
        }
    }
}

#[tokio::test]
async fn it_judges_by_what_it_knew_until_the_bound_is_over_and_says_so() {
    let node = Node::new().await;
    node.handle.inject_everywhere(DOWN);
    node.world.clock.advance(BOUND);
    node.judges().await;
    assert!(node.authority.health().lease_holds);
    node.world.clock.advance(SECOND);
    // The first request finds out that the store is away; those that follow do not wait for it.
    node.counts.reset_calls();
    for _ in 0..3 {
        node.judges().await;
    }
    assert_eq!(node.counts.calls_of(Op::Pull), 1);
    let health = node.authority.health();
    assert!(!health.lease_holds && health.failing_since.is_some());
    assert_eq!(health.lag, Some(BOUND + SECOND));

    node.world.clock.advance(AT_MOST - BOUND - SECOND);
    node.judges().await;
    node.world.clock.advance(Duration::from_millis(1));
    node.does_not_judge(Staleness::Bounded).await;
    assert!(!node.authority.health().is_ready());
}

#[tokio::test]
async fn what_was_revoked_meanwhile_is_refused_with_the_next_pull() {
    let node = Node::new().await;
    node.handle.inject_everywhere(DOWN);
    let other = node.world.node().await;
    other.logout(node.live.access_token.as_str()).await.unwrap();
    node.world.clock.advance(BOUND + SECOND);
    node.judges().await;
    node.handle.heal();
    let live = login(&node.authority, "alice").await;
    verify_with(&node.authority, &live, Staleness::Within(Duration::ZERO))
        .await
        .unwrap();
    let verified = verify(&node.authority, &node.live).await;
    assert_eq!(refusal(verified), Refusal::Revoked);
    assert!(node.authority.health().lease_holds);
}

#[tokio::test]
async fn strict_routes_and_those_with_a_bound_of_their_own_are_not_judged() {
    let node = Node::new().await;
    node.handle.inject_everywhere(DOWN);
    node.world.clock.advance(BOUND + SECOND);
    node.judges().await;
    for staleness in [
        Staleness::Strict,
        Staleness::Within(SECOND),
        Staleness::Within(HOUR),
    ] {
        node.does_not_judge(staleness).await;
    }
}

#[tokio::test]
async fn who_does_not_know_how_old_its_knowledge_is_does_not_judge() {
    let node = Node::new().await;
    node.handle.inject_everywhere(DOWN);
    node.world.clock.step_wall_back(SECOND);
    node.does_not_judge(Staleness::Bounded).await;
    assert!(!node.authority.health().is_ready());
}

#[tokio::test]
async fn a_store_that_is_there_is_asked_before_anything_stale_is_believed() {
    let node = Node::new().await;
    let other = node.world.node().await;
    other.logout(node.live.access_token.as_str()).await.unwrap();
    node.world.clock.advance(BOUND + SECOND);
    let verified = verify(&node.authority, &node.live).await;
    assert_eq!(refusal(verified), Refusal::Revoked);
}

#[tokio::test]
async fn there_is_no_going_on_without_a_bound() {
    for (at_most, works) in [
        (BOUND - SECOND, false),
        (BOUND, true),
        (DAY, true),
        (DAY + SECOND, false),
        (Duration::MAX, false),
    ] {
        let world = World::sqlite();
        let node = builder(Arc::clone(&world.store), &world.clock)
            .max_staleness(BOUND)
            .danger_judge_by_stale_revocations(at_most);
        match node.build().await {
            Ok(_) => assert!(works, "{at_most:?}"),
            Err(error) => assert!(
                !works
                    && matches!(
                        error,
                        BuildError::Duration {
                            what: "age of stale revocations",
                            ..
                        }
                    ),
                "{at_most:?} {error:?}"
            ),
        }
    }
}
