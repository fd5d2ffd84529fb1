//! The lease: what is asked when, and what a clock can do to it.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Clock, Error, KeySet, MasterSecret, MemoryStore, Refusal, Requirements, SessionId, Staleness,
    Timestamp, Verifier,
    keys::SigningKey,
    store::{AccountId, SessionStore, StoreErrorKind, TokenId},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore, sessions::token_of};
use test_support::world::{
    HOUR, SECOND, SECRET, World, builder, login, refresh, refusal, verify, verify_with,
};
use tokio::task::JoinSet;

use crate::revocation::lease::{BOUND, DOWN, Node};

#[tokio::test]
async fn while_the_lease_holds_no_request_asks_the_store() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let first = login(&node.authority, "alice").await;
    let (_, calls) = node
        .calls(async {
            for _ in 0..1000 {
                verify(&node.authority, &first).await.unwrap();
            }
        })
        .await;
    assert_eq!(calls, 0);
    // To its last instant, and then once for all who follow.
    world.clock.advance(BOUND);
    let first = login(&node.authority, "alice").await;
    let (verified, calls) = node.calls(verify(&node.authority, &first)).await;
    assert!(verified.is_ok());
    assert_eq!(calls, 0);
    world.clock.advance(Duration::from_millis(1));
    for expected in [1, 0, 0] {
        let (verified, calls) = node.calls(verify(&node.authority, &first)).await;
        assert!(verified.is_ok());
        assert_eq!(calls, expected);
    }
}

#[tokio::test]
async fn a_store_in_memory_refuses_what_it_does_not_know() {
    let (before, after) = (World::memory(), World::memory());
    let node = before.node().await;
    let first = login(&node, "alice").await;
    let revoked = login(&node, "alice").await;
    node.logout(revoked.access_token.as_str()).await.unwrap();
    // The process starts again: the same secret, another store.
    let node = after.node().await;
    for issued in [&first, &revoked] {
        let verified = verify(&node, issued).await;
        assert_eq!(refusal(verified), Refusal::UnknownSession);
        let refreshed = refresh(&node, issued).await;
        assert_eq!(refusal(refreshed), Refusal::SessionEnded);
    }
}

#[tokio::test]
async fn under_strict_staleness_each_request_asks_and_the_unknown_is_refused() {
    let (world, elsewhere) = (World::sqlite(), World::sqlite());
    let node = Node::new(&world.store, &world.clock).await;
    let other = world.node().await;
    let first = login(&node.authority, "alice").await;
    let strict = || verify_with(&node.authority, &first, Staleness::Strict);
    for _ in 0..3 {
        let (verified, calls) = node.calls(strict()).await;
        assert!(verified.is_ok());
        assert_eq!((calls, node.counts.calls_of(Op::Status)), (1, 1));
    }
    // A revocation elsewhere is enforced at once, though the lease is good for an hour.
    other.logout(first.access_token.as_str()).await.unwrap();
    assert_eq!(refusal(strict().await), Refusal::Revoked);

    let foreign = login(&elsewhere.node().await, "alice").await;
    verify(&node.authority, &foreign).await.unwrap();
    let verified = verify_with(&node.authority, &foreign, Staleness::Strict).await;
    assert_eq!(refusal(verified), Refusal::UnknownSession);
    // A good lease is no substitute.
    node.handle.inject(Op::Status, DOWN);
    assert!(matches!(strict().await, Err(Error::Store(_))));
}

#[tokio::test]
async fn a_route_may_ask_for_fresher_knowledge_but_not_for_older() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let other = world.node().await;
    let first = login(&node.authority, "alice").await;
    other.logout(first.access_token.as_str()).await.unwrap();
    world.clock.advance(5 * SECOND);
    let within = |bound| verify_with(&node.authority, &first, Staleness::Within(bound));
    let (verified, calls) = node.calls(within(5 * SECOND)).await;
    assert!(verified.is_ok());
    assert_eq!(calls, 0);
    let (verified, calls) = node
        .calls(within(5 * SECOND - Duration::from_millis(1)))
        .await;
    assert_eq!((refusal(verified), calls), (Refusal::Revoked, 1));

    let fresh = login(&node.authority, "alice").await;
    world.clock.advance(BOUND + SECOND);
    let older = verify_with(&node.authority, &fresh, Staleness::Within(24 * HOUR));
    assert_eq!(
        node.calls(older).await.1,
        0,
        "it has expired before anybody asks"
    );
    let fresh = login(&node.authority, "alice").await;
    let older = verify_with(&node.authority, &fresh, Staleness::Within(24 * HOUR));
    assert_eq!(node.calls(older).await.1, 1);
}

