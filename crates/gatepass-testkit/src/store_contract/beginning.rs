//! Beginning, loading and listing sessions.

use std::{collections::HashSet, sync::Arc};

use gatepass::{
    Clock, Identity, Scopes, Session, Timestamp,
    issuers::ProviderLogin,
    store::{
        Account, AccountId, Audience, Cutoff, EndReason, RevocationTarget, ServiceIdentity,
        SessionStore, TokenStatus,
    },
};
use serde_json::json;

use super::given::{
    ABSOLUTE_TTL, Given, HOUR, IDLE_TTL, MINUTE, SECOND, account, advance_of, changed_identity,
    client, issuer, new_session, new_session_of_at_most, renewal_of, revocation_of_all, session_id,
    subject, token_id,
};
use crate::clock::ManualClock;

/// `begin` and `load` return everything that the session was begun with.
pub async fn a_session_is_loaded_as_it_was_begun<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let owner = subject("jürgen '; -- 🦀 \u{200b}@例え.jp");
    let mut rich = new_session("alice");
    rich.id = session_id(AccountId::of(&issuer(), &owner));
    rich.audience = Audience::new("api \"ß\" 🦀").unwrap();
    rich.client = client("app \"ß\" %00");
    let login = ProviderLogin::new("https://sso.example/ß", "🦀\"", given.clock.now()).unwrap();
    let login = login.in_session("a 'session' there").unwrap();
    rich.identity = Identity::of(owner)
        .scopes(Scopes::parse("a b:write c!").unwrap())
        .claims(&json!({
            "tenant": 7,
            "big": u64::MAX,
            "small": i64::MIN,
            "nested": { "": [null, true, -1, "\u{1F980} \" \\ \n", { "deep": [] }] },
        }))
        .unwrap()
        .device("Jürgen's 💻")
        .logged_in_by(login)
        .access_ttl(HOUR);
    rich.device.user_agent = Some("Mozilla/5.0 (\"quoted\"; it's)".into());
    rich.device.address = Some("2001:db8::7".parse().unwrap());
    for new in [rich, new_session("alice")] {
        let now = given.clock.now();
        let expected = Account::new(new.account()).begin(new.clone(), now);
        let begun = given.store.begin(new).await.unwrap();
        assert_eq!(begun.session, expected);
        assert_eq!(begun.ended, None);
        let (loaded, time) = given.store.load(expected.id).await.unwrap();
        assert_eq!(loaded, Some(expected));
        assert_eq!(time, given.clock.now());
    }
}

/// An unknown session is no error. The answer still has the store's time.
pub async fn a_session_that_was_never_begun_is_not_loaded<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    given.begin("alice").await;
    let id = session_id(account("alice"));
    assert_eq!(
        given.store.load(id).await.unwrap(),
        (None, given.clock.now())
    );
}

/// A login above the maximum ends the session that began first, even if it was refreshed recently.
/// The log has an entry of it.
pub async fn one_session_too_many_ends_exactly_the_oldest<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let new = new_session_of_at_most("alice", 3);
        let begun = given.store.begin(new).await.unwrap();
        assert_eq!(begun.ended, None);
        sessions.push(begun.session);
        given.clock.advance(SECOND);
    }
    let bystander = given.begin("bob").await;
    given.clock.advance(MINUTE);
    let oldest = given.store.advance(advance_of(&sessions[0])).await;
    let oldest = oldest.unwrap().unwrap();

    let new = new_session_of_at_most("alice", 3);
    let begun = given.store.begin(new).await.unwrap();

    let longest = begun.session.absolute_expires_at;
    let revocation = revocation_of_all(&oldest, None, longest);
    assert_eq!(begun.ended, Some(revocation));
    assert_eq!(given.log().await.0, [revocation]);
    let ended = given.load(&oldest).await.ended.unwrap();
    assert_eq!(ended.reason, EndReason::TooManySessions);
    assert_eq!(ended.at, given.clock.now());
    let status = given.status(oldest.id, token_id()).await;
    assert_eq!(status, TokenStatus::Revoked);
    for kept in [&sessions[1], &sessions[2], &begun.session, &bystander] {
        assert_eq!(given.load(kept).await, *kept);
    }

    // A lowered maximum applies at the next login, which again writes one entry.
    let new = new_session_of_at_most("alice", 1);
    let last = given.store.begin(new).await.unwrap();
    let revocation = revocation_of_all(&begun.session, None, last.session.absolute_expires_at);
    assert_eq!(last.ended, Some(revocation));
    assert_eq!(given.log().await.0, [revocation]);
    assert_eq!(given.sessions("alice").await, [last.session]);
}

