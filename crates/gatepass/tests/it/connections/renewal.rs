//! Connections that outlive the token that they were opened with.

use gatepass::wire::{Gate, RequestHead};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_renewed_connection_stays_open_until_the_new_token_expires() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { end_of(&connection).await }
    });
    tokio::time::sleep(10 * MINUTE).await;
    let newer = refresh(&node.authority, &issued).await.unwrap();
    let token = newer.access_token.as_str();
    connection.renew(token).await.unwrap();
    assert_eq!(
        connection.pass(),
        verify(&node.authority, &newer).await.unwrap()
    );
    let (ended, after) = waiting.await.unwrap();
    assert_eq!(ended, Ended::Expired);
    assert_about(after, 10 * MINUTE + EXPIRY);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_renewed_by_a_good_token_of_its_session_and_nothing_else() {
    let node = Node::new().await;
    let authority = &node.authority;
    let (issued, connection) = node.open().await;
    let connection = connection.require(Requirements::new().staleness(Staleness::Strict));
    let before = connection.pass();
    let (other_session, _) = node.open().await;
    let bob = login(authority, "bob").await;
    for token in [&other_session, &bob] {
        let renewed = connection.renew(token.access_token.as_str()).await;
        assert_eq!(refusal(renewed), Refusal::Ambiguous);
    }
    let renewed = connection.renew(issued.refresh_token.as_str()).await;
    assert_eq!(refusal(renewed), Refusal::WrongType);

    let newer = refresh(authority, &issued).await.unwrap();
    let narrow = connection.clone();
    let narrow = narrow.require(Requirements::new().scopes(Scopes::parse("admin").unwrap()));
    let renewed = narrow.renew(newer.access_token.as_str()).await;
    assert!(matches!(
        refusal(renewed),
        Refusal::InsufficientScope { .. }
    ));

    // The route is strict, so that a renewal asks the store.
    node.handle.inject_everywhere(DOWN);
    let renewed = connection.renew(newer.access_token.as_str()).await;
    assert!(matches!(renewed, Err(Error::Store(_))), "{renewed:?}");
    node.handle.heal();

    tokio::time::sleep(EXPIRY).await;
    let renewed = connection.renew(newer.access_token.as_str()).await;
    assert_eq!(refusal(renewed), Refusal::Expired);
    let last = refresh(authority, &newer).await.unwrap();
    let pass = verify(authority, &last).await.unwrap();
    authority.revoke_token(&pass).await.unwrap();
    let renewed = connection.renew(last.access_token.as_str()).await;
    assert_eq!(refusal(renewed), Refusal::Revoked);
    assert_eq!(connection.pass(), before);
    assert_eq!(connection.ended().await, Ended::Expired);
}

#[tokio::test(start_paused = true)]
async fn an_older_token_shortens_nothing() {
    let node = Node::new().await;
    let (older, _) = node.open().await;
    tokio::time::sleep(10 * MINUTE).await;
    let newer = refresh(&node.authority, &older).await.unwrap();
    let connection = node.connect(&newer).await;
    connection.renew(older.access_token.as_str()).await.unwrap();
    let (ended, after) = end_of(&connection).await;
    assert_eq!(ended, Ended::Expired);
    assert_about(after, EXPIRY);
}

