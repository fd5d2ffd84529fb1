//! Every event by its stable name, with what an operator needs.

use std::collections::BTreeMap;

use gatepass::{
    Credentials, Device, Identity, Issued, MemoryStore, Requirements, Staleness, Transport,
    wire::{Delivery, Endpoints, RequestHead},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore, sessions::new_session};
use test_support::{
    log::Log,
    world::{
        HOUR, MINUTE, SECOND, World, builder, login, refresh, refusal, subject, verify, verify_with,
    },
};
use tracing::Level;

use crate::observe::events::{PASSWORD, USERNAME, one_user, secrets::Secrets};

#[tokio::test]
async fn every_event_has_its_stable_name_and_fields_and_no_secret() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let world = World::sqlite();
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    let node = builder(store, &world.clock).authenticator(one_user);
    let node = node.store_timeout(SECOND).build().await.unwrap();
    let session = |issued: &Issued| issued.session_id.to_string();

    let credentials = Credentials::new(USERNAME, PASSWORD);
    let issued = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&issued);
    let of_alice = [
        ("subject", "alice"),
        ("session", &session(&issued)),
        ("jti", "*"),
    ];
    let of_client = |fields: &[(&'static str, &'static str)]| {
        [&of_alice[..], &[("client", "default")], fields].concat()
    };
    log.has(
        Level::INFO,
        "session.issued",
        &of_client(&[("method", "password")]),
    );
    for (password, reason) in [("wrong", "bad_credentials"), ("again", "too_many_attempts")] {
        let credentials = Credentials::new(PASSWORD, password);
        refusal(node.login(&credentials, Device::default()).await);
        let fields = [("reason", reason), ("name_hash", "*")];
        log.has(Level::INFO, "login.refused", &fields);
    }

    verify(&node, &issued).await.unwrap();
    log.has(Level::DEBUG, "token.verified", &of_client(&[]));

    let refreshed = refresh(&node, &issued).await.unwrap();
    secrets.add_issued(&refreshed);
    let with = |name, value| [&of_alice[..], &[(name, value)]].concat();
    let rotated = [("generation", "1"), ("method", "refresh")];
    log.has(Level::INFO, "session.refreshed", &of_client(&rotated));
    secrets.add_issued(&refresh(&node, &issued).await.unwrap());
    log.has(Level::INFO, "session.replayed", &of_alice);
    world.clock.advance(31 * SECOND);
    secrets.add_issued(&refresh(&node, &issued).await.unwrap());
    let recovered = [&of_alice[..2], &[("generation", "0")]].concat();
    log.has(Level::WARN, "session.recovered", &recovered);

    let single = verify(&node, &issued).await.unwrap();
    node.revoke_token(&single).await.unwrap();
    log.has(Level::INFO, "token.revoked", &of_alice);
    refusal(verify(&node, &issued).await);
    log.has(Level::INFO, "token.refused", &with("reason", "revoked"));
    node.verifier().ended(&single).await;
    log.has(Level::DEBUG, "connection.ended", &with("reason", "revoked"));

    let latest = refresh(&node, &refreshed).await.unwrap();
    secrets.add_issued(&latest);
    world.clock.advance(31 * SECOND);
    refusal(refresh(&node, &issued).await);
    let hashed = ("name_hash", "*");
    let reuse = [("gap", "2"), hashed];
    let reuse = [&of_alice[..2], &reuse].concat();
    log.has(Level::WARN, "session.reuse_detected", &reuse);
    let ended = [
        ("subject", "alice".into()),
        ("session", session(&issued)),
        ("reason", "reuse".into()),
    ];
    let ended = ended.each_ref().map(|(key, value)| (*key, value.as_str()));
    log.has(Level::INFO, "session.ended", &ended);
    let refused = [&of_alice[..2], &[("reason", "reused"), hashed]].concat();
    log.has(Level::INFO, "refresh.refused", &refused);

    // The faults of tokens that are ours in part at most.
    let access = latest.access_token.as_str();
    let forged = format!("{}AAAA", &access[..access.len() - 4]);
    let tokens = [
        ("not a token", "malformed"),
        (latest.refresh_token.as_str(), "wrong_type"),
        (&forged, "bad_signature"),
    ];
    for (token, reason) in tokens {
        refusal(node.verifier().verify(token, &Requirements::new()).await);
        log.has(Level::INFO, "token.refused", &[("reason", reason)]);
        secrets.add("refused token", token);
    }
    refusal(node.refresh(access).await);
    log.has(Level::INFO, "refresh.refused", &[("reason", "wrong_type")]);

    let other = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&other);
    world.clock.advance(HOUR);
    refusal(verify(&node, &other).await);
    let expired = [
        ("subject", "alice"),
        ("session", &session(&other)),
        ("jti", "*"),
        ("reason", "expired"),
    ];
    log.has(Level::INFO, "token.refused", &expired);
    node.logout(other.refresh_token.as_str()).await.unwrap();
    let ended = [("session", session(&other)), ("reason", "logout".into())];
    let ended = ended.each_ref().map(|(key, value)| (*key, value.as_str()));
    log.has(Level::INFO, "session.ended", &ended);

    // A token of a generation that the store does not remember to have given.
    let last = login(&node, "alice").await;
    secrets.add_issued(&last);
    let ahead = ahead_by_three(&last).await;
    secrets.add_issued(&ahead);
    let found = refresh(&node, &ahead).await.unwrap();
    secrets.add_issued(&found);
    let behind = [
        ("subject", "alice"),
        ("session", &session(&last)),
        ("gap", "3"),
    ];
    log.has(Level::ERROR, "store.behind", &behind);

    handle.inject_everywhere(StoreFault::Fail(
        gatepass::store::StoreErrorKind::Unavailable,
    ));
    world.clock.advance(3 * SECOND);
    verify(&node, &found).await.unwrap_err();
    log.has(
        Level::WARN,
        "denylist.stale",
        &[("error", "the store is unavailable")],
    );
    for (operation, failed) in [
        ("load", refresh(&node, &found).await.is_err()),
        (
            "end",
            node.logout(found.refresh_token.as_str()).await.is_err(),
        ),
        (
            "status",
            verify_with(&node, &found, Staleness::Strict).await.is_err(),
        ),
    ] {
        assert!(failed);
        let unavailable = [
            ("operation", operation),
            ("error", "the store is unavailable"),
            ("source", ""),
        ];
        log.has(Level::ERROR, "store.unavailable", &unavailable);
    }
    handle.heal();

    World::memory().node().await;
    log.has(Level::WARN, "store.volatile", &[]);
    let text = log.text();
    secrets.assert_absent(&text);
    assert!(
        !text.contains(USERNAME),
        "what was typed as a name may be a password:\n{text}"
    );
}