/// A session that a logout elsewhere has spared counts. It ends when it is the oldest.
pub async fn a_spared_session_counts_against_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let spared = given.begin("alice").await;
    given.begin("alice").await;
    given.end_all("alice", Some(&spared)).await.unwrap();

    let second = given.store.begin(new_session_of_at_most("alice", 2)).await;
    let second = second.unwrap();
    assert_eq!(second.ended, None);
    assert_eq!(given.load(&spared).await, spared);

    let third = given.store.begin(new_session_of_at_most("alice", 2)).await;
    assert!(third.as_ref().unwrap().ended.is_some());
    assert!(given.load(&spared).await.ended.is_some());
    let listed = given.sessions("alice").await;
    assert_eq!(listed, [third.unwrap().session, second.session]);
}

/// The store numbers the sessions of an account in the order in which they begin. Neither the clock
/// nor the number of sessions that begin at once changes that.
pub async fn sessions_are_numbered_in_the_order_in_which_they_begin<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut last = None;
    for step in 0..6 {
        match step {
            2 => given.clock.advance(SECOND),
            4 => given.clock.step_wall_back(HOUR),
            _ => {}
        }
        let number = given.begin("alice").await.number;
        assert!(Some(number) > last, "{number} after {last:?}");
        last = Some(number);
    }
    let logins = (0..32).map(|_| {
        let store = Arc::clone(&given.store);
        tokio::spawn(async move { store.begin(new_session("alice")).await })
    });
    let mut numbers = HashSet::new();
    for login in Vec::from_iter(logins) {
        let number = login.await.unwrap().unwrap().session.number;
        assert!(Some(number) > last);
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), 32);
}

/// A list comes in pages. Each page begins where the last one ended.
pub async fn sessions_are_listed_in_pages<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let spared = given.begin("alice").await;
    given.begin("alice").await;
    given.end_all("alice", Some(&spared)).await.unwrap();
    let mut expected = vec![spared];
    for _ in 0..6 {
        expected.insert(0, given.begin("alice").await);
        given.ended("alice").await;
    }
    let mut listed: Vec<Session> = Vec::new();
    for size in [3, 3, 1] {
        let before = listed.last().map(|session| session.number);
        let page = given.store.sessions(account("alice"), before, 3).await;
        let page = page.unwrap();
        assert_eq!(page.len(), size);
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    let before = listed.last().map(|session| session.number);
    let page = given.store.sessions(account("alice"), before, 3).await;
    assert_eq!(page.unwrap(), []);
}

/// The store remembers the first service that uses it, and others only if they ask to join.
pub async fn identities_are_remembered<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let identity = |name: &str| {
        let text = format!(
            r#"{{"iss":"https://{name}.example","aud":"api \"ß\"","secret":"0123456789abcdef"}}"#
        );
        ServiceIdentity::from_text(&text).unwrap()
    };
    let (one, two, three) = (identity("one"), identity("two"), identity("three"));
    let introduce = async |identities: &[ServiceIdentity], join| {
        let known = given.store.introduce(identities, join).await.unwrap();
        HashSet::<ServiceIdentity>::from_iter(known)
    };
    let first = [one.clone(), two.clone()];
    assert_eq!(introduce(&first, false).await, HashSet::new());
    let known = HashSet::from(first);
    assert_eq!(introduce(std::slice::from_ref(&three), false).await, known);
    assert_eq!(introduce(&[], true).await, known);
    assert_eq!(introduce(&[two.clone(), three.clone()], true).await, known);
    let known = HashSet::from([one, two, three]);
    assert_eq!(introduce(&[], false).await, known);
}

/// Ended sessions, and sessions past their absolute end, don't count.
pub async fn only_live_sessions_count_against_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut short = new_session("alice");
    short.absolute_ttl = MINUTE;
    given.store.begin(short).await.unwrap();
    given.ended("alice").await;
    given.clock.advance(MINUTE);
    let kept = given.begin("alice").await;
    given.clock.advance(SECOND);

    let new = new_session_of_at_most("alice", 2);
    let begun = given.store.begin(new).await.unwrap();

    assert_eq!(begun.ended, None);
    assert_eq!(given.load(&kept).await, kept);
}

/// A session that has idled out is useless to every client, so it doesn't push out a session in
/// use.
pub async fn a_session_that_nobody_can_use_does_not_count_against_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let used = given.begin("alice").await;
    given.clock.advance(SECOND);
    let mut idle = new_session("alice");
    idle.idle_ttl = MINUTE;
    idle.access_ttl = MINUTE;
    given.store.begin(idle).await.unwrap();
    given.clock.advance(MINUTE);

    let begun = given.store.begin(new_session_of_at_most("alice", 2)).await;

    assert_eq!(begun.unwrap().ended, None);
    assert_eq!(given.load(&used).await, used);
}

