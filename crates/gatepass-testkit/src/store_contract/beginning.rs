//! Beginning, loading and listing sessions.

use std::{collections::HashSet, sync::Arc};

use gatepass::{
    Clock, Device, EndReason, Grant, NewSession, Revocation, Revoked, Scopes, Session,
    SessionStore, Status,
};
use serde_json::json;

use super::given::{
    ABSOLUTE_TTL, Given, HOUR, IDLE_TTL, MINUTE, SECOND, advance_of, client, new_session,
    new_session_of_at_most, renewal_of, session_id, subject, targets, token_id,
};
use crate::ManualClock;

/// All that a session is begun with comes back from the store, in `begin` and in `load`.
pub async fn a_session_is_loaded_as_it_was_begun<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let owner = subject("jürgen '; -- 🦀 \u{200b}@例え.jp");
    let rich = NewSession {
        id: session_id(&owner),
        client: client("app \"ß\" %00"),
        grant: Grant::new(owner)
            .scopes(Scopes::parse("a b:write c!").unwrap())
            .claims(&json!({
                "tenant": 7,
                "big": u64::MAX,
                "small": i64::MIN,
                "nested": { "": [null, true, -1, "\u{1F980} \" \\ \n", { "deep": [] }] },
            }))
            .unwrap()
            .device("Jürgen's 💻")
            .access_ttl(HOUR),
        device: Device {
            user_agent: Some("Mozilla/5.0 (\"quoted\"; it's)".into()),
            address: Some("2001:db8::7".parse().unwrap()),
        },
        ..new_session("alice")
    };
    for new in [rich, new_session("alice")] {
        let expected = Session::begin(new.clone(), given.clock.now());
        let begun = given.store.begin(new).await.unwrap();
        assert_eq!(begun.session, expected);
        assert_eq!(begun.ended, []);
        let (loaded, time) = given.store.load(expected.id).await.unwrap();
        assert_eq!(loaded, Some(expected));
        assert_eq!(time, given.clock.now());
    }
}

/// An unknown session is no error, and the store's time comes with it.
pub async fn a_session_that_was_never_begun_is_not_loaded<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    given.begin("alice").await;
    let id = session_id(&subject("alice"));
    assert_eq!(
        given.store.load(id).await.unwrap(),
        (None, given.clock.now())
    );
}

/// A login above the maximum ends the session that began first, however recently it was refreshed,
/// and logs that.
pub async fn one_session_too_many_ends_exactly_the_oldest<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let new = new_session_of_at_most("alice", 3);
        let begun = given.store.begin(new).await.unwrap();
        assert_eq!(begun.ended, []);
        sessions.push(begun.session);
        given.clock.advance(SECOND);
    }
    let bystander = given.begin("bob").await;
    given.clock.advance(MINUTE);
    let oldest = given.store.advance(advance_of(&sessions[0])).await;
    let oldest = oldest.unwrap().unwrap();

    let new = new_session_of_at_most("alice", 3);
    let begun = given.store.begin(new).await.unwrap();

    let revocation = Revocation {
        target: Revoked::Session(oldest.id),
        until: oldest.access_until,
    };
    assert_eq!(begun.ended, [revocation]);
    assert_eq!(given.log().await.0, [revocation]);
    let ended = given.load(&oldest).await.ended.unwrap();
    assert_eq!(ended.reason, EndReason::TooManySessions);
    assert_eq!(ended.at, given.clock.now());
    let status = given.store.status(oldest.id, token_id()).await.unwrap();
    assert_eq!(status, Status::Revoked);
    for kept in [&sessions[1], &sessions[2], &begun.session, &bystander] {
        assert_eq!(given.load(kept).await, *kept);
    }

    // A maximum that was lowered takes effect at the next login.
    let new = new_session_of_at_most("alice", 1);
    let ended = given.store.begin(new).await.unwrap().ended;
    let mut ended = targets(&ended);
    let mut expected = [&sessions[1], &sessions[2], &begun.session]
        .map(|session| Revoked::Session(session.id))
        .to_vec();
    let by_text = |target: &Revoked| format!("{target:?}");
    ended.sort_by_key(by_text);
    expected.sort_by_key(by_text);
    assert_eq!(ended, expected);
}