type Move = fn(&ManualClock);

#[tokio::test]
async fn a_clock_that_was_moved_ends_the_lease() {
    let moves: [(&str, Move); 3] = [
        ("suspended", |clock| clock.suspend(BOUND + SECOND)),
        ("set back a little", |clock| {
            clock.step_wall_back(Duration::from_millis(1))
        }),
        ("set back far", |clock| clock.set_wall(Timestamp::EPOCH)),
    ];
    for (name, moved) in moves {
        let world = World::sqlite();
        let node = Node::new(&world.store, &world.clock).await;
        let other = world.node().await;
        let ended = login(&other, "alice").await;
        other.logout(ended.access_token.as_str()).await.unwrap();
        verify(&node.authority, &ended).await.unwrap();
        moved(&world.clock);
        // Issued now, so that it is the lease that is looked at and not the token's age.
        let live = login(&other, "alice").await;
        node.handle.inject(Op::Pull, DOWN);
        let verified = verify(&node.authority, &live).await;
        assert!(
            matches!(verified, Err(Error::Store(_))),
            "{name}: {verified:?}"
        );
        node.handle.heal();
        let (verified, calls) = node.calls(verify(&node.authority, &live)).await;
        assert!(
            verified.is_ok() && calls == 1,
            "{name}: {verified:?} {calls}"
        );
        let (verified, calls) = node.calls(verify(&node.authority, &live)).await;
        assert!(
            verified.is_ok() && calls == 0,
            "{name}: {verified:?} {calls}"
        );
        other.logout(live.access_token.as_str()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_node_revokes_itself_it_enforces_at_once() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let authority = &node.authority;
    let by_logout = login(authority, "alice").await;
    let by_token = login(authority, "alice").await;
    let by_reuse = login(authority, "alice").await;
    let pass = verify(authority, &by_token).await.unwrap();
    node.handle.inject(Op::Pull, DOWN);

    authority
        .logout(by_logout.refresh_token.as_str())
        .await
        .unwrap();
    authority.revoke_token(&pass).await.unwrap();
    let second = refresh(authority, &by_reuse).await.unwrap();
    world.clock.advance(31 * SECOND);
    refresh(authority, &second).await.unwrap();
    world.clock.advance(31 * SECOND);
    assert_eq!(
        refusal(refresh(authority, &by_reuse).await),
        Refusal::Reused
    );
    let (_, calls) = node
        .calls(async {
            for issued in [&by_logout, &by_token, &by_reuse, &second] {
                assert_eq!(refusal(verify(authority, issued).await), Refusal::Revoked);
            }
        })
        .await;
    assert_eq!(calls, 0);
    // The session of the one token goes on.
    let next = refresh(authority, &by_token).await.unwrap();
    verify(authority, &next).await.unwrap();
}

#[tokio::test]
async fn a_logout_that_is_repeated_after_a_lost_answer_is_enforced_at_once() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let authority = &node.authority;
    let issued = login(authority, "alice").await;
    let token = issued.refresh_token.as_str();
    node.handle
        .inject(Op::End, StoreFault::LoseAnswer(StoreErrorKind::TimedOut));
    authority.logout(token).await.unwrap_err();
    node.handle.lift(Op::End);

    authority.logout(token).await.unwrap();
    assert_eq!(refusal(verify(authority, &issued).await), Refusal::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_log_is_loaded_before_the_first_request_is_judged() {
    const MANY: u64 = 10_000;
    let world = World::sqlite();
    let node = world.node().await;
    let oldest = login(&node, "alice").await;
    let newest = login(&node, "alice").await;
    let live = login(&node, "alice").await;
    node.logout(oldest.access_token.as_str()).await.unwrap();
    let (session, _) = world.store.load(live.session_id).await.unwrap();
    let mut one = token_of(&session.unwrap(), 0);
    one.until = ManualClock::START + HOUR;
    let mut revoking = JoinSet::new();
    for number in 0..MANY {
        let store = Arc::clone(&world.store);
        // Sixteen callers at a time share one commit; more, and the store would call itself busy.
        if revoking.len() >= 16 {
            revoking.join_next().await.unwrap().unwrap();
        }
        revoking.spawn(async move {
            let mut id = [0; 18];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let mut token = [0; 16];
            token[..8].copy_from_slice(&number.to_be_bytes());
            let mut revoke = one;
            revoke.token = TokenId::from_bytes(token);
            revoke.session = SessionId::from_bytes(id);
            revoke.account = AccountId::from_bytes(token);
            store.revoke_token(revoke).await.unwrap().unwrap();
        });
    }
    revoking.join_all().await;
    node.logout(newest.access_token.as_str()).await.unwrap();

    let log = TestStore::new(world.store.clone());
    let handle = log.clone();
    handle.inject(Op::Changed, StoreFault::Hang);
    let log = TestStore::new(log);
    let counts = log.clone();
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    let keys = KeySet::signing(SigningKey::derived(&secret));
    let verifier = Verifier::builder("https://shop.example", "shop-api", keys, log)
        .clock(world.clock.clone())
        .max_staleness(BOUND)
        .poll_interval(BOUND / 2);
    let verifier = verifier.build().await.unwrap();
    assert!(counts.calls_of(Op::Pull) > 1, "in batches");
    counts.reset_calls();
    handle.inject_everywhere(DOWN);
    for (issued, revoked) in [(&oldest, true), (&newest, true), (&live, false)] {
        let verified = verifier
            .verify(issued.access_token.as_str(), &Requirements::new())
            .await;
        match verified {
            Err(error) => {
                assert!(matches!(error, Error::Refused(Refusal::Revoked)) && revoked)
            }
            Ok(_) => assert!(!revoked),
        }
    }
    assert_eq!(counts.calls(), 0);
}

#[tokio::test]
async fn a_node_does_not_start_where_the_log_cannot_be_read() {
    let world = World::sqlite();
    let store = TestStore::new(world.store.clone());
    store.clone().inject(Op::Pull, DOWN);
    assert!(builder(store, &world.clock).build().await.is_err());
}

#[tokio::test]
async fn health_says_without_asking_whether_requests_are_judged_and_since_when_not() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let authority = &node.authority;
    let live = login(authority, "alice").await;
    let ended = login(authority, "alice").await;
    let other = world.node().await;
    other.logout(ended.access_token.as_str()).await.unwrap();
    let health = || {
        node.counts.reset_calls();
        let health = authority.health();
        assert_eq!(node.counts.calls(), 0);
        assert_eq!(health, authority.verifier().health());
        health
    };
    let fresh = health();
    assert!(fresh.is_ready() && fresh.lease_holds);
    assert_eq!((fresh.lag, fresh.entries), (Some(Duration::ZERO), 0));
    assert_eq!((fresh.failing_since, fresh.failed_pulls), (None, 0));

    // A pull that fails takes nothing away while the lease holds.
    world.clock.advance(SECOND);
    node.handle.inject(Op::Pull, DOWN);
    let pull = || verify_with(authority, &live, Staleness::Within(Duration::ZERO));
    let since = Some(ManualClock::START + SECOND);
    for pulls in 1..=2 {
        pull().await.unwrap_err();
        let failing = health();
        assert!(failing.is_ready());
        assert_eq!(
            (failing.failing_since, failing.failed_pulls),
            (since, pulls)
        );
        world.clock.advance(SECOND);
    }
    world.clock.advance(BOUND - 3 * SECOND);
    assert_eq!(health().lag, Some(BOUND));
    assert!(health().is_ready());
    world.clock.advance(Duration::from_millis(1));
    let stale = health();
    assert!(!stale.is_ready() && !stale.lease_holds);
    assert_eq!(stale.lag, Some(BOUND + Duration::from_millis(1)));
    assert_eq!(stale.failing_since, since);

    node.handle.heal();
    let live = login(authority, "alice").await;
    verify(authority, &live).await.unwrap();
    let back = health();
    assert!(back.is_ready());
    assert_eq!((back.lag, back.entries), (Some(Duration::ZERO), 1));
    assert_eq!((back.failing_since, back.failed_pulls), (None, 0));
    world.clock.suspend(SECOND);
    assert_eq!(health().lag, Some(SECOND));
    world.clock.step_wall_back(2 * SECOND);
    assert_eq!((health().lag, health().is_ready()), (None, false));
}

#[tokio::test]
async fn a_store_that_is_asked_each_time_needs_no_lease_to_be_ready() {
    let world = World::memory();
    let node = world.node().await;
    world.clock.step_wall_back(HOUR);
    assert!(node.health().is_ready() && !node.health().lease_holds);
    let issued = login(&node, "alice").await;
    verify(&node, &issued).await.unwrap();
}

#[tokio::test]
async fn a_pull_counts_from_the_instant_before_it_began() {
    let bound = 60 * SECOND;
    for revoked_after in [Duration::ZERO, SECOND, 10 * SECOND] {
        let world = World::sqlite();
        let node = Node::bounded(&world.store, &world.clock, bound).await;
        let other = world.node().await;
        let revoked = login(&other, "alice").await;
        world.clock.advance(SECOND);

        // The store has read its log, and its answer takes its time.
        let pull = node.handle.hold_after(Op::Pull);
        let asking = tokio::spawn({
            let (authority, revoked) = (node.authority.clone(), revoked.clone());
            let requirements = Staleness::Within(Duration::ZERO);
            async move { verify_with(&authority, &revoked, requirements).await }
        });
        pull.reached().await;
        world.clock.advance(revoked_after);
        other.logout(revoked.access_token.as_str()).await.unwrap();
        world.clock.advance(10 * SECOND);
        pull.release();
        asking.await.unwrap().unwrap();

        let lag = revoked_after + 10 * SECOND;
        assert_eq!(node.authority.health().lag, Some(lag));
        world.clock.advance(bound - lag);
        let (verified, calls) = node.calls(verify(&node.authority, &revoked)).await;
        assert!(verified.is_ok() && calls == 0, "{verified:?} {calls}");
        world.clock.advance(Duration::from_millis(1));
        let (verified, calls) = node.calls(verify(&node.authority, &revoked)).await;
        assert_eq!((refusal(verified), calls), (Refusal::Revoked, 1));
    }
}

#[tokio::test]
async fn a_token_that_expires_while_the_store_is_asked_is_refused() {
    let world = World::sqlite();
    let node = Node::new(&world.store, &world.clock).await;
    let leeway = 30 * SECOND;
    for (op, staleness) in [
        (Op::Status, Staleness::Strict),
        (Op::Pull, Staleness::Within(Duration::ZERO)),
    ] {
        for (left, good) in [(Duration::from_millis(1), true), (Duration::ZERO, false)] {
            let issued = login(&node.authority, "alice").await;
            let asking = node.handle.hold_after(op);
            world.clock.advance(SECOND);
            let verified = tokio::spawn({
                let (authority, issued) = (node.authority.clone(), issued.clone());
                async move { verify_with(&authority, &issued, staleness).await }
            });
            asking.reached().await;
            let dead = issued.expires_at + leeway;
            world.clock.advance(dead.since(world.clock.now()) - left);
            asking.release();
            let verified = verified.await.unwrap();
            if good {
                verified.unwrap();
            } else {
                assert_eq!(refusal(verified), Refusal::Expired, "{staleness:?}");
            }
        }
    }
}

#[tokio::test]
async fn requests_that_wait_for_a_pull_share_it_and_its_failure() {
    let clock = ManualClock::new();
    let store: Arc<dyn SessionStore> =
        Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let node = Node::new(&store, &clock).await;
    for lost in [false, true] {
        clock.advance(BOUND + SECOND);
        let live = login(&node.authority, "alice").await;
        if lost {
            let lost = StoreFault::LoseAnswer(StoreErrorKind::Unavailable);
            node.handle.inject(Op::Pull, lost);
        }
        node.counts.reset_calls();
        let pull = node.handle.hold_after(Op::Pull);
        let mut requests = JoinSet::new();
        for _ in 0..50 {
            let (authority, live) = (node.authority.clone(), live.clone());
            requests.spawn(async move { verify(&authority, &live).await });
        }
        pull.reached().await;
        // By then all the others wait.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        pull.release();
        for answer in requests.join_all().await {
            assert_eq!(answer.is_err(), lost, "{answer:?}");
        }
        assert_eq!(node.counts.calls_of(Op::Pull), 1, "lost: {lost}");
    }
}
