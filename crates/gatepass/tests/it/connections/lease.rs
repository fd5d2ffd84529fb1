//! Ends by a store that cannot be reached.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_its_store_ends_its_connections_within_the_bound() {
    let node = Node::new().await;
    let (_, connection) = node.open().await;
    assert!(is_open(&connection).await);
    node.handle.inject_everywhere(DOWN);
    let (ended, after) = end_of(&connection).await;
    assert_eq!(ended, Ended::Unknown);
    assert!(after >= BOUND / 2 && after < BOUND, "{after:?}");
    // The same at once, for one that begins now.
    assert_eq!(end_of(&connection).await, (Ended::Unknown, Duration::ZERO));
    node.handle.heal();
    tokio::time::sleep(10 * SECOND).await;
    assert!(is_open(&connection).await);
}

#[tokio::test(start_paused = true)]
async fn a_patient_connection_survives_an_outage_that_is_shorter() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let patient = connection.clone().patience(MINUTE);
    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { end_of(&patient).await }
    });
    node.handle.inject_everywhere(DOWN);
    assert_eq!(connection.ended().await, Ended::Unknown);
    tokio::time::sleep(50 * SECOND).await;
    node.handle.heal();
    tokio::time::sleep(5 * MINUTE).await;
    assert!(!waiting.is_finished());
    // A revocation ends it as any other.
    node.authority.end_session(issued.session_id).await.unwrap();
    assert_eq!(waiting.await.unwrap().0, Ended::Revoked);
}

#[tokio::test(start_paused = true)]
async fn the_patience_counts_from_the_loss_however_often_a_handler_asks() {
    let node = Node::new().await;
    let (_, connection) = node.open().await;
    let patient = connection.patience(MINUTE);
    node.handle.inject_everywhere(DOWN);
    let began = Instant::now();
    // A handler that begins to wait anew at each message.
    let ended = loop {
        if let Ok(ended) = timeout(100 * Duration::from_millis(1), patient.ended()).await {
            break ended;
        }
        assert!(began.elapsed() < HOUR);
    };
    assert_eq!(ended, Ended::Unknown);
    let after = began.elapsed();
    assert!(after > MINUTE && after < MINUTE + BOUND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_known_is_told_without_a_lease() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    node.authority.end_session(issued.session_id).await.unwrap();
    node.handle.inject_everywhere(DOWN);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(connection.ended().await, Ended::Revoked);
}

#[tokio::test(start_paused = true)]
async fn connections_outlast_the_lease_where_requests_are_judged_without_it() {
    let memory = MemoryStore::with_clock(Ticking::new());
    let handle = TestStore::new(memory).durable();
    let authority = builder(handle.clone(), &ManualClock::new())
        .clock(Ticking::new())
        .danger_judge_by_stale_revocations(MINUTE);
    let authority = authority.build().await.unwrap();
    let issued = login(&authority, "alice").await;
    let pass = verify(&authority, &issued).await.unwrap();
    let connection = authority.verifier().connection(&pass);
    handle.inject_everywhere(DOWN);
    let (ended, after) = end_of(&connection).await;
    assert_eq!(ended, Ended::Unknown);
    assert!(
        after > MINUTE - BOUND && after < MINUTE + BOUND,
        "{after:?}"
    );
}

/// A machine that was suspended, or whose wall clock was set back, doesn't know how old its
/// knowledge is.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ends_connections_of_a_node_without_a_store() {
    for jump in [
        |clock: &ManualClock| clock.suspend(3 * SECOND),
        |clock: &ManualClock| clock.step_wall_back(HOUR),
    ] {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let handle = store.clone();
        let authority = builder(store, &clock).build().await.unwrap();
        let issued = login(&authority, "alice").await;
        let pass = verify(&authority, &issued).await.unwrap();
        let connection = authority.verifier().connection(&pass);
        handle.inject_everywhere(DOWN);
        let waiting = tokio::spawn(async move { end_of(&connection).await });
        tokio::time::sleep(SECOND).await;
        assert!(!waiting.is_finished());
        jump(&clock);
        let (ended, after) = waiting.await.unwrap();
        assert_eq!(ended, Ended::Unknown);
        assert!(after <= 2 * SECOND, "{after:?}");
    }
}
