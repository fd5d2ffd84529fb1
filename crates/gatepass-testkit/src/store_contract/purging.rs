//! Removing what nothing needs any more.

use gatepass::{
    Clock,
    store::{Revocation, SessionStore, TokenStatus},
};

use super::given::{ACCESS_TTL, DAY, Given, IDLE_TTL, MILLISECOND, advance_of, targets, token_id};
use crate::clock::ManualClock;

/// The store keeps an unused session exactly until none of its tokens can be good on any clock.
pub async fn a_session_is_purged_once_nothing_needs_it<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    assert_eq!(
        session.purge_at(),
        given.clock.now() + IDLE_TTL + Revocation::RETENTION_MARGIN
    );
    let kept = IDLE_TTL + Revocation::RETENTION_MARGIN;
    given.clock.advance(kept.checked_sub(MILLISECOND).unwrap());
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.load(&session).await, session);
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 1);
    assert_eq!(given.find(session.id).await, None);
    assert_eq!(given.purge().await, 0);
}

/// The purge never removes a session in use.
pub async fn an_advance_postpones_the_purge<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    for _ in 0..4 {
        given.advance_to(session.idle_expires_at);
        given.clock.step_wall_back(MILLISECOND);
        let advanced = given.store.advance(advance_of(&session)).await;
        session = advanced.unwrap().unwrap();
        assert_eq!(given.purge().await, 0);
    }
    given.advance_to(session.purge_at());
    assert_eq!(given.purge().await, 1);
}

/// The purge finds idle sessions even behind many sessions that were refreshed after they came due.
/// Each step reports that there is more until it has found all of them.
pub async fn sessions_in_use_do_not_hold_up_the_purge_of_others<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut used = Vec::new();
    let mut idle = Vec::new();
    for number in 0..60 {
        let session = given.begin("alice").await;
        if number % 12 == 11 {
            idle.push(session);
        } else {
            used.push(session);
        }
    }
    given.clock.advance(IDLE_TTL / 2);
    for session in &mut used {
        let advanced = given.store.advance(advance_of(session)).await;
        *session = advanced.unwrap().unwrap();
    }
    given.advance_to(idle[0].purge_at());
    let mut removed = 0;
    for step in 0.. {
        let purged = given.store.purge(given.clock.now(), 2).await.unwrap();
        assert!(purged.removed <= 2, "{purged:?}");
        removed += purged.removed;
        if !purged.more {
            break;
        }
        assert!(step < 60, "each step makes progress");
    }
    assert_eq!(removed, idle.len());
    for session in used {
        assert_eq!(given.find(session.id).await, Some(session));
    }
    for session in idle {
        assert_eq!(given.find(session.id).await, None);
    }
}

/// An ended session and its log entry stay for exactly the retention: as long as one of its tokens
/// could be good on a clock with the tolerated error.
pub async fn an_ended_session_and_its_entry_are_kept_for_the_retention<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (session, revocation) = given.ended("alice").await;
    let kept = ACCESS_TTL + Revocation::RETENTION_MARGIN;
    given.clock.advance(kept.checked_sub(MILLISECOND).unwrap());
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.log().await.0, [revocation]);
    let status = given.status(session.id, token_id()).await;
    assert_eq!(status, TokenStatus::Revoked);
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 2);
    assert_eq!(given.log().await.0, []);
    let status = given.status(session.id, token_id()).await;
    assert_eq!(status, TokenStatus::Unknown);
}

/// The entry of one token stays for exactly the retention. Its status goes with it.
pub async fn a_revoked_token_is_kept_for_the_retention<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let (token, revocation) = given.revoke_one(&session).await;
    let kept = ACCESS_TTL + Revocation::RETENTION_MARGIN;
    given.clock.advance(kept.checked_sub(MILLISECOND).unwrap());
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.log().await.0, [revocation.unwrap()]);
    let status = given.status(session.id, token.token).await;
    assert_eq!(status, TokenStatus::Revoked);
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 1);
    assert_eq!(given.log().await.0, []);
    let status = given.status(session.id, token.token).await;
    assert_eq!(status, TokenStatus::Live);
    // The store can revoke a token again after it has forgotten its entry.
    let mut again = token;
    again.until = given.clock.now() + ACCESS_TTL;
    let revocation = given.store.revoke_token(again).await.unwrap();
    assert_eq!(given.log().await.0, [revocation.unwrap()]);
}

