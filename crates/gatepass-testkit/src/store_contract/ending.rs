//! Ending sessions.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gatepass::{
    Clock, Session,
    store::{
        AccountId, EndReason, EndSessions, Ended, Issuer, Revocation, RevocationTarget,
        SessionStore, TokenStatus,
    },
};

use super::given::{
    Given, MINUTE, account, advance_of, new_session, recovery_of, renewal_of, revocation_of_all,
    session_id, sorted, subject, targets, token_id,
};
use crate::clock::ManualClock;

/// Once an end has returned, the session is over, the log has its entry, and its status is revoked.
pub async fn an_end_is_logged_in_the_same_act<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let begun = given.begin("alice").await;
    given.clock.advance(MINUTE);
    let session = given.store.advance(advance_of(&begun)).await;
    let session = session.unwrap().unwrap();

    let ended = given.end(&session).await;

    let revocation = Revocation {
        target: RevocationTarget::Session(session.id),
        until: session.access_until,
    };
    assert_eq!(ended, Some(revocation));
    assert_eq!(given.log().await.0, [revocation]);
    let expected = Session {
        ended: Some(Ended {
            at: given.clock.now(),
            reason: EndReason::Logout,
        }),
        ..session.clone()
    };
    assert_eq!(given.load(&session).await, expected);
    let status = given.status(session.id, token_id()).await;
    assert_eq!(status, TokenStatus::Revoked);
}

/// The store returns the reason of an end.
pub async fn every_reason_is_kept<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    for reason in [
        EndReason::Logout,
        EndReason::LogoutAll,
        EndReason::EndedByUser,
        EndReason::EndedByApplication,
        EndReason::Reuse,
        EndReason::UserDeleted,
        EndReason::TooManySessions,
        EndReason::BackchannelLogout,
        EndReason::TooManyRevocations,
    ] {
        let session = given.begin("alice").await;
        let target = EndSessions::Session(session.id);
        given.store.end(target, reason).await.unwrap();
        assert_eq!(given.load(&session).await.ended.unwrap().reason, reason);
    }
}

/// A second end changes nothing, reports nothing and logs nothing.
pub async fn the_first_end_counts<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let (ended, revocation) = given.ended("alice").await;
    given.clock.advance(MINUTE);
    for target in [
        EndSessions::Session(ended.id),
        EndSessions::SessionOf(ended.id, account("alice")),
    ] {
        let again = given.store.end(target, EndReason::Reuse).await.unwrap();
        assert_eq!(again, None);
    }
    assert_eq!(given.log().await.0, [revocation]);
    // A logout everywhere also covers the session, and changes nothing about it.
    let all = given.end_all("alice", None).await.unwrap();
    assert_eq!(given.end_all("alice", None).await, None);
    assert_eq!(given.end_all("alice", Some(&ended)).await, None);
    assert_eq!(given.load(&ended).await, ended);
    assert_eq!(sorted(given.log().await.0), sorted(vec![revocation, all]));
}

/// One of many simultaneous ends of a session reports it, and the log has one entry.
pub async fn of_many_ends_of_one_session_one_reports_it<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let attempts = (0..32).map(|number| {
        let store = Arc::clone(&given.store);
        let target = match number % 2 {
            0 => EndSessions::Session(session.id),
            _ => EndSessions::SessionOf(session.id, account("alice")),
        };
        tokio::spawn(async move { store.end(target, EndReason::Logout).await })
    });
    let mut reported = Vec::new();
    for attempt in Vec::from_iter(attempts) {
        reported.extend(attempt.await.unwrap().unwrap());
    }
    assert_eq!(targets(&reported), [RevocationTarget::Session(session.id)]);
    assert_eq!(given.log().await.0, reported);
}

/// An ended session stays ended and unchanged.
pub async fn nothing_refreshes_an_ended_session<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (ended, _) = given.ended("alice").await;
    let advanced = given.store.advance(advance_of(&ended)).await.unwrap();
    assert_eq!(advanced, None);
    let recovered = given.store.recover(recovery_of(&ended)).await.unwrap();
    assert_eq!(recovered, None);
    assert_eq!(given.load(&ended).await, ended);
}

