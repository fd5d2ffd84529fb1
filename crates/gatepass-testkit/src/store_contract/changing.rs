//! Changes of identities.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gatepass::{
    Clock, Identity, Session,
    store::{
        ChangeIdentity, EndReason, EndSessions, GrantEffect, GrantVersion, Revocation,
        RevocationTarget, SessionStore, TokenStatus,
    },
};

use super::given::{
    Given, HOUR, MILLISECOND, MINUTE, account, advance_of, changed_identity, new_session,
    session_id, sorted, token_id,
};
use crate::clock::ManualClock;

fn change_of(session: &Session) -> ChangeIdentity {
    ChangeIdentity::new(session, changed_identity(session.subject()))
}

/// An identity that belongs to this number alone.
fn numbered(session: &Session, number: u32) -> Identity {
    let identity = Identity::of(session.subject().clone());
    identity
        .claims(&serde_json::json!({ "number": number }))
        .unwrap()
}

async fn status<S: SessionStore>(given: &Given<S>, session: &Session, version: u32) -> TokenStatus {
    let version = GrantVersion::new(version);
    let status = given.store.status(session.id, token_id(), version);
    status.await.unwrap()
}

async fn change<S: SessionStore>(given: &Given<S>, change: ChangeIdentity) -> Option<Session> {
    given.store.change(change).await.unwrap()
}

/// The store keeps and returns the session as the core changes it. The log tells readers the first
/// version whose access tokens are good.
pub async fn a_change_is_written_and_logged_in_the_same_act<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut expected = given.begin("alice").await;
    let bystander = given.begin("alice").await;
    let (_, cursor) = given.log().await;
    given.clock.advance(MINUTE);
    let wanted = change_of(&expected);
    assert!(expected.change(wanted.clone(), given.clock.now()));
    assert_eq!(change(&given, wanted).await.as_ref(), Some(&expected));
    assert_eq!(given.load(&expected).await, expected);
    assert_eq!(expected.grant.valid_from.get(), 1);
    let (entries, _) = given.log_after(Some(cursor)).await;
    assert_eq!(entries, [expected.grant_entry()]);

    assert_eq!(status(&given, &expected, 0).await, TokenStatus::Stale);
    assert_eq!(status(&given, &expected, 1).await, TokenStatus::Live);
    assert_eq!(status(&given, &bystander, 0).await, TokenStatus::Live);
    assert_eq!(given.load(&bystander).await, bystander);
    // Other changes of the session don't touch its rights.
    let advanced = given.store.advance(advance_of(&expected)).await;
    let advanced = advanced.unwrap().unwrap();
    assert_eq!(
        (&advanced.identity, advanced.grant),
        (&expected.identity, expected.grant)
    );
    assert_eq!(given.sessions("alice").await, [bystander, advanced]);
}

/// An offer writes an entry, and earlier access tokens stay good.
pub async fn an_offered_change_refuses_no_token<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let mut offer = change_of(&session);
    offer.effect = GrantEffect::Offer;
    let offered = change(&given, offer).await.unwrap();
    assert_eq!(
        (offered.grant.newest.get(), offered.grant.valid_from.get()),
        (1, 0)
    );
    assert_eq!(given.log().await.0, [offered.grant_entry()]);
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Live);
    let enforced = change(&given, change_of(&offered)).await.unwrap();
    assert_eq!(enforced.grant.valid_from.get(), 2);
    for stale in [0, 1] {
        assert_eq!(status(&given, &session, stale).await, TokenStatus::Stale);
    }
}

/// Readers need not know a change of the device's label, or of the lifetime of later tokens.
pub async fn a_change_that_no_token_shows_is_not_logged<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let mut silent = change_of(&session);
    silent.effect = GrantEffect::None;
    let changed = change(&given, silent.clone()).await.unwrap();
    assert_eq!(
        (&changed.identity, changed.grant),
        (&silent.identity, session.grant)
    );
    assert_eq!(given.load(&session).await, changed);
    assert_eq!(given.log().await.0, []);
}

