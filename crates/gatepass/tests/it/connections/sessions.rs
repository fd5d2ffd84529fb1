//! Ends by a session or a token.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_kind_of_revocation_ends_the_connections_that_it_concerns_and_no_other() {
    let node = Node::new().await;
    let authority = &node.authority;
    for kind in ["session", "token", "everywhere", "everywhere else"] {
        let (issued, connection) = node.open().await;
        let same_session = authority.renew(issued.access_token.as_str()).await.unwrap();
        let verifier = authority.verifier();
        let token = same_session.access_token.as_str();
        let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
        let same_session = verifier.connection(&pass);
        let (_, same_user) = node.open().await;
        let bob = login(authority, "bob").await;
        let bob = node.connect(&bob).await;
        let pass = connection.pass();
        let ends = match kind {
            "session" => {
                authority.end_session(issued.session_id).await.unwrap();
                [true, true, false, false]
            }
            "token" => {
                authority.revoke_token(&pass).await.unwrap();
                [true, false, false, false]
            }
            "everywhere" => {
                authority.logout_all(&subject("alice")).await.unwrap();
                [true, true, true, false]
            }
            _ => {
                authority.logout_others(&same_user.pass()).await.unwrap();
                [true, true, false, false]
            }
        };
        for (connection, ends) in [connection, same_session, same_user, bob].iter().zip(ends) {
            if ends {
                let (ended, after) = end_of(connection).await;
                assert_eq!((ended, after), (Ended::Revoked, Duration::ZERO), "{kind}");
            } else {
                assert!(is_open(connection).await, "{kind}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_of_another_node_wakes_a_connection_that_waits() {
    let node = Node::new().await;
    let other = Node::over(Arc::clone(&node.store)).await;
    for push in [true, false] {
        if !push {
            node.handle.inject(Op::Changed, StoreFault::Hang);
        }
        let (issued, connection) = node.open().await;
        let waiting = tokio::spawn(async move { end_of(&connection).await });
        // So that it waits by then.
        tokio::time::sleep(10 * SECOND).await;
        other
            .authority
            .end_session(issued.session_id)
            .await
            .unwrap();
        let (ended, after) = waiting.await.unwrap();
        assert_eq!(ended, Ended::Revoked);
        assert!(after - 10 * SECOND <= BOUND, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_expires_when_gates_refuse_its_token() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let (ended, after) = end_of(&connection).await;
    assert_eq!(ended, Ended::Expired);
    assert_about(after, EXPIRY);
    assert_eq!(
        refusal(verify(&node.authority, &issued).await),
        Refusal::Expired
    );
    let pass = connection.pass();
    assert_eq!(node.authority.verifier().ended(&pass).await, Ended::Expired);
}

/// A wall clock that is set forward has gates refuse the token at once.
#[tokio::test(start_paused = true)]
async fn a_connection_looks_at_the_clock_again_and_again() {
    let clock = ManualClock::new();
    let authority = builder(MemoryStore::with_clock(clock.clone()), &clock);
    let authority = authority.build().await.unwrap();
    let issued = login(&authority, "alice").await;
    let pass = verify(&authority, &issued).await.unwrap();
    let connection = authority.verifier().connection(&pass);
    let waiting = tokio::spawn(async move { end_of(&connection).await });
    tokio::time::sleep(SECOND).await;
    clock.advance(HOUR);
    let (ended, after) = waiting.await.unwrap();
    assert_eq!(ended, Ended::Expired);
    assert!(after <= 31 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_checked_again_for_time_and_revocation_and_not_for_scopes() {
    let node = Node::new().await;
    let verifier = node.authority.verifier();
    let admin = Requirements::new().scopes(Scopes::parse("admin").unwrap());
    let (issued, connection) = node.open().await;
    let pass = connection.pass();
    verifier.check(&pass).await.unwrap();
    node.authority.end_session(issued.session_id).await.unwrap();
    assert_eq!(refusal(verifier.check(&pass).await), Refusal::Revoked);
    // The other check is about the token alone.
    let none = Requirements::new();
    assert_eq!(verifier.check_requirements(&pass, &none), Ok(()));
    assert!(verifier.check_requirements(&pass, &admin).is_err());

    let (_, connection) = node.open().await;
    let pass = connection.pass();
    tokio::time::sleep(EXPIRY).await;
    assert_eq!(refusal(verifier.check(&pass).await), Refusal::Expired);

    let (_, connection) = node.open().await;
    node.handle.inject(Op::Pull, DOWN);
    tokio::time::sleep(BOUND + SECOND).await;
    let unknown = verifier.check(&connection.pass()).await;
    assert!(matches!(unknown, Err(Error::Store(_))), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_is_asked_about_a_connection() {
    let memory = MemoryStore::with_clock(Ticking::new());
    let node = Node::over(Arc::new(memory)).await;
    let (issued, connection) = node.open().await;
    assert!(is_open(&connection).await);
    // Without a word in its log: it is another store.
    node.handle.replace(MemoryStore::with_clock(Ticking::new()));
    assert_eq!(connection.ended().await, Ended::Revoked);

    node.handle.replace(Arc::clone(&node.store));
    node.authority.end_session(issued.session_id).await.unwrap();
    assert_eq!(connection.ended().await, Ended::Revoked);

    let (_, connection) = node.open().await;
    node.handle.inject(Op::Status, DOWN);
    assert_eq!(connection.clone().ended().await, Ended::Unknown);
    let (ended, after) = end_of(&connection.clone().patience(MINUTE)).await;
    assert_eq!(ended, Ended::Unknown);
    assert_about(after, MINUTE);
    node.handle.heal();
    assert!(is_open(&connection).await);
}