/// Sessions that were ended, or are past their absolute end, do not take the place of others.
pub async fn only_live_sessions_count_against_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let short = NewSession {
        absolute_ttl: MINUTE,
        ..new_session("alice")
    };
    given.store.begin(short).await.unwrap();
    given.ended("alice").await;
    given.clock.advance(MINUTE);
    let kept = given.begin("alice").await;
    given.clock.advance(SECOND);

    let new = new_session_of_at_most("alice", 2);
    let begun = given.store.begin(new).await.unwrap();

    assert_eq!(begun.ended, []);
    assert_eq!(given.load(&kept).await, kept);
}

/// One that has idled out, so that nobody can use it, does not push out one that is in use.
pub async fn a_session_that_nobody_can_use_does_not_count_against_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let used = given.begin("alice").await;
    given.clock.advance(SECOND);
    let idle = NewSession {
        idle_ttl: MINUTE,
        access_ttl: MINUTE,
        ..new_session("alice")
    };
    given.store.begin(idle).await.unwrap();
    given.clock.advance(MINUTE);

    let begun = given.store.begin(new_session_of_at_most("alice", 2)).await;

    assert_eq!(begun.unwrap().ended, []);
    assert_eq!(given.load(&used).await, used);
}

/// Of logins at the same time, no more remain than the maximum, and every one that had to go is
/// reported once.
pub async fn simultaneous_logins_do_not_exceed_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let logins = (0..16).map(|_| {
        let store = Arc::clone(&given.store);
        tokio::spawn(async move { store.begin(new_session_of_at_most("alice", 3)).await })
    });
    let mut ended = Vec::new();
    for login in Vec::from_iter(logins) {
        ended.extend(targets(&login.await.unwrap().unwrap().ended));
    }
    let left = given.store.sessions(&subject("alice")).await.unwrap();
    assert_eq!(left.len(), 3);
    assert_eq!(ended.len(), 13);
    assert_eq!(ended.iter().collect::<HashSet<_>>().len(), 13);
}

/// The list of a subject's sessions begins with the newest.
pub async fn sessions_are_listed_newest_first<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut expected = Vec::new();
    for _ in 0..4 {
        given.clock.advance(SECOND);
        expected.insert(0, given.begin("alice").await);
    }
    // A refresh does not make a session newer.
    let refreshed = given.store.advance(advance_of(&expected[2])).await;
    expected[2] = refreshed.unwrap().unwrap();
    let listed = given.store.sessions(&subject("alice")).await.unwrap();
    assert_eq!(listed, expected);
}

/// Ended and expired sessions, and those of others, are not on the list. One that an access token alone
/// keeps going is: its owner could not end what is not there.
pub async fn only_usable_sessions_of_the_subject_are_listed<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let idle = given.begin("alice").await;
    given.clock.advance(IDLE_TTL / 2);
    let kept = given.begin("alice").await;
    given.ended("alice").await;
    for other in ["bob", "Alice", "alice ", "alic"] {
        given.begin(other).await;
    }
    let listed = given.store.sessions(&subject("alice")).await.unwrap();
    assert_eq!(listed, [kept.clone(), idle]);

    given.clock.advance(IDLE_TTL / 2);
    let listed = given.store.sessions(&subject("alice")).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&kept));

    given.clock.advance(IDLE_TTL / 2);
    assert_eq!(given.store.sessions(&subject("alice")).await.unwrap(), []);
    let renewed = given.store.renew(renewal_of(&kept)).await.unwrap().unwrap();
    let listed = given.store.sessions(&subject("alice")).await.unwrap();
    assert_eq!(listed, [renewed]);

    given.clock.advance(ABSOLUTE_TTL);
    assert_eq!(given.store.sessions(&subject("alice")).await.unwrap(), []);
    assert_eq!(given.store.sessions(&subject("nobody")).await.unwrap(), []);
}
