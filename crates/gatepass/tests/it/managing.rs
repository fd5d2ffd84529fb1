//! The sessions of a user: which of them count, and which may end the others.

use std::{num::NonZeroU32, sync::Arc};

use gatepass::{
    Staleness,
    wire::{Endpoints, RequestBody, RequestHead},
};
use gatepass_testkit::{OnePassword, Op, StoreFault, TestStore};
use test_support::world::{HOUR, MINUTE, World, builder, login, refresh, subject, verify_with};

test_support::on_both_stores! {
    a_session_that_nobody_can_refresh_pushes_out_no_other
}

async fn a_session_that_nobody_can_refresh_pushes_out_no_other(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock)
        .idle_ttl(HOUR)
        .max_sessions(NonZeroU32::new(2));
    let node = node.build().await.unwrap();
    let used = login(&node, "alice").await;
    world.clock.advance(MINUTE);
    let _abandoned = login(&node, "alice").await;
    world.clock.advance(50 * MINUTE);
    let used = refresh(&node, &used).await.unwrap();
    world.clock.advance(11 * MINUTE);
    assert_eq!(
        node.sessions(&subject("alice"), None)
            .await
            .unwrap()
            .sessions
            .len(),
        1
    );

    login(&node, "alice").await;
    refresh(&node, &used).await.unwrap();
}

/// An ended session must not end others, not even within the staleness of another node.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_elsewhere_manages_no_others() {
    let world = World::sqlite();
    let faulty = TestStore::new(Arc::clone(&world.store));
    faulty.clone().inject(Op::Changed, StoreFault::Hang);
    let node = builder(faulty, &world.clock)
        .authenticator(OnePassword::new("a password"))
        .max_staleness(HOUR)
        .poll_interval(HOUR / 2);
    let node = node.build().await.unwrap();
    let other = world.node().await;
    let thief = login(&node, "alice").await;
    let owner = login(&node, "alice").await;
    other.logout(thief.access_token.as_str()).await.unwrap();

    let endpoints = Endpoints::new(node.clone());
    let bearer = format!("Bearer {}", thief.access_token.as_str());
    for (method, path) in [
        ("POST", "/auth/logout-all".to_owned()),
        ("DELETE", "/auth/sessions".to_owned()),
        ("DELETE", format!("/auth/sessions/{}", owner.session_id)),
        ("GET", "/auth/sessions".to_owned()),
    ] {
        let head = RequestHead::new(method, &path, |name| {
            (name == "authorization")
                .then_some(bearer.as_bytes())
                .into_iter()
        });
        let reply = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!(reply.status(), 401, "{method} {path}");
    }
    verify_with(&node, &owner, Staleness::Strict).await.unwrap();
}
