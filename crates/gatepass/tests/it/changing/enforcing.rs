//! Nodes and resource servers enforce a change: at once, with the next pull, or from the bound on.

use std::{sync::Arc, time::Duration};

use gatepass::{
    KeySet, MemoryStore, Requirements, Resumed, Staleness, Verifier,
    keys::{Algorithm, SigningKey, VerifyingKey},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use serde_json::json;
use test_support::{
    forge::{AUDIENCE, ED25519, ED25519_PUBLIC, ISSUER},
    world::{MINUTE, SECOND, Store, Ticking, World, builder, refresh, verify, verify_with},
};
use tokio::time::sleep;

use super::*;

/// How old knowledge may be on nodes that learn of nothing by themselves.
const BOUND: Duration = MINUTE;
const MILLISECOND: Duration = Duration::from_millis(1);

fn signing() -> KeySet {
    KeySet::signing(SigningKey::from_any_pem(ED25519).unwrap())
}

/// A node that pulls when a request needs it, and else not.
async fn quiet(world: &World) -> Authority {
    let store = TestStore::new(Arc::clone(&world.store));
    store.clone().inject(Op::Changed, StoreFault::Hang);
    let node = builder(store, &world.clock)
        .keys(signing())
        .max_staleness(BOUND)
        .poll_interval(BOUND / 2);
    node.build().await.unwrap()
}

/// A resource server: it verifies, and can neither sign nor change anything.
async fn resource_server(world: &World) -> Verifier {
    let log = TestStore::new(Arc::clone(&world.store));
    log.clone().inject(Op::Changed, StoreFault::Hang);
    let public = VerifyingKey::from_pem(Algorithm::EdDsa, ED25519_PUBLIC).unwrap();
    Verifier::builder(ISSUER, AUDIENCE, KeySet::verifying([public]), log)
        .clock(world.clock.clone())
        .max_staleness(BOUND)
        .poll_interval(BOUND / 2)
        .build()
        .await
        .unwrap()
}

/// Each of them has verified the token often, so that it is in their caches.
#[tokio::test]
async fn a_change_is_enforced_at_once_here_and_elsewhere_from_the_bound_on() {
    let world = World::sqlite();
    let (node, other) = (quiet(&world).await, quiet(&world).await);
    let server = resource_server(&world).await;
    let changed = begin(&node, "alice", "admin").await;
    let spared = begin(&node, "bob", "admin").await;
    let at_server = async |issued: &Issued| {
        let token = issued.access_token.as_str();
        server.verify(token, &Requirements::new()).await
    };
    for issued in [&changed, &spared] {
        for _ in 0..3 {
            verify(&node, issued).await.unwrap();
            verify(&other, issued).await.unwrap();
            at_server(issued).await.unwrap();
        }
    }
    let change = enforced("read");
    let changes = node.change_session(changed.session_id, &change);
    assert!(changes.await.unwrap());
    for _ in 0..2 {
        assert_stale(verify(&node, &changed).await);
        verify(&node, &spared).await.unwrap();
    }
    // The others have pulled, and may be as old as the bound.
    world.clock.advance(BOUND);
    verify(&other, &changed).await.unwrap();
    at_server(&changed).await.unwrap();
    world.clock.advance(MILLISECOND);
    for _ in 0..2 {
        assert_stale(verify(&other, &changed).await);
        assert_stale(at_server(&changed).await);
        verify(&other, &spared).await.unwrap();
        at_server(&spared).await.unwrap();
    }
    let refreshed = refresh(&other, &changed).await.unwrap();
    assert_eq!(refreshed.scopes, scopes("read"));
    for verified in [
        verify(&node, &refreshed).await,
        verify(&other, &refreshed).await,
        at_server(&refreshed).await,
    ] {
        assert_eq!(*verified.unwrap().scopes(), scopes("read"));
    }
}

/// A node that has verified the token asks the store at its own pace, and by the bound at the
/// latest.
#[tokio::test(start_paused = true)]
async fn another_node_enforces_a_change_with_its_next_pull_or_answers_that_it_cannot_know() {
    let clock = Ticking::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let start = async |store: TestStore| {
        let node = builder(store, &ManualClock::new())
            .clock(clock.clone())
            .max_staleness(4 * SECOND)
            .poll_interval(SECOND)
            .store_timeout(SECOND / 10);
        node.build().await.unwrap()
    };
    let node = start(TestStore::new(Arc::clone(&store))).await;
    let faulty = TestStore::new(Arc::clone(&store));
    let handle = faulty.clone();
    let other = start(faulty).await;
    handle.inject(Op::Changed, StoreFault::Hang);
    let issued = begin(&node, "alice", "admin").await;
    verify(&other, &issued).await.unwrap();
    assert_eq!(
        node.change(&subject("alice"), &enforced("read"))
            .await
            .unwrap(),
        1
    );
    sleep(SECOND + SECOND / 10).await;
    assert_stale(verify(&other, &issued).await);

    let issued = refresh(&node, &issued).await.unwrap();
    verify(&other, &issued).await.unwrap();
    handle.inject(Op::Pull, StoreFault::Hang);
    sleep(SECOND).await;
    assert_eq!(
        node.change(&subject("alice"), &enforced("")).await.unwrap(),
        1
    );
    let changed_at = tokio::time::Instant::now();
    loop {
        let since = changed_at.elapsed();
        match verify(&other, &issued).await {
            Ok(_) => assert!(since <= 4 * SECOND, "accepted after {since:?}"),
            Err(Error::Store(_)) if since > 10 * SECOND => break,
            Err(Error::Store(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        sleep(SECOND / 20).await;
    }
    handle.heal();
    assert_stale(verify(&other, &issued).await);
}

test_support::on_both_stores! {
    an_offer_that_takes_something_away_is_enforced
    a_strict_route_knows_of_a_change_elsewhere_at_once
    a_session_that_idles_while_its_token_is_good_changes_too
    a_stale_token_still_says_which_session_it_is_of
}

#[tokio::test]
async fn an_offer_refuses_nothing_and_says_so() {
    let world = World::sqlite();
    let (node, other) = (quiet(&world).await, quiet(&world).await);
    let issued = begin(&node, "alice", "read").await;
    let kept = verify(&node, &issued).await.unwrap();
    assert!(!kept.is_outdated());
    let (alice, offer) = (subject("alice"), offered("read write"));
    assert_eq!(node.change(&alice, &offer).await.unwrap(), 1);
    // Another one may be as old as the bound.
    world.clock.advance(BOUND + MILLISECOND);
    for node in [&node, &other] {
        for staleness in [Staleness::Bounded, Staleness::Bounded, Staleness::Strict] {
            let pass = verify_with(node, &issued, staleness).await.unwrap();
            assert!(pass.is_outdated());
            assert_eq!(*pass.scopes(), scopes("read"));
        }
    }
    let refreshed = refresh(&other, &issued).await.unwrap();
    assert_eq!(refreshed.scopes, scopes("read write"));
    for node in [&node, &other] {
        assert!(!verify(node, &refreshed).await.unwrap().is_outdated());
    }
}

async fn an_offer_that_takes_something_away_is_enforced(world: World) {
    let node = world.node().await;
    let with = |claim: serde_json::Value| move |identity: Identity| identity.claims(&claim);
    for (name, change) in [
        ("a scope less", offered("read")),
        ("another scope", offered("read admin")),
        (
            "a claim changed",
            Change::offered(with(json!({ "tenant": 8, "role": "a" }))),
        ),
        (
            "a claim removed",
            Change::offered(with(json!({ "tenant": 7 }))),
        ),
        (
            "a claim that is null",
            Change::offered(with(json!({ "tenant": 7, "role": null }))),
        ),
    ] {
        let before = identity(name, "read write");
        let before = before.claims(&json!({ "tenant": 7, "role": "a" })).unwrap();
        let issued = node.issue(before, Device::default()).await.unwrap();
        verify(&node, &issued).await.unwrap();
        assert_eq!(
            node.change(&subject(name), &change).await.unwrap(),
            1,
            "{name}"
        );
        assert!(is_stale(&node, &issued).await, "{name}");
        let grant = stored(&world.store, &issued).await.grant;
        assert_eq!(
            (grant.newest.get(), grant.valid_from.get()),
            (1, 1),
            "{name}"
        );
    }
    // All that was there is there.
    let more = Change::offered(with(json!({ "role": "a", "tenant": 7, "more": [1] })));
    let before = identity("more", "").claims(&json!({ "tenant": 7, "role": "a" }));
    let issued = node
        .issue(before.unwrap(), Device::default())
        .await
        .unwrap();
    assert_eq!(node.change(&subject("more"), &more).await.unwrap(), 1);
    assert!(verify(&node, &issued).await.unwrap().is_outdated());
}

#[tokio::test]
async fn a_change_that_takes_something_away_refuses_tokens_from_before_an_offer() {
    let world = World::sqlite();
    let (node, other) = (quiet(&world).await, quiet(&world).await);
    let first = begin(&node, "alice", "read").await;
    let alice = subject("alice");
    node.change(&alice, &offered("read write")).await.unwrap();
    let second = refresh(&node, &first).await.unwrap();
    for issued in [&first, &second] {
        verify(&node, issued).await.unwrap();
        verify(&other, issued).await.unwrap();
    }
    // The session has again what the first token says, which is refused all the same.
    node.change(&alice, &enforced("read")).await.unwrap();
    world.clock.advance(BOUND + MILLISECOND);
    for node in [&node, &other] {
        assert_stale(verify(node, &first).await);
        assert_stale(verify(node, &second).await);
    }
    let third = refresh(&node, &second).await.unwrap();
    // An offer after it brings nothing back.
    node.change(&alice, &offered("read more")).await.unwrap();
    world.clock.advance(BOUND + MILLISECOND);
    for node in [&node, &other] {
        assert_stale(verify(node, &first).await);
        assert_stale(verify(node, &second).await);
        assert!(verify(node, &third).await.unwrap().is_outdated());
    }
}

async fn a_strict_route_knows_of_a_change_elsewhere_at_once(world: World) {
    let (node, other) = (quiet(&world).await, quiet(&world).await);
    let issued = begin(&node, "alice", "admin").await;
    verify(&other, &issued).await.unwrap();
    node.change(&subject("alice"), &enforced("")).await.unwrap();
    assert_stale(verify_with(&other, &issued, Staleness::Strict).await);
    world.clock.advance(MILLISECOND);
    assert_stale(verify_with(&other, &issued, Staleness::Within(Duration::ZERO)).await);
}

/// No client can refresh it, and it gives access.
async fn a_session_that_idles_while_its_token_is_good_changes_too(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock).idle_ttl(60 * MINUTE);
    let node = node.build().await.unwrap();
    let long_lived = identity("alice", "admin").access_ttl(120 * MINUTE);
    let issued = node.issue(long_lived, Device::default()).await.unwrap();
    world.clock.advance(61 * MINUTE);
    refresh(&node, &issued).await.unwrap_err();
    verify(&node, &issued).await.unwrap();
    assert_eq!(
        node.change(&subject("alice"), &enforced("read"))
            .await
            .unwrap(),
        1
    );
    assert_stale(verify(&node, &issued).await);
}

/// It is exchanged for what is left, and worth nothing after the end of its session.
async fn a_stale_token_still_says_which_session_it_is_of(world: World) {
    let node = world.node().await;
    let issued = begin(&node, "alice", "read admin").await;
    let (access, token) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    node.change(&subject("alice"), &enforced("read more"))
        .await
        .unwrap();
    let strict = Requirements::new().staleness(Staleness::Strict);
    let left = async |token: &str| {
        let pass = node.verifier().verify(token, &strict).await.unwrap();
        pass.scopes().clone()
    };
    // No more than it said itself.
    let renewed = node.renew(access).await.unwrap();
    assert_eq!(left(renewed.access_token.as_str()).await, scopes("read"));
    let Resumed::Issued(resumed) = node.resume(access, token).await.unwrap() else {
        panic!("the access token is stale");
    };
    assert_eq!(
        left(resumed.access_token.as_str()).await,
        scopes("read more")
    );
    let other = begin(&node, "alice", "").await;
    let of_another = node.resume(access, other.refresh_token.as_str()).await;
    assert_eq!(refusal(of_another), Refusal::Ambiguous);
    node.logout(access).await.unwrap();
    assert_eq!(refusal(node.renew(access).await), Refusal::Revoked);
    assert_eq!(refusal(node.resume(access, token).await), Refusal::Revoked);
    assert_eq!(refusal(verify(&node, &issued).await), Refusal::Revoked);
}
