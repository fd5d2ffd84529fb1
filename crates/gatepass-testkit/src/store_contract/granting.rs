//! Log entries that say from which version on the access tokens of a session are good.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gatepass::{
    Clock, Session, SessionId,
    store::{
        ChangeIdentity, Grant, GrantEffect, GrantVersion, PullResult, Revocation, RevocationTarget,
        SessionStore, TokenStatus,
    },
};
use tokio::task::JoinSet;

use super::given::{
    Given, HOUR, MILLISECOND, MINUTE, advance_of, changed_identity, new_session, recovery_of,
    renewal_of, sorted, token_id,
};
use crate::clock::ManualClock;

/// How long a busy machine may take to report a change.
const PATIENCE: Duration = Duration::from_secs(30);

async fn enforce(store: &impl SessionStore, session: &Session) -> Session {
    let change = ChangeIdentity::new(session, changed_identity(session.subject()));
    store.change(change).await.unwrap().unwrap()
}

async fn status<S: SessionStore>(given: &Given<S>, session: &Session, version: u32) -> TokenStatus {
    let version = GrantVersion::new(version);
    let status = given.store.status(session.id, token_id(), version);
    status.await.unwrap()
}

/// The rights stay as the last change left them, during refreshes and after the end of the session.
pub async fn all_but_a_change_leave_the_rights_of_a_session_alone<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = enforce(&*given.store, &session).await;
    let offer = {
        let mut offer = ChangeIdentity::new(&session, session.identity.clone());
        offer.effect = GrantEffect::Offer;
        given.store.change(offer).await.unwrap().unwrap()
    };
    assert_eq!(
        (offer.grant.newest.get(), offer.grant.valid_from.get()),
        (2, 1)
    );
    let same = |after: &Session| {
        assert_eq!(
            (&after.identity, after.grant),
            (&offer.identity, offer.grant)
        );
    };
    let advanced = given
        .store
        .advance(advance_of(&offer))
        .await
        .unwrap()
        .unwrap();
    same(&advanced);
    same(
        &given
            .store
            .recover(recovery_of(&advanced))
            .await
            .unwrap()
            .unwrap(),
    );
    same(
        &given
            .store
            .renew(renewal_of(&advanced))
            .await
            .unwrap()
            .unwrap(),
    );
    given.revoke_one(&advanced).await;
    same(&given.load(&session).await);
    assert_eq!(given.sessions("alice").await.len(), 1);
    same(&given.sessions("alice").await[0]);
    given.end(&session).await.unwrap();
    same(&given.load(&session).await);
    // The user's next session starts with first rights.
    assert_eq!(given.begin("alice").await.grant, Grant::default());
}

/// A change that no token shows keeps the entry of an earlier change.
pub async fn an_entry_stays_through_a_change_that_no_token_shows<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = enforce(&*given.store, &session).await;
    let (before, cursor) = given.log().await;
    let mut silent = ChangeIdentity::new(&session, session.identity.clone().device("a phone"));
    silent.effect = GrantEffect::None;
    let silent = given.store.change(silent).await.unwrap().unwrap();
    assert_eq!(silent.grant, session.grant);
    assert_eq!(given.log_after(Some(cursor)).await.0, []);
    assert_eq!(given.log().await.0, before);
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Stale);
}

/// A late reader gets only the last entry. A reader whose last entry was replaced continues behind
/// it.
pub async fn a_cursor_before_or_behind_a_replaced_entry_goes_on<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    let (_, before) = given.log().await;
    session = enforce(&*given.store, &session).await;
    let (_, behind) = given.log().await;
    for _ in 0..3 {
        session = enforce(&*given.store, &session).await;
    }
    let last = [session.grant_entry()];
    for cursor in [before.clone(), behind.clone()] {
        assert_eq!(given.log_after(Some(cursor)).await.0, last);
    }
    let (_, seen) = given.log().await;
    assert_eq!(given.log_after(Some(seen.clone())).await.0, []);
    given.advance_to(session.access_until + Revocation::RETENTION_MARGIN);
    assert_eq!(given.purge().await, 1);
    for cursor in [before, behind, seen.clone()] {
        assert_eq!(given.log_after(Some(cursor)).await.0, []);
    }
    session = enforce(&*given.store, &session).await;
    let (entries, _) = given.log_after(Some(seen)).await;
    assert_eq!(entries, [session.grant_entry()]);
}