/// A user can't end a session of another user.
pub async fn a_session_of_another_subject_is_not_ended<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let foreign = EndSessions::SessionOf(session.id, account("bob"));
    let ended = given.store.end(foreign, EndReason::EndedByUser).await;
    assert_eq!(ended.unwrap(), None);
    assert_eq!(given.load(&session).await, session);
    assert_eq!(given.log().await.0, []);

    let own = EndSessions::SessionOf(session.id, account("alice"));
    let ended = given.store.end(own, EndReason::EndedByUser).await.unwrap();
    assert_eq!(ended.unwrap().target, RevocationTarget::Session(session.id));
    assert!(given.load(&session).await.ended.is_some());
}

/// One log entry ends all sessions of an account, however old. It leaves sessions of others alone,
/// and later sessions of the account, even of the same millisecond.
pub async fn all_sessions_of_an_account_end_together<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (ended_before, earlier) = given.ended("alice").await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(given.begin("alice").await);
        given.clock.advance(MINUTE);
    }
    // A refresh, so its last use is later than its beginning.
    let refreshed = given.store.advance(advance_of(&sessions[4])).await;
    sessions[4] = refreshed.unwrap().unwrap();
    let bystander = given.begin("bob").await;

    let ended = given.end_all("alice", None).await.unwrap();
    let later = given.begin("alice").await;

    let last = &sessions[4];
    assert_eq!(
        ended,
        revocation_of_all(last, None, last.absolute_expires_at)
    );
    let logged = given.log().await.0;
    assert_eq!(sorted(logged), sorted(vec![earlier, ended]));
    assert_eq!(given.sessions("alice").await, std::slice::from_ref(&later));
    assert_eq!(given.load(&bystander).await, bystander);
    assert_eq!(given.load(&ended_before).await, ended_before);
    assert_eq!(given.load(&later).await, later);
    for session in sessions {
        let expected = Session {
            ended: Some(Ended {
                at: given.clock.now(),
                reason: EndReason::LogoutAll,
            }),
            ..session.clone()
        };
        assert_eq!(given.load(&session).await, expected);
        let status = given.status(session.id, token_id()).await;
        assert_eq!(status, TokenStatus::Revoked);
        let advanced = given.store.advance(advance_of(&session)).await.unwrap();
        assert_eq!(advanced, None);
        let recovered = given.store.recover(recovery_of(&session)).await.unwrap();
        assert_eq!(recovered, None);
        let renewed = given.store.renew(renewal_of(&session)).await.unwrap();
        assert_eq!(renewed, None);
        assert_eq!(given.end(&session).await, None, "it has ended before");
        assert_eq!(given.revoke_one(&session).await.1, None);
    }
}

/// All other sessions of an account end, and the named session continues.
pub async fn all_sessions_of_an_account_but_one_end_together<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let one = given.begin("alice").await;
    let kept = given.begin("alice").await;
    let two = given.begin("alice").await;
    let bystander = given.begin("bob").await;

    let ended = given.end_all("alice", Some(&kept)).await.unwrap();

    let longest = two.absolute_expires_at;
    assert_eq!(ended, revocation_of_all(&two, Some(&kept), longest));
    assert_eq!(given.load(&kept).await, kept);
    let refreshed = given.store.advance(advance_of(&kept)).await.unwrap();
    let kept = refreshed.unwrap();
    assert!(given.load(&one).await.ended.is_some());
    assert!(given.load(&two).await.ended.is_some());
    assert_eq!(given.load(&bystander).await, bystander);
    assert_eq!(given.sessions("alice").await, std::slice::from_ref(&kept));

    // More sessions begin, so the session that continues is one of many.
    let three = given.begin("alice").await;
    assert_eq!(given.sessions("alice").await, [three.clone(), kept.clone()]);
    let ended = given.end_all("alice", Some(&three)).await.unwrap();
    assert_eq!(ended, revocation_of_all(&three, Some(&three), longest));
    assert_eq!(
        given.log().await.0,
        [ended],
        "it says what the first one said"
    );

    // The end brings no ended session back, and a foreign session spares none.
    for named in [&kept, &bystander] {
        let four = given.begin("alice").await;
        let ended = given.end_all("alice", Some(named)).await.unwrap();
        assert_eq!(ended, revocation_of_all(&four, None, longest));
        assert_eq!(given.sessions("alice").await, []);
        assert!(given.load(&kept).await.ended.is_some());
    }
    assert_eq!(given.load(&bystander).await, bystander);
}