/// The log has one entry about a session, even after many changes.
pub async fn the_last_change_of_a_session_is_its_one_entry<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    let other = given.begin("alice").await;
    let other = change(&given, change_of(&other)).await.unwrap();
    let (_, mut cursor) = given.log().await;
    for number in 0..3 {
        let next = ChangeIdentity::new(&session, numbered(&session, number));
        session = change(&given, next).await.unwrap();
        let (entries, next) = given.log_after(Some(cursor)).await;
        assert_eq!(entries, [session.grant_entry()]);
        cursor = next;
    }
    let all = sorted(vec![session.grant_entry(), other.grant_entry()]);
    assert_eq!(sorted(given.log().await.0), all);
    // The entry of the end says more, and both entries stay.
    let ended = given.end(&session).await.unwrap();
    let (entries, _) = given.log().await;
    assert!(entries.contains(&ended) && entries.contains(&session.grant_entry()));
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Revoked);
}

/// A wrong version, an end and an expiry each make the store refuse, and leave no trace.
pub async fn a_change_that_does_not_fit_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let begun = given.begin("alice").await;
    let session = change(&given, change_of(&begun)).await.unwrap();
    let (ended, _) = given.ended("alice").await;
    let with_others = given.begin("bob").await;
    given.end_all("bob", None).await.unwrap();
    let mut short = new_session("alice");
    short.absolute_ttl = HOUR;
    let over = given.store.begin(short).await.unwrap().session;
    let unknown = Session {
        id: session_id(account("alice")),
        ..session.clone()
    };
    let (_, mut cursor) = given.log().await;
    let mut refuse = async |change: ChangeIdentity, why: &str| {
        let (id, before) = (change.id, given.find(change.id).await);
        assert_eq!(given.store.change(change).await.unwrap(), None, "{why}");
        assert_eq!(given.find(id).await, before, "{why}");
        let (entries, next) = given.log_after(Some(cursor.clone())).await;
        assert_eq!(entries, [], "{why}");
        cursor = next;
    };
    refuse(change_of(&begun), "a version of before").await;
    let mut ahead = change_of(&session);
    ahead.from = session.grant.newest.next();
    refuse(ahead, "a version to come").await;
    refuse(change_of(&ended), "an ended session").await;
    refuse(change_of(&with_others), "one that ended with others").await;
    refuse(change_of(&unknown), "an unknown session").await;
    given.clock.advance(HOUR);
    refuse(change_of(&over), "past the absolute end").await;
}

/// Only one of many simultaneous changes from one version succeeds.
pub async fn of_many_changes_from_one_version_one_succeeds<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    for _ in 0..3 {
        let attempts = (0..32).map(|number| {
            let store = Arc::clone(&given.store);
            let change = ChangeIdentity::new(&session, numbered(&session, number));
            tokio::spawn(async move { store.change(change).await })
        });
        let mut won = Vec::new();
        for attempt in Vec::from_iter(attempts) {
            won.extend(attempt.await.unwrap().unwrap());
        }
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].grant.newest, session.grant.newest.next());
        session = given.load(&session).await;
        assert_eq!(won[0], session);
        assert_eq!(given.log().await.0, [session.grant_entry()]);
    }
}

/// Refreshes keep the newest identity, and changes keep the newest generation.
pub async fn refreshes_and_changes_undo_nothing_of_each_other<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    const EACH: u32 = 40;
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let refreshing = tokio::spawn({
        let (store, mut session) = (Arc::clone(&given.store), session.clone());
        async move {
            for _ in 0..EACH {
                let before = session.grant;
                let advanced = store.advance(advance_of(&session)).await.unwrap();
                session = advanced.unwrap();
                assert!(session.grant.newest >= before.newest, "it never goes back");
            }
        }
    });
    let mut changed = session.clone();
    for number in 0..EACH {
        let next = ChangeIdentity::new(&changed, numbered(&changed, number));
        changed = change(&given, next).await.unwrap();
        assert_eq!(changed.grant.valid_from.get(), number + 1);
    }
    refreshing.await.unwrap();
    let session = given.load(&session).await;
    assert_eq!(session.generation.get(), EACH);
    assert_eq!(session.grant, changed.grant);
    assert_eq!(session.identity, changed.identity);
}