/// The revocation of the first token says nothing about the second one.
#[tokio::test(start_paused = true)]
async fn a_renewed_connection_is_that_of_its_new_token() {
    let node = Node::new().await;
    let authority = &node.authority;
    let (issued, connection) = node.open().await;
    let first = connection.pass();
    let newer = refresh(authority, &issued).await.unwrap();
    connection.renew(newer.access_token.as_str()).await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { end_of(&connection).await.0 }
    });
    authority.revoke_token(&first).await.unwrap();
    tokio::time::sleep(MINUTE).await;
    assert!(!waiting.is_finished());
    authority.revoke_token(&connection.pass()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ended::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_follows_its_session_asks_the_store_once_per_lifetime() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let following = connection.follow_session();
    // Nothing of the end in the log: the answers alone say it.
    node.handle
        .inject(Op::Pull, StoreFault::Delay(Duration::ZERO));
    node.handle.reset_calls();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let following = following.clone();
            tokio::spawn(async move { end_of(&following).await })
        })
        .collect();
    tokio::time::sleep(EXPIRY - SECOND).await;
    assert_eq!(node.handle.calls_of(Op::Status), 0);
    for asked in 1..=4 {
        tokio::time::sleep(15 * MINUTE).await;
        assert_eq!(node.handle.calls_of(Op::Status), asked);
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    node.authority.end_session(issued.session_id).await.unwrap();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().0, Ended::Revoked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_store_has_lost_ends_the_connection_that_follows_it() {
    let node = Node::new().await;
    let (_, connection) = node.open().await;
    let following = connection.follow_session();
    tokio::time::sleep(MINUTE).await;
    let other = MemoryStore::with_clock(Ticking::new());
    node.handle.replace(TestStore::new(other).durable());
    let (ended, after) = end_of(&following).await;
    assert_eq!(ended, Ended::Revoked);
    assert_about(after, EXPIRY - MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_about_a_session_is_asked_as_long_as_the_patience() {
    let node = Node::new().await;
    for (patience, outage, ends) in [
        (Duration::ZERO, HOUR, true),
        (MINUTE, HOUR, true),
        (MINUTE, 50 * SECOND, false),
    ] {
        let (_, connection) = node.open().await;
        let following = connection.follow_session().patience(patience);
        tokio::time::sleep(EXPIRY - SECOND).await;
        // The log can be read, so that the lease holds.
        node.handle.inject(Op::Status, DOWN);
        let waiting = tokio::spawn(async move { end_of(&following).await });
        tokio::time::sleep(outage + SECOND).await;
        node.handle.heal();
        if ends {
            let (ended, after) = waiting.await.unwrap();
            assert_eq!(ended, Ended::Unknown);
            assert_about(after, SECOND + patience);
        } else {
            tokio::time::sleep(HOUR).await;
            assert!(!waiting.is_finished());
        }
    }
}

/// A client whose messages have the handler begin to wait anew neither stops the question nor
/// multiplies it.
#[tokio::test(start_paused = true)]
async fn a_question_to_the_store_goes_on_while_a_handler_drops_its_futures() {
    let node = Node::new().await;
    let (_, connection) = node.open().await;
    let following = connection.follow_session();
    tokio::time::sleep(EXPIRY).await;
    node.handle.inject(Op::Status, StoreFault::Hang);
    node.handle.reset_calls();
    let began = Instant::now();
    let ended = loop {
        if let Ok(ended) = timeout(Duration::from_millis(10), following.ended()).await {
            break ended;
        }
        assert!(began.elapsed() < HOUR);
    };
    assert_eq!(ended, Ended::Unknown);
    // The time that a store of these tests has to answer.
    assert_about(began.elapsed(), PATIENCE);
    assert_eq!(node.handle.calls_of(Op::Status), 1);
}

/// The answer is about the token that was asked about.
#[tokio::test(start_paused = true)]
async fn an_answer_about_a_token_that_was_renewed_meanwhile_ends_nothing() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let following = connection.follow_session();
    let first = following.pass();
    let held = node.handle.hold_before(Op::Status);
    let waiting = tokio::spawn({
        let following = following.clone();
        async move { end_of(&following).await }
    });
    held.reached().await;
    let newer = refresh(&node.authority, &issued).await.unwrap();
    following.renew(newer.access_token.as_str()).await.unwrap();
    node.authority.revoke_token(&first).await.unwrap();
    held.release();
    tokio::time::sleep(MINUTE).await;
    assert!(!waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_connection_behind_a_gate_is_renewed_by_what_the_gate_requires() {
    let node = Node::new().await;
    let authority = &node.authority;
    let admin = Scopes::parse("profile admin").unwrap();
    let identity = Identity::of(subject("alice")).scopes(admin.clone());
    let issued = authority.issue(identity, Device::default()).await.unwrap();
    let gate = Gate::new(authority).require(Requirements::new().scopes(admin));
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let head = RequestHead::new("GET", "/ws", |name| {
        let bearer = (name == "authorization").then_some(bearer.as_bytes());
        bearer.into_iter()
    });
    let state = gate.judge(&head).await.unwrap();
    let connection = state.of(head.clone()).connection().unwrap();
    let narrow = Some(Scopes::parse("profile").unwrap());
    let narrow = authority.refresh_as(
        authority.client_id(),
        issued.refresh_token.as_str(),
        narrow.as_ref(),
        None,
    );
    let narrow = narrow.await.unwrap();
    let renewed = connection.renew(narrow.access_token.as_str()).await;
    assert!(matches!(
        refusal(renewed),
        Refusal::InsufficientScope { .. }
    ));
}
