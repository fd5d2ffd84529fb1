//! Continuing a session by more than its refresh token.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gatepass::{
    Clock, Session,
    store::{Advance, AdvanceCause, Rotation, SessionStore},
};

use super::given::{
    ABSOLUTE_TTL, ACCESS_TTL, DAY, Given, HOUR, IDLE_TTL, MILLISECOND, MINUTE, account, advance_of,
    client, new_session, renewal_of, session_id,
};
use crate::clock::ManualClock;

fn caused_by(cause: AdvanceCause, session: &Session) -> Advance {
    let mut advance = advance_of(session);
    advance.cause = cause;
    advance
}

/// An access token resumes a session that has only idled too long, as a refresh would. Without one,
/// the session stays expired.
pub async fn a_session_that_idled_too_long_is_resumed<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.clock.advance(IDLE_TTL + HOUR);
    let refused = given.store.advance(advance_of(&session)).await.unwrap();
    assert_eq!(refused, None);

    let now = given.clock.now();
    let resume = caused_by(AdvanceCause::Resume, &session);
    let resumed = given.store.advance(resume).await.unwrap().unwrap();
    let expected = Session {
        generation: session.generation.next(),
        rotated: Some(Rotation {
            from: session.generation,
            at: now,
        }),
        last_seen_at: now,
        idle_expires_at: now + IDLE_TTL,
        access_until: now + ACCESS_TTL,
        ..session
    };
    assert_eq!(resumed, expected);
    assert_eq!(given.load(&resumed).await, expected);
}

/// The store dates a new proof of the user's identity to now, for every later token of the session.
pub async fn a_new_authentication_is_remembered<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    for idled in [HOUR, IDLE_TTL + HOUR] {
        let before = given.load(&session).await;
        given.clock.advance(idled);
        let now = given.clock.now();
        let cause = AdvanceCause::Reauthenticate;
        let advanced = given.store.advance(caused_by(cause, &before)).await;
        let advanced = advanced.unwrap().unwrap();
        assert_eq!(advanced.authenticated_at, now);
        assert_eq!(advanced.generation, before.generation.next());
        assert_eq!(given.load(&session).await, advanced);

        given.clock.advance(MINUTE);
        let refreshed = given.store.advance(advance_of(&advanced)).await;
        assert_eq!(refreshed.unwrap().unwrap().authenticated_at, now);
        assert_eq!(given.load(&session).await.authenticated_at, now);
    }
}

/// Neither a resume nor an authentication brings back a session that is over.
pub async fn nothing_goes_on_with_a_session_that_is_over<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (ended, _) = given.ended("alice").await;
    let old = given.begin("alice").await;
    let foreign = given.begin("bob").await;
    let refuse = async |session: &Session, why: &str| {
        let before = given.find(session.id).await;
        for cause in [AdvanceCause::Resume, AdvanceCause::Reauthenticate] {
            let advanced = given.store.advance(caused_by(cause, session)).await;
            assert_eq!(advanced.unwrap(), None, "{cause:?}: {why}");
        }
        let renewed = given.store.renew(renewal_of(session)).await.unwrap();
        assert_eq!(renewed, None, "a renewal: {why}");
        assert_eq!(given.find(session.id).await, before, "{why}");
    };
    refuse(&ended, "it has ended").await;
    let mut never = foreign.clone();
    never.id = session_id(account("bob"));
    refuse(&never, "it was never begun").await;
    let mut others = foreign;
    others.client = client("another");
    refuse(&others, "it is another client's").await;
    given.clock.advance(ABSOLUTE_TTL);
    refuse(&old, "it is past its absolute end").await;
}

/// A renewal extends the lifetime of access tokens and changes nothing else: it is no refresh.
pub async fn a_renewal_changes_access_and_nothing_else<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    for passed in [MINUTE, IDLE_TTL] {
        given.clock.advance(passed);
        let renewed = given.store.renew(renewal_of(&session)).await;
        let expected = Session {
            access_until: given.clock.now() + ACCESS_TTL,
            ..session.clone()
        };
        assert_eq!(renewed.unwrap().as_ref(), Some(&expected));
        assert_eq!(given.load(&session).await, expected);
    }
    // It ends no later than the session does, and never shortens the lifetime.
    given
        .clock
        .advance(ABSOLUTE_TTL - IDLE_TTL - MINUTE - MILLISECOND);
    let renewed = given.store.renew(renewal_of(&session)).await;
    assert_eq!(
        renewed.unwrap().unwrap().access_until,
        session.absolute_expires_at
    );
    given.clock.step_wall_back(DAY);
    let renewed = given.store.renew(renewal_of(&session)).await;
    assert_eq!(
        renewed.unwrap().unwrap().access_until,
        session.absolute_expires_at
    );
}

/// The store keeps a session for as long as its renewed access token could be good, even if the
/// session idles.
pub async fn a_renewal_postpones_the_purge<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.clock.advance(IDLE_TTL);
    let renewed = given.store.renew(renewal_of(&session)).await;
    let renewed = renewed.unwrap().unwrap();
    given.advance_to(session.purge_at());
    assert_eq!(given.purge().await, 0);
    given.advance_to(renewed.purge_at());
    assert_eq!(given.purge().await, 1);
}

/// The revocation of a session covers every acknowledged renewal, even one that raced with the end.
pub async fn no_renewal_succeeds_after_an_end_returned<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for _ in 0..4 {
        let session = given
            .store
            .begin(new_session("alice"))
            .await
            .unwrap()
            .session;
        let ended = Arc::new(AtomicBool::new(false));
        let renewed = Arc::new(AtomicBool::new(false));
        let renewing = (0..64).map(|_| {
            let (store, clock) = (Arc::clone(&given.store), given.clock.clone());
            let (ended, renewed) = (Arc::clone(&ended), Arc::clone(&renewed));
            let session = session.clone();
            tokio::spawn(async move {
                let mut acknowledged = session.access_until;
                loop {
                    clock.advance(MILLISECOND);
                    let late = ended.load(Ordering::SeqCst);
                    let answer = store.renew(renewal_of(&session)).await.unwrap();
                    if let Some(session) = answer {
                        assert!(!late, "renewed after its end had returned");
                        acknowledged = session.access_until;
                        renewed.store(true, Ordering::SeqCst);
                    } else if late {
                        return acknowledged;
                    }
                }
            })
        });
        let renewing = Vec::from_iter(renewing);
        while !renewed.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let revocation = given.end(&session).await.unwrap();
        ended.store(true, Ordering::SeqCst);
        for task in renewing {
            let acknowledged = task.await.unwrap();
            assert!(acknowledged <= revocation.until);
        }
        assert_eq!(given.load(&session).await.access_until, revocation.until);
    }
}
