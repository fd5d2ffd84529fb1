//! A session in which a member of the support acts as a user: its rights are fixed, and it ends in
//! time.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Credentials, Staleness, UserUpdate,
    wire::{Endpoints, RequestBody, RequestHead},
};
use serde_json::{Value, json};
use test_support::world::{HOUR, MINUTE, World, builder, refresh, subject, verify, verify_with};

use super::*;

const TTL: Duration = Duration::from_secs(30 * 60);

test_support::on_both_stores! {
    the_actor_is_in_each_token_of_the_session
    an_impersonation_ends_in_time_however_often_it_is_refreshed
    a_reload_of_the_user_changes_no_right_of_an_impersonation
    an_authentication_changes_no_right_of_an_impersonation
    a_change_only_takes_scopes_away_from_an_impersonation
    a_deleted_user_is_impersonated_no_more
    a_user_sees_the_actor_and_can_end_the_session
}

async fn node(world: &World) -> (Authority, Users) {
    let users = Users::default();
    let node = builder(Arc::clone(&world.store), &world.clock).authenticator(users.clone());
    (node.build().await.unwrap(), users)
}

/// With scopes and a claim that the user needn't have.
async fn impersonate(node: &Authority) -> Issued {
    let identity = identity("alice", "orders:read orders:write")
        .claims(&json!({ "tenant": 7 }))
        .unwrap()
        .impersonated_by(subject("support-7"), TTL);
    node.issue(identity, Device::default()).await.unwrap()
}

fn claims(pass: &Pass) -> Value {
    pass.claims().unwrap()
}

fn payload(issued: &Issued) -> Value {
    let part = issued.access_token.as_str().split('.').nth(1).unwrap();
    serde_json::from_slice(&test_support::forge::unbase64url(part)).unwrap()
}

async fn the_actor_is_in_each_token_of_the_session(world: World) {
    let (node, _) = node(&world).await;
    let first = impersonate(&node).await;
    let second = refresh(&node, &first).await.unwrap();
    let retried = refresh(&node, &first).await.unwrap();
    let support = subject("support-7");
    for issued in [&first, &second, &retried] {
        assert_eq!(payload(issued)["act"], json!({ "sub": "support-7" }));
        for staleness in [Staleness::Bounded, Staleness::Strict] {
            let pass = verify_with(&node, issued, staleness).await.unwrap();
            assert_eq!(pass.actor(), Some(&support));
            assert_eq!(*pass.subject(), subject("alice"));
        }
    }
    let renewed = node.renew(second.access_token.as_str()).await.unwrap();
    let renewed = renewed.access_token.as_str();
    let none = gatepass::Requirements::new();
    let pass = node.verifier().verify(renewed, &none).await.unwrap();
    assert_eq!(pass.actor(), Some(&support));
    let own = begin(&node, "alice", "").await;
    assert_eq!(verify(&node, &own).await.unwrap().actor(), None);
    assert_eq!(payload(&own).get("act"), None);
}

async fn an_impersonation_ends_in_time_however_often_it_is_refreshed(world: World) {
    let (node, _) = node(&world).await;
    let mut issued = impersonate(&node).await;
    for _ in 0..5 {
        world.clock.advance(5 * MINUTE);
        issued = refresh(&node, &issued).await.unwrap();
        node.renew(issued.access_token.as_str()).await.unwrap();
    }
    // It is not prolonged by a change either.
    let longer = Change::enforced(|identity| {
        let longer = identity.scopes(scopes("orders:read")).access_ttl(HOUR);
        Ok(longer.impersonated_by(subject("support-7"), HOUR))
    });
    assert!(
        node.change_session(issued.session_id, &longer)
            .await
            .unwrap()
    );
    let last = refresh(&node, &issued).await.unwrap();
    world.clock.advance(5 * MINUTE - Duration::from_secs(1));
    verify(&node, &last).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(refusal(refresh(&node, &last).await), Refusal::SessionEnded);
    // The leeway of half a minute is for clocks that differ.
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(refusal(verify(&node, &last).await), Refusal::Expired);
    node.renew(last.access_token.as_str()).await.unwrap_err();
}

async fn a_reload_of_the_user_changes_no_right_of_an_impersonation(world: World) {
    let (node, users) = node(&world).await;
    let first = impersonate(&node).await;
    let before = stored(&world.store, &first).await;
    let wider = identity("alice", "orders:read orders:write admin").claims(&json!({ "tenant": 8 }));
    for now in [wider.unwrap(), identity("alice", "")] {
        users.are(now);
        let refreshed = refresh(&node, &first).await.unwrap();
        assert_eq!(refreshed.scopes, scopes("orders:read orders:write"));
        let pass = verify(&node, &refreshed).await.unwrap();
        assert_eq!(claims(&pass), json!({ "tenant": 7 }));
        assert_eq!(pass.actor(), Some(&subject("support-7")));
        node.renew(refreshed.access_token.as_str()).await.unwrap();
        verify(&node, &first).await.unwrap();
    }
    let after = stored(&world.store, &first).await;
    assert_eq!(
        (after.identity, after.grant),
        (before.identity, before.grant)
    );
}

