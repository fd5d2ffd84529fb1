//! The revocation log, and the status of a token.

use std::{collections::HashSet, sync::Arc, time::Duration};

use gatepass::{
    Clock, Session,
    store::{
        Cursor, EndReason, EndSessions, PullResult, Revocation, RevocationTarget, RevokeToken,
        SessionNumber, SessionStore, TokenStatus,
    },
};
use tokio::task::JoinSet;

use super::given::{
    Given, MINUTE, account, new_session, pull_all, session_id, sorted, targets, token_id,
};
use crate::clock::ManualClock;

/// The log has one entry of a revoked token. Its session and other tokens stay valid.
pub async fn a_revoked_token_is_logged_once<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let (token, revocation) = given.revoke_one(&session).await;
    let expected = Revocation {
        target: RevocationTarget::Token(token.token),
        until: token.until,
    };
    assert_eq!(revocation, Some(expected));
    let again = given.store.revoke_token(token).await.unwrap();
    assert_eq!(again, None);
    assert_eq!(given.log().await.0, [expected]);
    assert_eq!(given.load(&session).await, session);
}

/// The end of a session covers its tokens, so a token needs no entry.
pub async fn a_token_of_an_ended_session_is_not_logged<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (session, ended) = given.ended("alice").await;
    let (_, revocation) = given.revoke_one(&session).await;
    assert_eq!(revocation, None);
    assert_eq!(given.log().await.0, [ended]);
}

/// A session may have a limited number of revoked tokens. The next one ends the session instead.
pub async fn one_token_too_many_ends_the_session<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let other = given.begin("alice").await;
    let mut expected = Vec::new();
    for _ in 0..RevokeToken::MAX_PER_SESSION {
        let (_, revocation) = given.revoke_one(&session).await;
        expected.push(revocation.unwrap());
    }
    assert_eq!(given.load(&session).await, session);
    // A second revocation of the same token doesn't count.
    let RevocationTarget::Token(first) = expected[0].target else {
        panic!("a token was revoked")
    };
    let again = RevokeToken::new(first, &session);
    assert_eq!(given.store.revoke_token(again).await.unwrap(), None);
    assert_eq!(given.load(&session).await, session);

    let (token, revocation) = given.revoke_one(&session).await;
    let ended = Revocation {
        target: RevocationTarget::Session(session.id),
        until: session.access_until,
    };
    assert_eq!(revocation, Some(ended));
    expected.push(ended);
    assert_eq!(sorted(given.log().await.0), sorted(expected));
    let status = given.status(session.id, token.token).await;
    assert_eq!(status, TokenStatus::Revoked);
    let reason = given.load(&session).await.ended.unwrap().reason;
    assert_eq!(reason, EndReason::TooManyRevocations);
    assert_eq!(given.load(&other).await, other);
}

/// All sessions of an account share a limit of revoked tokens. The next one ends its session
/// instead. Tokens of other accounts don't count.
pub async fn one_token_too_many_of_an_account_ends_a_session<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let bystander = given.begin("bob").await;
    for _ in 0..RevokeToken::MAX_PER_SESSION {
        given.revoke_one(&bystander).await.1.unwrap();
    }
    for number in 0..RevokeToken::MAX_PER_ACCOUNT {
        let session = match number % RevokeToken::MAX_PER_SESSION {
            0 => given.begin("alice").await,
            _ => given.sessions("alice").await.remove(0),
        };
        let (token, revocation) = given.revoke_one(&session).await;
        assert_eq!(
            revocation.unwrap().target,
            RevocationTarget::Token(token.token)
        );
    }
    let session = given.begin("alice").await;
    let (_, revocation) = given.revoke_one(&session).await;
    assert_eq!(
        revocation.unwrap().target,
        RevocationTarget::Session(session.id)
    );
    let reason = given.load(&session).await.ended.unwrap().reason;
    assert_eq!(reason, EndReason::TooManyRevocations);
}

/// A store that has lost a session, for example one restored from a backup, can't end it. It
/// revokes the token even beyond the limits.
pub async fn a_token_of_an_unknown_session_is_revoked_beyond_the_limits<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let now = given.clock.now();
    let lost = Session::begin(new_session("alice"), SessionNumber::new(1), now);
    for _ in 0..=RevokeToken::MAX_PER_SESSION {
        let token = RevokeToken::new(token_id(), &lost);
        let revocation = given.store.revoke_token(token).await.unwrap().unwrap();
        assert_eq!(revocation.target, RevocationTarget::Token(token.token));
        assert!(given.log().await.0.contains(&revocation));
    }
}

/// Entries past their retention don't count, whether or not the purge has run.
pub async fn forgotten_tokens_do_not_count_against_the_session<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    for _ in 0..RevokeToken::MAX_PER_SESSION {
        given.revoke_one(&session).await;
    }
    given.advance_to(session.access_until + Revocation::RETENTION_MARGIN);
    let mut token = RevokeToken::new(token_id(), &session);
    token.until = session.access_until + MINUTE;
    let revocation = given.store.revoke_token(token).await.unwrap();
    assert_eq!(
        revocation.unwrap().target,
        RevocationTarget::Token(token.token)
    );
    assert_eq!(given.load(&session).await, session);
}

/// The status of a token is live, revoked (with its session or alone), or unknown without a
/// session.
pub async fn a_status_is_live_revoked_or_unknown<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let live = given.begin("alice").await;
    let (ended, _) = given.ended("alice").await;
    let (revoked, _) = given.revoke_one(&live).await;
    let unknown = session_id(account("alice"));
    for (session, token, expected) in [
        (live.id, token_id(), TokenStatus::Live),
        (live.id, revoked.token, TokenStatus::Revoked),
        (ended.id, token_id(), TokenStatus::Revoked),
        (unknown, token_id(), TokenStatus::Unknown),
    ] {
        let status = given.status(session, token).await;
        assert_eq!(status, expected);
    }
}

