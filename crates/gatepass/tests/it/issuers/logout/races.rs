//! Logouts while the user logs in, and while the store fails.

use super::*;

/// The login is under way while the logout happens from its first act to its last.
#[tokio::test(start_paused = true)]
async fn a_login_that_a_logout_overtakes_gets_no_session() {
    for (user, sid) in [
        (Some("248289"), None),
        (None, Some("one")),
        (Some("248289"), Some("one")),
    ] {
        for is_stored in [false, true] {
            let shop = Shop::open().await;
            let login = shop.login("248289", Some("one"));
            let held = match is_stored {
                false => shop.store.hold_before(Op::Begin),
                true => shop.store.hold_after(Op::Begin),
            };
            let issue = shop.issue("alice", Some(login));
            let log_out = async {
                held.reached().await;
                let count = shop.log_out(&shop.token(user, sid)).await;
                assert_eq!(count, u64::from(is_stored));
                held.release();
            };
            let (issued, ()) = tokio::join!(issue, log_out);
            let case = format!("{user:?} {sid:?} {is_stored}: {issued:?}");
            assert!(
                matches!(issued, Err(Error::Refused(Refusal::SessionEnded))),
                "{case}"
            );
            let live = shop.authority.sessions(&subject("alice"), None).await;
            assert!(live.unwrap().sessions.is_empty(), "{case}");
        }
    }
}

/// The logout has looked for sessions and found none, and its answer is under way.
#[tokio::test(start_paused = true)]
async fn a_login_that_the_search_of_a_logout_misses_gets_no_session() {
    for op in [Op::RevokeForeign, Op::Scan] {
        let shop = Shop::open().await;
        let login = shop.login("248289", Some("one"));
        let token = shop.token(None, Some("one"));
        let held = shop.store.hold_after(op);
        let log_out = shop.log_out(&token);
        let issue = async {
            held.reached().await;
            let issued = shop.issue("alice", Some(login)).await;
            held.release();
            issued
        };
        let (_, issued) = tokio::join!(log_out, issue);
        assert!(
            matches!(issued, Err(Error::Refused(Refusal::SessionEnded))),
            "{op:?}: {issued:?}"
        );
    }
}

/// The application holds an ID token for a while before it begins the session.
#[tokio::test(start_paused = true)]
async fn an_id_token_from_before_the_logout_begins_no_session_for_ten_minutes() {
    let shop = Shop::open().await;
    let old = shop.login("248289", Some("one"));
    let of_another_session = shop.login("248289", Some("two"));
    let of_no_known_session = shop.login("248289", None);
    shop.log_out(&shop.token(Some("248289"), Some("one"))).await;
    shop.clock.advance(599 * SECOND);
    let issued = shop.issue("alice", Some(old)).await;
    assert!(matches!(issued, Err(Error::Refused(Refusal::SessionEnded))));
    let issued = shop.issue("alice", Some(of_no_known_session)).await;
    assert!(matches!(issued, Err(Error::Refused(Refusal::SessionEnded))));
    shop.issue("alice", Some(of_another_session)).await.unwrap();
    let new = shop.login("248289", Some("one"));
    shop.issue("alice", Some(new)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reauthentication_that_a_logout_overtakes_ends_its_session() {
    let shop = Shop::open().await;
    let identity = Identity::new("alice").unwrap();
    let issued = shop.authority.issue(identity.clone(), Device::default());
    let issued = issued.await.unwrap();
    let verifier = shop.authority.verifier();
    let token = issued.access_token.as_str();
    let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
    let held = shop.store.hold_before(Op::Change);
    let identity = identity.logged_in_by(shop.login("248289", Some("one")));
    let device = Device::default();
    let again = shop.authority.reauthenticated(&pass, identity, &device);
    let log_out = async {
        held.reached().await;
        shop.log_out(&shop.token(None, Some("one"))).await;
        held.release();
    };
    let (again, ()) = tokio::join!(again, log_out);
    assert!(matches!(again, Err(Error::Refused(Refusal::SessionEnded))));
    assert!(!shop.lives(issued.session_id).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_any_step_is_a_failure_and_the_next_try_goes_on() {
    let fails = StoreFault::Fail(StoreErrorKind::Unavailable);
    let loses = StoreFault::LoseAnswer(StoreErrorKind::Unavailable);
    for fault in [fails, loses] {
        for op in [Op::RevokeForeign, Op::Scan, Op::End] {
            let shop = Shop::open().await;
            let id = shop.log_in("alice", "248289", None).await;
            let token = shop.token(Some("248289"), None);
            shop.store.inject(op, fault);
            let failed = shop.authority.backchannel_logout(&token).await;
            assert!(matches!(failed, Err(Error::Store(_))), "{op:?} {fault:?}");
            shop.store.heal();
            shop.log_out(&token).await;
            assert!(!shop.lives(id).await, "{op:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_through_the_provider_fails_if_the_log_cannot_be_read() {
    let shop = Shop::open().await;
    let login = shop.login("248289", None);
    let fails = StoreFault::Fail(StoreErrorKind::Unavailable);
    shop.store.inject(Op::Pull, fails);
    let issued = shop.issue("alice", Some(login)).await;
    assert!(matches!(issued, Err(Error::Store(_))));
    // Other logins need no such answer.
    shop.issue("alice", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_application_that_fails_or_hangs_is_a_failure() {
    let shop = Shop::open().await;
    for user in ["fails", "hangs"] {
        let token = shop.token(Some(user), None);
        let failed = shop.authority.backchannel_logout(&token).await;
        assert!(matches!(failed, Err(Error::Store(_))), "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_up_undoes_nothing() {
    let shop = Shop::open().await;
    let id = shop.log_in("alice", "248289", None).await;
    let token = shop.token(Some("248289"), None);
    let held = shop.store.hold_before(Op::Scan);
    tokio::select! {
        biased;
        _ = shop.authority.backchannel_logout(&token) => panic!("it is held"),
        () = held.reached() => {}
    }
    held.release();
    tokio::time::sleep(SECOND).await;
    assert!(!shop.lives(id).await);
}