/// A user of another issuer is another user, even under the same name.
pub async fn the_same_subject_of_another_issuer_is_not_concerned<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let own = given.begin("alice").await;
    let bank = Issuer::new("https://bank.example").unwrap();
    let theirs = AccountId::of(&bank, &subject("alice"));
    let mut new = new_session("alice");
    new.id = session_id(theirs);
    new.issuer = bank;
    let foreign = given.store.begin(new).await.unwrap().session;
    assert_eq!(foreign.account(), theirs);

    given.end_all("alice", None).await.unwrap();

    assert!(given.load(&own).await.ended.is_some());
    assert_eq!(given.load(&foreign).await, foreign);
    let listed = given.store.sessions(theirs, None, 10).await.unwrap();
    assert_eq!(listed, [foreign]);
}

/// The end of all sessions is ordered among concurrent logins. Each session that began before it is
/// over, and each later one continues.
pub async fn logins_come_before_or_after_the_end_of_all<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for _ in 0..4 {
        let ended = Arc::new(AtomicBool::new(false));
        let logins = (0..16).map(|_| {
            let (store, ended) = (Arc::clone(&given.store), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut begun = Vec::new();
                while begun.len() < 4 {
                    let late = ended.load(Ordering::SeqCst);
                    let session = store.begin(new_session("alice")).await.unwrap().session;
                    begun.push((session, late));
                }
                begun
            })
        });
        let logins = Vec::from_iter(logins);
        tokio::task::yield_now().await;
        let mut up_to = None;
        if let Some(revocation) = given.end_all("alice", None).await {
            let RevocationTarget::Sessions(_, cutoff) = revocation.target else {
                panic!("{revocation:?} is not of all sessions")
            };
            up_to = Some(cutoff.up_to);
        }
        ended.store(true, Ordering::SeqCst);
        for login in logins {
            for (session, late) in login.await.unwrap() {
                let over = given.load(&session).await.ended.is_some();
                assert_eq!(over, up_to.is_some_and(|up_to| session.number <= up_to));
                assert!(!(late && over), "it began after the end had returned");
            }
        }
        given.end_all("alice", None).await;
        assert_eq!(given.sessions("alice").await, []);
    }
}

/// There is nothing to end, so the store logs nothing.
pub async fn the_end_of_an_unknown_session_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let id = session_id(account("alice"));
    for target in [
        EndSessions::Session(id),
        EndSessions::SessionOf(id, account("alice")),
        EndSessions::AllOf(account("alice")),
        EndSessions::AllOfBut(account("alice"), id),
    ] {
        let ended = given.store.end(target, EndReason::Logout).await.unwrap();
        assert_eq!(ended, None);
    }
    assert_eq!(given.log().await.0, []);
}

/// An end wins against concurrent refreshes. The store refuses refreshes that begin after the end
/// has returned. The revocation covers those that were acknowledged before.
pub async fn no_advance_succeeds_after_an_end_returned<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for _ in 0..4 {
        let session = given.begin("alice").await;
        let ended = Arc::new(AtomicBool::new(false));
        let refreshing = (0..64).map(|_| {
            let (store, clock) = (Arc::clone(&given.store), given.clock.clone());
            let (ended, mut session) = (Arc::clone(&ended), session.clone());
            tokio::spawn(async move {
                let mut acknowledged = session.access_until;
                let mut refused_after = 0;
                while refused_after < 2 {
                    clock.advance(std::time::Duration::from_millis(1));
                    let late = ended.load(Ordering::SeqCst);
                    match store.advance(advance_of(&session)).await.unwrap() {
                        Some(advanced) => {
                            assert!(!late, "advanced after its end had returned");
                            acknowledged = advanced.access_until;
                            session = advanced;
                        }
                        None => session = store.load(session.id).await.unwrap().0.unwrap(),
                    }
                    refused_after += usize::from(late);
                }
                acknowledged
            })
        });
        let refreshing = Vec::from_iter(refreshing);
        // Lets some refreshes happen first, however slow the store is.
        while given.load(&session).await.generation.get() < 3 {
            tokio::task::yield_now().await;
        }
        let revocation = given.end(&session).await.unwrap();
        ended.store(true, Ordering::SeqCst);

        let at_the_end = given.load(&session).await;
        for task in refreshing {
            let acknowledged = task.await.unwrap();
            assert!(acknowledged <= revocation.until);
        }
        assert!(at_the_end.ended.is_some());
        assert_eq!(given.load(&session).await, at_the_end);
        assert_eq!(revocation.until, at_the_end.access_until);
    }
}