/// A new replica gets every entry.
pub async fn a_pull_without_a_cursor_brings_everything<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    assert_eq!(given.log().await.0, []);
    let session = given.begin("alice").await;
    let (_, token) = given.revoke_one(&session).await;
    let (_, one) = given.ended("alice").await;
    let (_, two) = given.ended("bob").await;
    let expected = sorted(vec![token.unwrap(), one, two]);
    assert_eq!(sorted(given.log().await.0), expected);
    assert_eq!(sorted(given.log().await.0), expected);
}

/// A replica that pulls from its cursor gets each later entry, even after pulls that brought
/// nothing.
pub async fn a_pull_brings_what_its_cursor_has_not_seen<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (_, start) = given.log().await;
    let (_, start) = given.log_after(Some(start)).await;
    let (_, one) = given.ended("alice").await;
    let (entries, after_one) = given.log_after(Some(start.clone())).await;
    assert_eq!(entries, [one]);

    let (_, idle) = given.log_after(Some(after_one.clone())).await;
    let (_, two) = given.ended("alice").await;
    let (_, three) = given.ended("alice").await;
    for cursor in [after_one, idle] {
        let (entries, _) = given.log_after(Some(cursor)).await;
        // A reader may see an entry twice, but must not miss one.
        let seen = targets(&entries);
        assert!(seen.contains(&two.target) && seen.contains(&three.target));
    }
    // You can use a cursor again.
    let (entries, _) = given.log_after(Some(start)).await;
    assert_eq!(sorted(entries), sorted(vec![one, two, three]));
}

/// The parts of a long log add up to the whole.
pub async fn a_long_log_is_pulled_in_parts<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    const WRITERS: usize = 50;
    const EACH: usize = 120;
    let given = Given::fresh(fresh).await;
    let (_, start) = given.log().await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = Arc::clone(&given.store);
        writers.spawn(async move {
            // Logins of one user wait for each other, which is not the subject of this test.
            let user = format!("user {number}");
            let mut ended = Vec::new();
            for _ in 0..EACH {
                let session = store.begin(new_session(&user)).await.unwrap().session;
                let target = EndSessions::Session(session.id);
                ended.extend(store.end(target, EndReason::Logout).await.unwrap());
            }
            ended
        });
    }
    let ended = writers.join_all().await.concat();
    assert_eq!(ended.len(), WRITERS * EACH);

    let expected = sorted(ended);
    let (entries, next) = given.log().await;
    assert!(sorted(entries) == expected, "without a cursor");
    let (entries, _) = given.log_after(Some(start)).await;
    assert!(sorted(entries) == expected, "from the start");
    let (_, one) = given.ended("bob").await;
    let (entries, _) = given.log_after(Some(next)).await;
    assert!(targets(&entries).contains(&one.target));
}

/// A follower of the log sees every entry although many calls write to it. The first pull after the
/// commit brings it at the latest.
pub async fn nothing_is_missed_among_concurrent_writers<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let store = Arc::clone(&given.store);
        writers.spawn(async move {
            let mut ended = Vec::new();
            for _ in 0..25 {
                let new = new_session(&format!("user {number}"));
                let session = store.begin(new).await.unwrap().session;
                let target = EndSessions::Session(session.id);
                ended.extend(store.end(target, EndReason::Logout).await.unwrap());
            }
            ended
        });
    }
    let mut seen = HashSet::new();
    let mut cursor = None;
    let mut acknowledged = Vec::new();
    loop {
        while let Some(ended) = writers.try_join_next() {
            acknowledged.extend(ended.unwrap());
        }
        let finished = writers.is_empty();
        let (entries, next) = pull_all(&*given.store, cursor.as_ref()).await;
        seen.extend(entries);
        cursor = Some(next);
        let missed = acknowledged.iter().filter(|entry| !seen.contains(*entry));
        assert_eq!(missed.count(), 0);
        if finished {
            break;
        }
    }
    assert_eq!(acknowledged.len(), 16 * 25);
}

/// The store answers a cursor of another log with a reset, and not with an empty part.
pub async fn a_cursor_of_another_log_is_reset<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(&fresh).await;
    let other = Given::fresh(&fresh).await;
    let (_, foreign_start) = other.log().await;
    other.ended("alice").await;
    let (_, foreign) = other.log().await;
    given.ended("alice").await;
    for cursor in [
        foreign,
        foreign_start,
        Cursor::new(""),
        Cursor::new("0"),
        Cursor::new("nonsense"),
        Cursor::new("'; --:\u{0}:-1"),
    ] {
        let pulled = given.store.pull(Some(&cursor)).await.unwrap();
        assert!(
            matches!(pulled, PullResult::Reset),
            "{cursor:?}: {pulled:?}"
        );
    }
}

/// Long enough for a store that polls, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A new entry wakes a waiting caller.
pub async fn changed_resolves_after_an_append<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let (_, cursor) = given.log().await;
    let waiting = tokio::spawn({
        let store = Arc::clone(&given.store);
        async move { store.changed(&cursor).await }
    });
    tokio::task::yield_now().await;
    given.end(&session).await;
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap()
        .unwrap();
}

/// A caller that is already behind doesn't wait.
pub async fn changed_resolves_at_once_for_a_cursor_that_is_behind<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (_, cursor) = given.log().await;
    given.ended("alice").await;
    let waiting = given.store.changed(&cursor);
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