/// A session that is over doesn't change. No entry about its rights follows its end.
pub async fn no_change_succeeds_after_an_end_returned<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for all in [false, true] {
        let session = given.begin("alice").await;
        let ended = Arc::new(AtomicBool::new(false));
        let changing = tokio::spawn({
            let (store, ended) = (Arc::clone(&given.store), Arc::clone(&ended));
            let mut session = session.clone();
            async move {
                for number in 0.. {
                    let late = ended.load(Ordering::SeqCst);
                    let next = ChangeIdentity::new(&session, numbered(&session, number));
                    match store.change(next).await.unwrap() {
                        Some(changed) => {
                            assert!(!late, "changed after its end had returned");
                            session = changed;
                        }
                        None => return,
                    }
                }
            }
        });
        while given.load(&session).await.grant.newest.get() < 3 {
            tokio::task::yield_now().await;
        }
        let target = match all {
            false => EndSessions::Session(session.id),
            true => EndSessions::AllOf(session.account()),
        };
        let revocation = given.store.end(target, EndReason::Logout).await.unwrap();
        ended.store(true, Ordering::SeqCst);
        assert!(revocation.is_some());
        changing.await.unwrap();
    }
}

/// A changed identity's own lifetime applies to later access tokens.
pub async fn the_lifetime_of_a_changed_identity_counts_from_the_next_refresh<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    // The identity has a lifetime of an hour.
    let changed = change(&given, change_of(&session)).await.unwrap();
    assert_eq!(changed.access_until, session.access_until);
    let advanced = given.store.advance(advance_of(&changed)).await;
    let advanced = advanced.unwrap().unwrap();
    assert_eq!(advanced.access_until, given.clock.now() + HOUR);
    assert_eq!(given.load(&session).await, advanced);
}

/// The entry stays for exactly as long as an earlier access token may be valid.
pub async fn a_change_is_kept_for_the_retention<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = change(&given, change_of(&session)).await.unwrap();
    let entry = session.grant_entry();
    let forgotten = entry.until + Revocation::RETENTION_MARGIN;
    given.advance_to(forgotten);
    given.clock.step_wall_back(MILLISECOND);
    assert_eq!(given.purge().await, 0);
    assert_eq!(given.log().await.0, [entry]);
    given.clock.advance(MILLISECOND);
    assert_eq!(given.purge().await, 1);
    assert_eq!(given.log().await.0, []);
    // The session is unchanged, and another change writes its entry again.
    assert_eq!(given.load(&session).await, session);
    let next = ChangeIdentity::new(&session, numbered(&session, 1));
    let session = change(&given, next).await.unwrap();
    let targets = given.log().await.0.into_iter().map(|entry| entry.target);
    let expected = [RevocationTarget::Grant(session.id, session.grant)];
    assert_eq!(Vec::from_iter(targets), expected);
}

/// A connection may stay open long after the last access token of its session has expired. The node
/// that serves it must still find the entry.
pub async fn an_entry_that_comes_after_all_tokens_have_expired_is_kept_for_the_retention<
    S: SessionStore,
>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (changed, ended) = (given.begin("alice").await, given.begin("bob").await);
    given.clock.advance(10 * HOUR);
    let changed = change(&given, change_of(&changed)).await.unwrap();
    let end = given.end(&ended).await.unwrap();
    let now = given.clock.now();
    assert_eq!((changed.grant_entry().until, end.until), (now, now));
    assert_eq!(given.load(&changed).await, changed);
    let all = sorted(vec![changed.grant_entry(), end]);
    given.advance_to(now + Revocation::RETENTION_MARGIN);
    given.clock.step_wall_back(MILLISECOND);
    assert_eq!(given.purge().await, 0);
    assert_eq!(sorted(given.log().await.0), all);
}

/// A session's status doesn't depend on whether the purge has run.
pub async fn a_session_that_nothing_needs_is_unknown_before_its_purge<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let (ended, _) = given.ended("bob").await;
    given.advance_to(ended.purge_at());
    assert_eq!(status(&given, &ended, 0).await, TokenStatus::Unknown);
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Live);
    given.advance_to(session.purge_at());
    given.clock.step_wall_back(MILLISECOND);
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Live);
    given.clock.advance(MILLISECOND);
    assert_eq!(status(&given, &session, 0).await, TokenStatus::Unknown);
}
