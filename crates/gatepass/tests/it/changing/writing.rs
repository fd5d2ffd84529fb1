//! A change writes what differs, and nothing else.

use std::sync::Arc;

use gatepass::{Credentials, Device, Error, IdentityError, MasterSecret};
use gatepass_testkit::{OnePassword, Op, TestStore};
use serde_json::json;
use test_support::world::{SECRET, World, builder, refresh, subject};

use super::*;

test_support::on_both_stores! {
    an_identity_that_is_as_before_is_not_written
    the_sessions_of_another_issuer_and_those_that_are_over_stay_as_they_are
    another_subject_and_what_fits_in_no_token_are_refused_and_nothing_is_written
    no_change_gives_a_client_more_than_it_asked_for
    an_authenticator_that_says_the_same_at_each_refresh_writes_it_once
}

/// A node, and the calls that it makes.
async fn counted(world: &World) -> (Authority, TestStore) {
    let store = TestStore::new(Arc::clone(&world.store));
    let counts = store.clone();
    let node = builder(store, &world.clock).build().await.unwrap();
    (node, counts)
}

async fn an_identity_that_is_as_before_is_not_written(world: World) {
    let (node, counts) = counted(&world).await;
    let issued = begin(&node, "alice", "read").await;
    let (alice, before) = (subject("alice"), stored(&world.store, &issued).await);
    for same in [enforced("read"), offered("read"), Change::enforced(Ok)] {
        assert_eq!(node.change(&alice, &same).await.unwrap(), 0);
        assert!(!node.change_session(issued.session_id, &same).await.unwrap());
        assert_eq!(node.change_where(|_| true, &same).await.unwrap(), 0);
    }
    assert_eq!(counts.calls_of(Op::Change), 0);
    assert_eq!(stored(&world.store, &issued).await, before);
    // So a call that is repeated changes what is left.
    let other = begin(&node, "alice", "read write").await;
    assert_eq!(node.change(&alice, &enforced("read")).await.unwrap(), 1);
    assert_eq!(node.change(&alice, &enforced("read")).await.unwrap(), 0);
    assert_eq!(counts.calls_of(Op::Change), 1);
    assert!(is_stale(&node, &other).await);
    verify(&node, &issued).await.unwrap();
    assert_eq!(
        node.change(&subject("nobody"), &enforced(""))
            .await
            .unwrap(),
        0
    );
}

async fn the_sessions_of_another_issuer_and_those_that_are_over_stay_as_they_are(world: World) {
    let (node, counts) = counted(&world).await;
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    let store = Arc::clone(&world.store);
    let foreign = Authority::builder("https://bank.example", "bank-api", secret, store)
        .clock(world.clock.clone())
        .share_store()
        .build()
        .await
        .unwrap();
    let theirs = begin(&foreign, "alice", "read write").await;
    let over = begin(&node, "alice", "read write").await;
    node.logout(over.access_token.as_str()).await.unwrap();
    let before = [
        stored(&world.store, &theirs).await,
        stored(&world.store, &over).await,
    ];
    for issued in [&theirs, &over] {
        let none = enforced("");
        let change = node.change_session(issued.session_id, &none);
        assert!(!change.await.unwrap());
    }
    let unknown = gatepass::SessionId::from_bytes([7; 18]);
    assert!(!node.change_session(unknown, &enforced("")).await.unwrap());
    assert_eq!(
        node.change(&subject("alice"), &enforced("")).await.unwrap(),
        0
    );
    assert_eq!(node.change_where(|_| true, &enforced("")).await.unwrap(), 0);
    assert_eq!(counts.calls_of(Op::Change), 0);
    let after = [
        stored(&world.store, &theirs).await,
        stored(&world.store, &over).await,
    ];
    assert_eq!(after, before);
    verify(&foreign, &theirs).await.unwrap();
}

async fn another_subject_and_what_fits_in_no_token_are_refused_and_nothing_is_written(
    world: World,
) {
    let (node, counts) = counted(&world).await;
    let issued = begin(&node, "alice", "read").await;
    let before = stored(&world.store, &issued).await;
    let wrong = [
        (
            Change::enforced(|_| Ok(identity("mallory", "admin"))),
            IdentityError::SubjectChanged,
        ),
        (
            Change::offered(claiming(json!({ "text": "x".repeat(5000) }))),
            IdentityError::TooLarge,
        ),
        (
            Change::enforced(claiming(json!({ "sub": "mallory" }))),
            IdentityError::ReservedClaim("sub".to_owned()),
        ),
        (
            Change::enforced(|identity| Ok(identity.access_ttl(std::time::Duration::ZERO))),
            IdentityError::AccessTtl,
        ),
    ];
    for (change, expected) in wrong {
        let refused = |result: Result<(), Error>| match result {
            Err(Error::Identity(error)) => assert_eq!(error, expected),
            other => panic!("{other:?} instead of {expected:?}"),
        };
        refused(node.change(&subject("alice"), &change).await.map(drop));
        refused(
            node.change_session(issued.session_id, &change)
                .await
                .map(drop),
        );
        refused(node.change_where(|_| true, &change).await.map(drop));
    }
    assert_eq!(counts.calls_of(Op::Change), 0);
    assert_eq!(stored(&world.store, &issued).await, before);
    verify(&node, &issued).await.unwrap();
}

async fn no_change_gives_a_client_more_than_it_asked_for(world: World) {
    let users = OnePassword::new("a password").scopes(scopes("read write admin"));
    let node = builder(Arc::clone(&world.store), &world.clock).authenticator(users);
    let node = node.build().await.unwrap();
    let credentials = Credentials::new("alice", "a password");
    let asked = scopes("read write");
    let login = node.login_as(
        node.client_id(),
        &credentials,
        Device::default(),
        Some(&asked),
    );
    let limited = login.await.unwrap();
    assert_eq!(limited.scopes, asked);
    let alice = subject("alice");
    // It comes to the same as before.
    assert_eq!(
        node.change(&alice, &offered("read write admin"))
            .await
            .unwrap(),
        0
    );
    verify(&node, &limited).await.unwrap();
    assert_eq!(
        node.change(&alice, &enforced("read admin")).await.unwrap(),
        1
    );
    assert!(is_stale(&node, &limited).await);
    let limited = refresh(&node, &limited).await.unwrap();
    assert_eq!(limited.scopes, scopes("read"));
    // An identity that is made anew knows nothing of the limit.
    let anew = Change::enforced(|_| Ok(identity("alice", "read write admin")));
    assert_eq!(node.change(&alice, &anew).await.unwrap(), 1);
    assert_eq!(refresh(&node, &limited).await.unwrap().scopes, asked);
}

async fn an_authenticator_that_says_the_same_at_each_refresh_writes_it_once(world: World) {
    let users = Users::default();
    let store = TestStore::new(Arc::clone(&world.store));
    let counts = store.clone();
    let node = builder(store, &world.clock).authenticator(users.clone());
    let node = node.build().await.unwrap();
    let first = begin(&node, "alice", "read write").await;
    users.are(identity("alice", "read"));
    let second = refresh(&node, &first).await.unwrap();
    assert_eq!(second.scopes, scopes("read"));
    assert!(is_stale(&node, &first).await);
    for _ in 0..3 {
        refresh(&node, &second).await.unwrap();
        verify(&node, &second).await.unwrap();
    }
    assert_eq!(counts.calls_of(Op::Change), 1);
    assert_eq!(stored(&world.store, &first).await.grant.newest.get(), 1);
}
