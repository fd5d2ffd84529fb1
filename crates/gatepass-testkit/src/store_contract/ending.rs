//! Ending sessions.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gatepass::{
    Clock, EndReason, EndTarget, Ended, Revocation, Revoked, Session, SessionStore, Status,
};

use super::given::{
    Given, MINUTE, advance_of, recovery_of, session_id, sorted, subject, targets, token_id,
};
use crate::ManualClock;

/// Once an end has returned, the session is ended, its entry is in the log, and its status is
/// revoked.
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
        target: Revoked::Session(session.id),
        until: session.access_until,
    };
    assert_eq!(ended, [revocation]);
    assert_eq!(given.log().await.0, [revocation]);
    let expected = Session {
        ended: Some(Ended {
            at: given.clock.now(),
            reason: EndReason::Logout,
        }),
        ..session.clone()
    };
    assert_eq!(given.load(&session).await, expected);
    let status = given.store.status(session.id, token_id()).await.unwrap();
    assert_eq!(status, Status::Revoked);
}

/// Why a session was ended comes back from the store.
pub async fn every_reason_is_kept<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    for reason in [
        EndReason::Logout,
        EndReason::LogoutAll,
        EndReason::EndedByUser,
        EndReason::EndedByApplication,
        EndReason::Reuse,
        EndReason::UserGone,
        EndReason::TooManySessions,
        EndReason::TooManyRevocations,
    ] {
        let session = given.begin("alice").await;
        let target = EndTarget::Session(session.id);
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
        EndTarget::Session(ended.id),
        EndTarget::SessionOf(ended.id, subject("alice")),
        EndTarget::AllOf(subject("alice")),
        EndTarget::AllOfBut(subject("alice"), session_id(&subject("alice"))),
    ] {
        let again = given.store.end(target, EndReason::Reuse).await.unwrap();
        assert_eq!(again, []);
    }
    assert_eq!(given.load(&ended).await, ended);
    assert_eq!(given.log().await.0, [revocation]);
}

/// However many end a session at once, one of them reports it and the log has one entry.
pub async fn of_many_ends_of_one_session_one_reports_it<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let attempts = (0..32).map(|number| {
        let store = Arc::clone(&given.store);
        let target = match number % 2 {
            0 => EndTarget::Session(session.id),
            _ => EndTarget::AllOf(subject("alice")),
        };
        tokio::spawn(async move { store.end(target, EndReason::Logout).await })
    });
    let mut reported = Vec::new();
    for attempt in Vec::from_iter(attempts) {
        reported.extend(attempt.await.unwrap().unwrap());
    }
    assert_eq!(targets(&reported), [Revoked::Session(session.id)]);
    assert_eq!(given.log().await.0, reported);
}

/// An ended session stays ended, and as it was.
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

/// Who names a session that is not theirs ends nothing.
pub async fn a_session_of_another_subject_is_not_ended<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let foreign = EndTarget::SessionOf(session.id, subject("bob"));
    let ended = given.store.end(foreign, EndReason::EndedByUser).await;
    assert_eq!(ended.unwrap(), []);
    assert_eq!(given.load(&session).await, session);
    assert_eq!(given.log().await.0, []);

    let own = EndTarget::SessionOf(session.id, subject("alice"));
    let ended = given.store.end(own, EndReason::EndedByUser).await.unwrap();
    assert_eq!(targets(&ended), [Revoked::Session(session.id)]);
    assert!(given.load(&session).await.ended.is_some());
}

/// All sessions of a subject end and are logged, whatever their age; others do not notice.
pub async fn all_sessions_of_a_subject_end_together<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (_, earlier) = given.ended("alice").await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(given.begin("alice").await);
        given.clock.advance(MINUTE);
    }
    let bystander = given.begin("bob").await;

    let target = EndTarget::AllOf(subject("alice"));
    let ended = given.store.end(target, EndReason::LogoutAll).await.unwrap();

    let revocation = |session: &Session| Revocation {
        target: Revoked::Session(session.id),
        until: session.access_until,
    };
    let expected = Vec::from_iter(expected.iter().map(revocation));
    assert_eq!(sorted(ended), sorted(expected.clone()));
    let logged = given.log().await.0;
    assert_eq!(sorted(logged), sorted([expected, vec![earlier]].concat()));
    assert_eq!(given.store.sessions(&subject("alice")).await.unwrap(), []);
    assert_eq!(given.load(&bystander).await, bystander);
}

/// All other sessions of a subject end, and the one that is named goes on.
pub async fn all_sessions_of_a_subject_but_one_end_together<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let one = given.begin("alice").await;
    let kept = given.begin("alice").await;
    let two = given.begin("alice").await;
    let bystander = given.begin("bob").await;

    let target = EndTarget::AllOfBut(subject("alice"), kept.id);
    let ended = given.store.end(target, EndReason::LogoutAll).await.unwrap();

    let ended = targets(&sorted(ended));
    let mut expected = [one.id, two.id];
    expected.sort();
    assert_eq!(ended, expected.map(Revoked::Session));
    assert_eq!(given.load(&kept).await, kept);
    assert_eq!(given.load(&bystander).await, bystander);

    // A foreign session that is named as the one to keep keeps nothing.
    let target = EndTarget::AllOfBut(subject("alice"), bystander.id);
    let ended = given.store.end(target, EndReason::LogoutAll).await.unwrap();
    assert_eq!(targets(&ended), [Revoked::Session(kept.id)]);
    assert_eq!(given.load(&bystander).await, bystander);
}

/// There is nothing to end, and nothing is logged.
pub async fn the_end_of_an_unknown_session_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let id = session_id(&subject("alice"));
    for target in [
        EndTarget::Session(id),
        EndTarget::SessionOf(id, subject("alice")),
        EndTarget::AllOf(subject("alice")),
    ] {
        let ended = given.store.end(target, EndReason::Logout).await.unwrap();
        assert_eq!(ended, []);
    }
    assert_eq!(given.log().await.0, []);
}

/// Among refreshes under way, an end wins: what begins after it has returned is refused, and what
/// was acknowledged before it is covered by its revocation.
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
        let revocations = given.end(&session).await;
        ended.store(true, Ordering::SeqCst);

        let at_the_end = given.load(&session).await;
        for task in refreshing {
            let acknowledged = task.await.unwrap();
            assert!(acknowledged <= revocations[0].until);
        }
        assert!(at_the_end.ended.is_some());
        assert_eq!(given.load(&session).await, at_the_end);
        assert_eq!(revocations[0].until, at_the_end.access_until);
    }
}