/// Between two changes, the session may have got access tokens with a longer life.
pub async fn a_replaced_entry_is_kept_as_long_as_the_last_change_says<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    // From now on its access tokens live for an hour.
    let session = enforce(&*given.store, &session).await;
    let first = session.grant_entry();
    given.clock.advance(MINUTE);
    let session = given
        .store
        .advance(advance_of(&session))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.access_until, given.clock.now() + HOUR);
    let session = enforce(&*given.store, &session).await;
    let last = session.grant_entry();
    assert_eq!(last.until, session.access_until);
    given.advance_to(first.until + Revocation::RETENTION_MARGIN);
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.log().await.0, [last]);
    given.advance_to(last.until + Revocation::RETENTION_MARGIN);
    given.clock.step_wall_back(MILLISECOND);
    assert_eq!(given.purge().await, 0);
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 1);
    assert_eq!(given.log().await.0, []);
    assert_eq!(given.load(&session).await, session);
}

/// The end of a session neither shortens nor extends the retention of its entry.
pub async fn the_entry_of_a_session_that_ended_goes_in_its_time<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for alone in [true, false] {
        let name = if alone { "alice" } else { "bob" };
        let session = given.begin(name).await;
        let session = enforce(&*given.store, &session).await;
        let ended = match alone {
            true => given.end(&session).await.unwrap(),
            false => given.end_all(name, None).await.unwrap(),
        };
        let expected = sorted(vec![session.grant_entry(), ended]);
        assert_eq!(sorted(given.log().await.0), expected);
        for version in 0..3 {
            assert_eq!(
                status(&given, &session, version).await,
                TokenStatus::Revoked
            );
        }
        given.advance_to(session.access_until + Revocation::RETENTION_MARGIN);
        given.clock.step_wall_back(MILLISECOND);
        given.purge().await;
        assert_eq!(sorted(given.log().await.0), expected);
        assert_eq!(
            given.find(session.id).await.map(|found| found.grant),
            Some(session.grant)
        );
        given.clock.advance(MILLISECOND);
        while given.purge().await > 0 {}
        assert_eq!(given.log().await.0, []);
        assert_eq!(given.find(session.id).await, None);
    }
}

/// A change wakes nodes as a revocation does, so they need not wait for their next poll. An entry
/// that replaces another one wakes them as well.
pub async fn changed_resolves_after_a_change_of_rights<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    for effect in [
        GrantEffect::Enforce,
        GrantEffect::Offer,
        GrantEffect::Enforce,
    ] {
        let (_, cursor) = given.log().await;
        let waiting = tokio::spawn({
            let (store, cursor) = (Arc::clone(&given.store), cursor.clone());
            async move { store.changed(&cursor).await }
        });
        tokio::task::yield_now().await;
        let mut change = ChangeIdentity::new(&session, session.identity.clone());
        change.effect = effect;
        session = given.store.change(change).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap();
        // A caller that is behind gets its answer at once.
        let behind = given.store.changed(&cursor);
        tokio::time::timeout(PATIENCE, behind).await.unwrap();
    }
}

/// Sessions change while a reader is between two parts: some that it has read, and some that it has
/// not. It gets the last entry of each session.
pub async fn a_long_log_whose_entries_are_replaced_is_pulled_in_parts<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    const WRITERS: usize = 50;
    const EACH: usize = 110;
    let given = Given::fresh(fresh).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = Arc::clone(&given.store);
        writers.spawn(async move {
            let user = format!("user {number}");
            let mut changed = Vec::new();
            for _ in 0..EACH {
                let session = store.begin(new_session(&user)).await.unwrap().session;
                changed.push(enforce(&*store, &session).await);
            }
            changed
        });
    }
    let mut sessions = writers.join_all().await.concat();
    let (mut known, mut after) = (HashMap::<SessionId, Grant>::new(), None);
    loop {
        let pulled = given.store.pull(after.as_ref()).await.unwrap();
        let PullResult::Entries {
            entries,
            next,
            more,
            ..
        } = pulled
        else {
            panic!("a reset");
        };
        for entry in entries {
            let RevocationTarget::Grant(session, grant) = entry.target else {
                panic!("{entry:?}");
            };
            let before = known.entry(session).or_default();
            *before = before.and(grant);
        }
        if after.is_none() {
            for session in sessions.iter_mut().step_by(100) {
                *session = enforce(&*given.store, session).await;
            }
        } else if !more {
            break;
        }
        after = Some(next);
    }
    assert_eq!(known.len(), sessions.len());
    for session in &sessions {
        assert_eq!(known[&session.id], session.grant);
    }
}