/// The purge removes sessions that ended together as soon as none of their tokens can be valid.
/// Their common entry goes with the last of them.
pub async fn sessions_that_ended_together_are_purged_once_their_tokens_are_dead<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for _ in 0..250 {
        given.begin("alice").await;
    }
    given.clock.advance(ACCESS_TTL / 2);
    let spared = given.begin("alice").await;
    let last = given.begin("alice").await;
    let ended = given.end_all("alice", Some(&spared)).await.unwrap();
    let (first, second) = (
        ACCESS_TTL / 2 + Revocation::RETENTION_MARGIN,
        ACCESS_TTL / 2,
    );
    given.clock.advance(first.checked_sub(MILLISECOND).unwrap());
    assert_eq!(purge_in_steps(&given).await, 0);
    given.clock.advance(MILLISECOND);
    assert_eq!(purge_in_steps(&given).await, 250);
    assert_eq!(given.log().await.0, [ended]);
    given
        .clock
        .advance(second.checked_sub(MILLISECOND).unwrap());
    assert_eq!(purge_in_steps(&given).await, 0);
    given.clock.advance(MILLISECOND);
    assert_eq!(
        purge_in_steps(&given).await,
        2,
        "the last of them, and their entry"
    );
    assert_eq!(given.log().await.0, []);
    assert_eq!(given.find(last.id).await, None);
    assert_eq!(given.load(&spared).await, spared);
    assert!(given.begin("alice").await.number > last.number);
}

async fn purge_in_steps<S: SessionStore>(given: &Given<S>) -> usize {
    let mut removed = 0;
    for _ in 0..40 {
        let purged = given.store.purge(given.clock.now(), 10).await.unwrap();
        assert!(purged.removed <= 10);
        removed += purged.removed;
    }
    removed
}

/// Long-unused sessions can also end together. They can go at once, but a connection may still
/// follow one of them, so its node must find the entry.
pub async fn the_entry_of_a_logout_everywhere_is_kept_for_ten_minutes<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.advance_to(session.access_until + Revocation::RETENTION_MARGIN);
    let first = given.end_all("alice", None).await.unwrap();
    assert_eq!(purge_in_steps(&given).await, 1, "the session");
    assert_eq!(given.log().await.0, [first]);
    let half = Revocation::RETENTION_MARGIN / 2;
    given.clock.advance(half);
    let later = given.begin("alice").await;
    assert_eq!(purge_in_steps(&given).await, 0);
    let second = given.end_all("alice", None).await.unwrap();
    given.clock.advance(half);
    assert_eq!(purge_in_steps(&given).await, 0);
    assert_eq!(given.log().await.0, [second]);

    given.advance_to(later.access_until + Revocation::RETENTION_MARGIN);
    assert_eq!(purge_in_steps(&given).await, 2, "the session and the entry");
    assert_eq!(given.log().await.0, []);

    // The purge drops the entry in time even if no session is left.
    let last = given.begin("alice").await;
    given.advance_to(last.access_until + Revocation::RETENTION_MARGIN);
    given.end_all("alice", None).await.unwrap();
    given.clock.advance(
        Revocation::RETENTION_MARGIN
            .checked_sub(MILLISECOND)
            .unwrap(),
    );
    assert_eq!(purge_in_steps(&given).await, 1, "the session");
    given.clock.advance(MILLISECOND);
    assert_eq!(purge_in_steps(&given).await, 1, "the entry");
    assert_eq!(given.log().await.0, []);
}