async fn an_authentication_changes_no_right_of_an_impersonation(world: World) {
    let (node, users) = node(&world).await;
    let first = impersonate(&node).await;
    let pass = verify(&node, &first).await.unwrap();
    let wider = identity("alice", "orders:read admin").claims(&json!({ "role": "owner" }));
    users.are(wider.unwrap());
    let (credentials, device) = (Credentials::new("alice", "a password"), Device::default());
    let authenticated = node.reauthenticate(&pass, &credentials, &device);
    let authenticated = authenticated.await.unwrap();
    assert_eq!(authenticated.scopes, scopes("orders:read orders:write"));
    let pass = verify(&node, &authenticated).await.unwrap();
    assert_eq!(claims(&pass), json!({ "tenant": 7 }));
    assert_eq!(pass.actor(), Some(&subject("support-7")));
}

async fn a_change_only_takes_scopes_away_from_an_impersonation(world: World) {
    let (node, _) = node(&world).await;
    let first = impersonate(&node).await;
    let alice = subject("alice");
    let wider = |identity: Identity| {
        identity
            .scopes(scopes("orders:read orders:write admin"))
            .claims(&json!({ "tenant": 7, "role": "owner" }))
    };
    for change in [
        Change::offered(wider),
        Change::enforced(wider),
        Change::enforced(|_| Ok(identity("alice", "orders:read orders:write"))),
        Change::enforced(claiming(json!({}))),
        Change::enforced(|identity| Ok(identity.impersonated_by(subject("eve"), HOUR))),
    ] {
        assert_eq!(node.change(&alice, &change).await.unwrap(), 0);
        let pass = verify(&node, &first).await.unwrap();
        assert!(!pass.is_outdated());
    }
    // One scope less, and one more.
    assert_eq!(
        node.change(&alice, &enforced("orders:read admin"))
            .await
            .unwrap(),
        1
    );
    assert!(is_stale(&node, &first).await);
    let refreshed = refresh(&node, &first).await.unwrap();
    assert_eq!(refreshed.scopes, scopes("orders:read"));
    let pass = verify(&node, &refreshed).await.unwrap();
    assert_eq!(claims(&pass), json!({ "tenant": 7 }));
    assert_eq!(pass.actor(), Some(&subject("support-7")));
    assert_eq!(
        node.change(&alice, &enforced("orders:write orders:read"))
            .await
            .unwrap(),
        0
    );
    // No change makes an impersonation of a login.
    let own = begin(&node, "alice", "admin").await;
    let act = Change::enforced(|identity| Ok(identity.impersonated_by(subject("eve"), HOUR)));
    assert!(!node.change_session(own.session_id, &act).await.unwrap());
    assert_eq!(refresh(&node, &own).await.unwrap().scopes, scopes("admin"));
}

async fn a_deleted_user_is_impersonated_no_more(world: World) {
    let (node, users) = node(&world).await;
    let first = impersonate(&node).await;
    users.now(UserUpdate::Deleted);
    assert_eq!(refusal(refresh(&node, &first).await), Refusal::SessionEnded);
    assert_eq!(refusal(verify(&node, &first).await), Refusal::Revoked);
}

async fn a_user_sees_the_actor_and_can_end_the_session(world: World) {
    let (node, _) = node(&world).await;
    let own = begin(&node, "alice", "").await;
    let endpoints = Endpoints::new(node.clone());
    let bearer = format!("Bearer {}", own.access_token.as_str());
    let send = async |method: &str, path: &str| {
        let values = |name| (name == "authorization").then_some(bearer.as_bytes());
        let head = RequestHead::new(method, path, move |name| values(name).into_iter());
        endpoints.handle(&head, RequestBody::Complete(b"")).await
    };
    let first = impersonate(&node).await;
    let reply = send("GET", "/auth/sessions").await;
    let listed: Value = serde_json::from_slice(reply.body()).unwrap();
    let listed = listed["sessions"].as_array().unwrap();
    let of = |issued: &Issued| {
        let id = issued.session_id.to_string();
        listed
            .iter()
            .find(|entry| entry["id"] == id.as_str())
            .unwrap()
    };
    assert_eq!(of(&first)["actor"], "support-7");
    assert_eq!(of(&own).get("actor"), None);

    let path = format!("/auth/sessions/{}", first.session_id);
    assert_eq!(send("DELETE", &path).await.status(), 204);
    assert_eq!(refusal(verify(&node, &first).await), Refusal::Revoked);
    let second = impersonate(&node).await;
    node.logout_all(&subject("alice")).await.unwrap();
    for issued in [&second, &own] {
        assert_eq!(refusal(verify(&node, issued).await), Refusal::Revoked);
        assert_eq!(refusal(refresh(&node, issued).await), Refusal::SessionEnded);
    }
}