/// The refresh token three refreshes later, from a store that this node lost.
async fn ahead_by_three(issued: &Issued) -> Issued {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let mut new = new_session("alice");
    new.id = issued.session_id;
    new.client = gatepass::ClientId::new("default").unwrap();
    new.idle_ttl = HOUR;
    new.absolute_ttl = HOUR;
    new.access_ttl = MINUTE;
    gatepass::store::SessionStore::begin(&store, new)
        .await
        .unwrap();
    let node = builder(store, &clock).build().await.unwrap();
    let mut ahead = issued.clone();
    for _ in 0..3 {
        clock.advance(MINUTE);
        ahead = refresh(&node, &ahead).await.unwrap();
    }
    ahead
}

#[tokio::test]
async fn a_token_too_long_for_a_cookie_is_logged_as_the_mistake_that_it_is() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock).transport(Transport::Cookie);
    let node = node.build().await.unwrap();
    let endpoints = Endpoints::new(node);
    let long = BTreeMap::from([("long", "x".repeat(3500))]);
    let identity = Identity::of(subject("alice")).claims(&long).unwrap();
    let head = RequestHead::new("GET", "/callback", |_| std::iter::empty());
    let rejection = endpoints.issue(identity, &head, Delivery::Cookies).await;
    let reply = rejection.unwrap_err().into_reply();
    assert_eq!(reply.status(), 500);
    let told =
        "subject, scopes and custom claims make the access token longer than a cookie may be";
    log.has(Level::ERROR, "internal", &[("error", told)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_says_when_its_store_went_and_when_it_came_back_and_no_more() {
    let (log, _listening) = Log::listen();
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let handle = store.clone();
    let _node = builder(store, &clock).build().await.unwrap();
    handle.inject(
        Op::Pull,
        StoreFault::Fail(gatepass::store::StoreErrorKind::TimedOut),
    );
    tokio::time::sleep(MINUTE).await;
    handle.heal();
    tokio::time::sleep(MINUTE).await;
    let pull = [
        ("operation", "pull"),
        ("error", "the store did not answer in time"),
        ("source", ""),
    ];
    log.has(Level::ERROR, "store.unavailable", &pull);
    log.has(Level::INFO, "store.available", &[]);
    assert_eq!(log.0.lock().unwrap().len(), 2, "{}", log.text());
}