/// Simultaneous logins leave at most the maximum of sessions. The reported revocations cover each
/// session that was ended.
pub async fn simultaneous_logins_do_not_exceed_the_maximum<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let logins = (0..16).map(|_| {
        let store = Arc::clone(&given.store);
        tokio::spawn(async move { store.begin(new_session_of_at_most("alice", 3)).await })
    });
    let (mut begun, mut ended) = (Vec::new(), None);
    for login in Vec::from_iter(logins) {
        let login = login.await.unwrap().unwrap();
        begun.push(login.session);
        if let Some(RevocationTarget::Sessions(_, cutoff)) = login.ended.map(|ended| ended.target) {
            ended = Some(ended.map_or(cutoff, |before: Cutoff| before.and(cutoff)));
        }
    }
    let left = given.sessions("alice").await;
    assert_eq!(left.len(), 3);
    begun.retain(|session| !ended.unwrap().covers(session.number));
    begun.sort_by_key(|session| std::cmp::Reverse(session.number));
    assert_eq!(begun, left);
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
    let listed = given.sessions("alice").await;
    assert_eq!(listed, expected);
}

/// Ended, expired and foreign sessions are not on the list. A session that only an access token
/// keeps alive is on it, so its owner can end it.
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
    let listed = given.sessions("alice").await;
    assert_eq!(listed, [kept.clone(), idle]);

    given.clock.advance(IDLE_TTL / 2);
    let listed = given.sessions("alice").await;
    assert_eq!(listed, std::slice::from_ref(&kept));

    given.clock.advance(IDLE_TTL / 2);
    assert_eq!(given.sessions("alice").await, []);
    let renewed = given.store.renew(renewal_of(&kept)).await.unwrap().unwrap();
    let listed = given.sessions("alice").await;
    assert_eq!(listed, [renewed]);

    given.clock.advance(ABSOLUTE_TTL);
    assert_eq!(given.sessions("alice").await, []);
    assert_eq!(given.sessions("nobody").await, []);
}

/// A second `begin` of a session changes nothing and takes no number, even if the session has
/// ended.
pub async fn a_session_that_is_there_is_not_begun_again<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let new = new_session("alice");
    let mut other = new_session_of_at_most("alice", 1);
    other.id = new.id;
    other.identity = changed_identity(&subject("alice"));
    other.client = client("another");
    let begun = given.store.begin(new).await.unwrap();
    assert!(begun.is_new);
    let bystander = given.begin("alice").await;
    given.clock.advance(SECOND);
    let advanced = given.store.advance(advance_of(&begun.session)).await;
    let advanced = advanced.unwrap().unwrap();

    let again = given.store.begin(other.clone()).await.unwrap();

    assert!(!again.is_new);
    assert_eq!((&again.session, again.ended), (&advanced, None));
    assert_eq!(given.load(&begun.session).await, advanced);
    assert_eq!(given.log().await.0, []);
    let sessions = [bystander.clone(), advanced.clone()];
    assert_eq!(given.sessions("alice").await, sessions);

    given.end(&begun.session).await.unwrap();
    let again = given.store.begin(other.clone()).await.unwrap();
    assert!(!again.is_new && again.session.ended.is_some());
    given.end_all("alice", None).await.unwrap();
    other.id = bystander.id;
    let again = given.store.begin(other).await.unwrap();
    let ended = again.session.ended.map(|ended| ended.reason);
    assert_eq!((again.is_new, ended), (false, Some(EndReason::LogoutAll)));
    assert_eq!(given.sessions("alice").await, []);
}

/// One of many simultaneous calls that begin one id succeeds, and all get that session.
pub async fn of_many_beginnings_of_one_session_one_succeeds<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let new = new_session("alice");
    let begun = (0..16).map(|_| {
        let (store, new) = (Arc::clone(&given.store), new.clone());
        tokio::spawn(async move { store.begin(new).await })
    });
    let (mut sessions, mut succeeded) = (Vec::new(), 0);
    for begun in Vec::from_iter(begun) {
        let begun = begun.await.unwrap().unwrap();
        succeeded += usize::from(begun.is_new);
        sessions.push(begun.session);
    }
    assert_eq!(succeeded, 1);
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
    assert_eq!(given.sessions("alice").await, sessions);
}

/// A session may begin long after the authentication of its user. A later time of authentication
/// becomes the time of the beginning.
pub async fn a_session_may_begin_after_the_authentication<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let now = given.clock.now();
    let before = Timestamp::EPOCH + SECOND;
    for (said, expected) in [(before, before), (now + HOUR, now)] {
        let mut new = new_session("alice");
        new.authenticated_at = Some(said);
        let begun = given.store.begin(new).await.unwrap().session;
        assert_eq!(begun.authenticated_at, expected);
        assert_eq!(given.load(&begun).await, begun);
    }
}