/// All sessions of a logout everywhere can go at once, however many, although the entry stays.
pub async fn many_sessions_that_ended_together_go_before_their_entry<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    const SESSIONS: usize = 250;
    let given = Given::fresh(fresh).await;
    for _ in 0..SESSIONS {
        given.begin("alice").await;
    }
    given
        .clock
        .advance(ACCESS_TTL + Revocation::RETENTION_MARGIN);
    let ended = given.end_all("alice", None).await.unwrap();
    let mut removed = 0;
    for step in 0.. {
        let purged = given.store.purge(given.clock.now(), 100).await.unwrap();
        removed += purged.removed;
        if !purged.more {
            break;
        }
        assert!(step < SESSIONS, "each step makes progress");
    }
    assert_eq!(removed, SESSIONS);
    assert_eq!(given.log().await.0, [ended]);
}

/// The store forgets a user who doesn't come back, once no replica can hold anything about the
/// account.
pub async fn an_account_is_forgotten_with_the_last_of_its_sessions<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.end_all("alice", None).await.unwrap();
    given.advance_to(session.absolute_expires_at + Revocation::RETENTION_MARGIN);
    given.clock.step_wall_back(MILLISECOND);
    assert_eq!(given.purge().await, 2, "the session, and its entry");
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 1, "the account");
    assert_eq!(given.purge().await, 0);
    let later = given.begin("alice").await;
    assert!(later.number > session.number);
    assert_eq!(given.load(&later).await, later);
}

/// A purge removes at most the requested number, so it can run in small steps.
pub async fn a_purge_stops_at_its_limit<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    for _ in 0..10 {
        given.ended("alice").await;
    }
    given.clock.advance(DAY);
    let live = given.begin("alice").await;
    let now = given.clock.now();
    for expected in [0, 7, 7, 6, 0] {
        let limit = if expected == 0 { 0 } else { 7 };
        let purged = given.store.purge(now, limit).await.unwrap();
        assert_eq!(purged.removed, expected);
        assert_eq!(purged.more, expected == limit);
    }
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.load(&live).await, live);
}

/// A process whose clock is behind the store's keeps what its own time still needs.
pub async fn a_purge_goes_no_further_than_its_horizon<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let horizon = given.clock.now();
    given.ended("alice").await;
    given.begin("alice").await;
    given.clock.advance(DAY * 365);
    let purged = given.store.purge(horizon, usize::MAX).await.unwrap();
    assert_eq!(purged.removed, 0);
    assert_eq!(
        given.purge().await,
        4,
        "two sessions, an entry, and the account"
    );
}

/// A process whose clock is ahead of the store's doesn't make the store forget early.
pub async fn a_purge_goes_no_further_than_the_time_of_the_store<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    given.ended("alice").await;
    given.begin("alice").await;
    let horizon = given.clock.now() + DAY * 365;
    let purged = given.store.purge(horizon, usize::MAX).await.unwrap();
    assert_eq!(purged.removed, 0);
}

/// After the purge of everything that it has seen, a cursor still gets the next entry.
pub async fn a_cursor_survives_a_purge<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    for _ in 0..3 {
        given.ended("alice").await;
    }
    let (_, cursor) = given.log().await;
    given.clock.advance(DAY);
    assert_eq!(given.purge().await, 6);
    let (entries, idle) = given.log_after(Some(cursor.clone())).await;
    assert_eq!(entries, []);
    let (_, next) = given.ended("alice").await;
    for cursor in [cursor, idle] {
        let (entries, _) = given.log_after(Some(cursor)).await;
        assert_eq!(targets(&entries), [next.target]);
    }
}

/// After a purge, the store tells how far it went, so a process can notice at its start that its
/// clock is wrong.
pub async fn a_purge_is_remembered<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    assert_eq!(given.store.purged_until().await.unwrap(), None);
    let start = given.clock.now();
    given.clock.advance(DAY);
    given.store.purge(start, 1).await.unwrap();
    assert_eq!(given.store.purged_until().await.unwrap(), Some(start));
    given.purge().await;
    assert_eq!(given.store.purged_until().await.unwrap(), Some(start + DAY));
}
