//! The sessions of all accounts, selected by a filter and read in parts.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gatepass::{
    Clock, Identity, Session, SessionCursor, SessionFilter, SessionId, SessionState, Subject,
    store::{
        AccountId, Audience, ChangeIdentity, EndReason, EndSessions, Issuer, NewSession,
        SessionStore,
    },
};

use super::given::{
    ABSOLUTE_TTL, Given, HOUR, MILLISECOND, MINUTE, advance_of, changed_identity, client, issuer,
    new_session, session_id, subject,
};
use crate::clock::ManualClock;

/// All parts behind `after`, and their number.
async fn parts<S: SessionStore>(
    given: &Given<S>,
    filter: &SessionFilter,
    after: Option<SessionCursor>,
    limit: usize,
) -> (Vec<Session>, usize) {
    let (mut found, mut next, mut parts) = (Vec::new(), after, 0);
    loop {
        let part = given
            .store
            .scan(filter, next.as_ref(), limit)
            .await
            .unwrap();
        found.extend(part.sessions);
        parts += 1;
        assert!(parts < 10_000, "it comes to no end");
        next = part.next;
        // A node may pass the cursor on as text.
        next = next.map(|next| next.to_string().parse().unwrap());
        if next.is_none() {
            return (found, parts);
        }
    }
}

async fn scan<S: SessionStore>(given: &Given<S>, filter: &SessionFilter) -> Vec<Session> {
    parts(given, filter, None, 1000).await.0
}

fn by_id(mut sessions: Vec<Session>) -> Vec<Session> {
    sessions.sort_by_key(|session| session.id);
    sessions
}

async fn begin<S: SessionStore>(given: &Given<S>, new: NewSession) -> Session {
    given.store.begin(new).await.unwrap().session
}

async fn end_all_of<S: SessionStore>(given: &Given<S>, account: AccountId) {
    let target = EndSessions::AllOf(account);
    let ended = given.store.end(target, EndReason::LogoutAll).await;
    ended.unwrap().unwrap();
}

/// A scan brings the sessions of all accounts as `load` returns them. The size of a part doesn't
/// matter.
pub async fn a_scan_brings_all_live_sessions_in_parts<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let live = SessionFilter::new();
    assert_eq!(scan(&given, &live).await, []);
    let mut expected = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        for _ in 0..3 {
            expected.push(given.begin(name).await);
        }
    }
    given.ended("alice").await;
    let gone = expected.split_off(9);
    given.end_all("dave", None).await.unwrap();
    assert_eq!(gone.len(), 3);
    let expected = by_id(expected);
    for limit in [1, 2, 5, 1000] {
        let (found, parts) = parts(&given, &live, None, limit).await;
        assert_eq!(by_id(found), expected, "{limit} in a part");
        // A partitioned store has at most one more part per partition.
        assert!(parts <= 12 / limit + 17, "{parts} parts of {limit}");
    }
    // A client may resume a session that has idled too long.
    given.advance_to(expected[0].idle_expires_at);
    assert_eq!(by_id(scan(&given, &live).await), expected);
    given.advance_to(expected[0].absolute_expires_at);
    assert_eq!(scan(&given, &live).await, []);
}

/// A scan brings each session that lives from its beginning to its end exactly once.
pub async fn a_scan_brings_each_session_once_while_others_begin_and_end<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut lasting = HashMap::new();
    for number in 0..40 {
        // Some share an account with sessions that end.
        let name = ["other".to_owned(), format!("user {number}")];
        lasting.insert(given.begin(&name[number % 2]).await.id, 0);
    }
    let over = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let (store, over) = (Arc::clone(&given.store), Arc::clone(&over));
        async move {
            while !over.load(Ordering::SeqCst) {
                let begun = store.begin(new_session("other")).await.unwrap();
                let target = EndSessions::Session(begun.session.id);
                store.end(target, EndReason::Logout).await.unwrap();
            }
        }
    });
    let of_one = SessionFilter::new().subject(subject("other"));
    for (filter, expected) in [
        (SessionFilter::new(), 40),
        (of_one.clone(), 20),
        (of_one.issuer(issuer()), 20),
        (SessionFilter::new().subject_prefix(subject("user")), 20),
    ] {
        for limit in [1, 7, 40] {
            lasting.values_mut().for_each(|times| *times = 0);
            for session in parts(&given, &filter, None, limit).await.0 {
                if let Some(times) = lasting.get_mut(&session.id) {
                    *times += 1;
                }
            }
            let once = lasting.values().filter(|times| **times == 1).count();
            assert_eq!(once, expected, "{limit} in a part: {lasting:?}");
        }
    }
    over.store(true, Ordering::SeqCst);
    others.await.unwrap();
}

/// A part is empty if all of its sessions have ended or expired.
pub async fn a_scan_goes_on_behind_sessions_that_are_over<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut live = Vec::new();
    for number in 0..60 {
        let name = format!("user {}", number % 7);
        let mut new = new_session(&name);
        if number % 3 == 1 {
            new.absolute_ttl = MINUTE;
        }
        let session = begin(&given, new).await;
        match number % 20 {
            0 => live.push(session),
            _ if number % 3 == 1 => {}
            _ => drop(given.end(&session).await.unwrap()),
        }
    }
    let over = given.begin("over").await;
    end_all_of(&given, over.account()).await;
    given.clock.advance(MINUTE);
    live.retain(|session| session.absolute_expires_at > given.clock.now());
    let live = by_id(live);
    assert!(!live.is_empty());
    for limit in [1, 3, 50] {
        let (found, _) = parts(&given, &SessionFilter::new(), None, limit).await;
        assert_eq!(by_id(found), live, "{limit} in a part");
    }
}

/// The order never changes, so the place behind a session is as good as a cursor of the store. You
/// can cut a part short there.
pub async fn a_scan_goes_on_behind_each_session_of_a_part<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for number in 0..30 {
        // Some sessions share an instant.
        if number % 4 == 0 {
            given.clock.advance(MILLISECOND);
        }
        given.begin(["alice", "bob", "bobby"][number % 3]).await;
    }
    let any = SessionFilter::new().state(SessionState::Any);
    let of_alice = any.clone().subject(subject("alice"));
    for filter in [
        any.clone(),
        any.subject_prefix(subject("bob")),
        of_alice.clone(),
        of_alice.issuer(issuer()),
    ] {
        let all = scan(&given, &filter).await;
        assert!(all.len() >= 10);
        // Every change that keeps a session.
        let changed = given.store.advance(advance_of(&all[0])).await;
        assert!(changed.unwrap().is_some());
        given
            .store
            .change(change_of(&all[1]))
            .await
            .unwrap()
            .unwrap();
        given.end(&all[2]).await;
        let ids = |sessions: &[Session]| Vec::from_iter(sessions.iter().map(|one| one.id));
        let all_ids = ids(&all);
        for (place, session) in all.iter().enumerate() {
            let behind = Some(filter.cursor_behind(session));
            for limit in [1, 1000] {
                let (found, _) = parts(&given, &filter, behind.clone(), limit).await;
                assert_eq!(ids(&found), all_ids[place + 1..], "{filter:?}, {limit}");
            }
        }
    }
}

fn change_of(session: &Session) -> ChangeIdentity {
    ChangeIdentity::new(session, changed_identity(session.subject()))
}

/// The purge may have removed the session that a part ended with.
pub async fn a_scan_goes_on_behind_a_session_that_is_gone<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    for _ in 0..6 {
        given.begin("alice").await;
        given.clock.advance(MINUTE);
    }
    let of_alice = SessionFilter::new().subject(subject("alice"));
    for filter in [
        SessionFilter::new(),
        SessionFilter::new().subject_prefix(subject("al")),
        of_alice.clone(),
        of_alice.issuer(issuer()),
    ] {
        let all = scan(&given, &filter).await;
        let gone = given.begin("alice").await;
        given.end(&gone).await.unwrap();
        let behind = Some(filter.cursor_behind(&gone));
        given.advance_to(given.load(&gone).await.purge_at());
        assert!(given.purge().await > 0);
        assert_eq!(given.find(gone.id).await, None);
        let (found, _) = parts(&given, &filter, behind, 2).await;
        assert_eq!(found, all);
    }
}

/// Plays each condition alone and all of them together, with and without an index.
pub async fn a_scan_brings_the_sessions_for_which_all_conditions_hold<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let start = given.clock.now();
    let other_issuer = Issuer::new("https://bank.example").unwrap();
    let other_audience = Audience::new("bank-api").unwrap();
    let mut all = Vec::new();
    for number in 0..8_u8 {
        let name = ["alice", "alina", "bob", "bob"][usize::from(number % 4)];
        let mut new = new_session(name);
        if number >= 6 {
            new.issuer = other_issuer.clone();
            new.id = session_id(AccountId::of(&other_issuer, &subject(name)));
        }
        if number % 2 == 1 {
            new.audience = other_audience.clone();
        }
        if number == 1 || number == 4 {
            new.client = client("mobile");
        }
        if number < 3 {
            new.identity = new.identity.device("Ärgernis 7");
        }
        new.device.user_agent = (number == 3 || number == 5).then(|| r#"Fire"fox\140%"#.to_owned());
        new.device.address = Some(IpAddr::from([192, 0, 2 + number / 4, number]));
        all.push(begin(&given, new).await);
        given.clock.advance(MINUTE);
    }
    all[2] = given
        .store
        .advance(advance_of(&all[2]))
        .await
        .unwrap()
        .unwrap();
    given.end(&all[5]).await.unwrap();
    all[5] = given.load(&all[5]).await;
    end_all_of(&given, all[0].account()).await;
    for number in [0, 4] {
        all[number] = given.load(&all[number]).await;
    }

    let any = || SessionFilter::new().state(SessionState::Any);
    let at = |minutes: u32| start + MINUTE * minutes;
    let address = IpAddr::from([192, 0, 3, 7]);
    let cases: [(SessionFilter, &[usize]); 33] = [
        (any(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (SessionFilter::new(), &[1, 2, 3, 6, 7]),
        (any().state(SessionState::Ended), &[0, 4, 5]),
        (any().issuer(issuer()), &[0, 1, 2, 3, 4, 5]),
        (any().issuer(other_issuer.clone()), &[6, 7]),
        (any().audience(other_audience), &[1, 3, 5, 7]),
        (any().client(client("mobile")), &[1, 4]),
        (any().client(client("Mobile")), &[]),
        (any().subject(subject("alice")), &[0, 4]),
        (any().subject(subject("ali")), &[]),
        (any().subject(subject("bob")), &[2, 3, 6, 7]),
        (any().subject(subject("bob")).issuer(issuer()), &[2, 3]),
        (any().subject(subject("bob")).issuer(other_issuer), &[6, 7]),
        (any().subject(subject("eve")).issuer(issuer()), &[]),
        (any().subject_prefix(subject("ali")), &[0, 1, 4, 5]),
        (any().subject_prefix(subject("alice")), &[0, 4]),
        (any().subject_prefix(subject("bobby")), &[]),
        (
            any().subject_prefix(subject("ali")).issuer(issuer()),
            &[0, 1, 4, 5],
        ),
        (any().device("ÄRGERNIS"), &[0, 1, 2]),
        (any().device("fire\"FOX\\14"), &[3, 5]),
        (any().device("%"), &[3, 5]),
        (any().network(address.into()), &[7]),
        (
            any().network("192.0.2.0/24".parse().unwrap()),
            &[0, 1, 2, 3],
        ),
        (any().begun_after(at(6)), &[6, 7]),
        (any().begun_after(at(6) + MILLISECOND), &[7]),
        (any().begun_before(at(1)), &[0]),
        (any().begun_before(at(1) + MILLISECOND), &[0, 1]),
        (any().begun_after(at(2)).begun_before(at(4)), &[2, 3]),
        (any().begun_after(at(4)).begun_before(at(2)), &[]),
        (any().seen_after(at(7)), &[2, 7]),
        (any().seen_before(at(3)), &[0, 1]),
        (
            any()
                .begun_before(at(3))
                .subject(subject("bob"))
                .issuer(issuer()),
            &[2],
        ),
        (
            any()
                .begun_after(at(4))
                .subject_prefix(subject("b"))
                .client(client("web")),
            &[6, 7],
        ),
    ];
    for (filter, expected) in cases {
        let expected = expected.iter().map(|number| all[*number].clone());
        let expected = by_id(expected.collect());
        for limit in [1, 3, 1000] {
            let (found, _) = parts(&given, &filter, None, limit).await;
            assert_eq!(by_id(found), expected, "{filter:?}, {limit} in a part");
        }
    }
}

/// Subjects have no wildcards, and the comparison is case-sensitive.
pub async fn a_scan_compares_subjects_byte_by_byte<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let long = "x".repeat(255);
    let names = [
        "a",
        "A",
        "ab",
        "aB",
        "a%",
        "a_",
        "a\\",
        "a\"b",
        "a'b",
        "a\u{10ffff}",
        "ä",
        "a\u{308}",
        "a b",
        "b",
        "a.b",
        "*",
        &long,
    ];
    for name in names {
        given.begin(name).await;
    }
    for name in names {
        let subjects = async |filter: SessionFilter| {
            let found = scan(&given, &filter).await.into_iter();
            let mut found = Vec::from_iter(found.map(|one| one.subject().as_str().to_owned()));
            found.sort();
            found
        };
        let of_one = SessionFilter::new().subject(subject(name));
        assert_eq!(subjects(of_one.clone()).await, [name]);
        assert_eq!(subjects(of_one.issuer(issuer())).await, [name]);
        let mut expected = Vec::from(names);
        expected.retain(|other| other.starts_with(name));
        expected.sort_unstable();
        let prefixed = SessionFilter::new().subject_prefix(subject(name));
        assert_eq!(subjects(prefixed).await, expected, "{name}");
    }
}

/// The store forgets a session with its purge, and not earlier.
pub async fn a_scan_brings_sessions_that_are_over_until_they_are_purged<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (ended, _) = given.ended("alice").await;
    let with_others = given.begin("bob").await;
    given.end_all("bob", None).await.unwrap();
    let with_others = given.load(&with_others).await;
    let filter = SessionFilter::new().state(SessionState::Ended);
    let of = |name| filter.clone().subject(subject(name)).issuer(issuer());
    let all = by_id(vec![ended.clone(), with_others.clone()]);
    given.advance_to(ended.purge_at());
    given.clock.step_wall_back(MILLISECOND);
    given.purge().await;
    assert_eq!(by_id(scan(&given, &filter).await), all);
    assert_eq!(scan(&given, &of("alice")).await, [ended]);
    assert_eq!(scan(&given, &of("bob")).await, [with_others]);
    given.clock.advance(HOUR);
    while given.purge().await > 0 {}
    for filter in [filter.clone(), of("alice"), of("bob")] {
        assert_eq!(scan(&given, &filter).await, []);
    }
    // No call has ended an expired session.
    let expired = given.begin("carol").await;
    given.clock.advance(ABSOLUTE_TTL);
    assert_eq!(scan(&given, &filter).await, [expired]);
    given.clock.advance(HOUR);
    while given.purge().await > 0 {}
    assert_eq!(scan(&given, &filter).await, []);
}

/// A scan shows the rights, the rotation and everything else.
pub async fn a_scan_shows_a_session_as_it_is_loaded<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut new = new_session("alice");
    // Some database functions refuse this claim.
    let claims = serde_json::json!({ "null": "\u{0}", "subject": "bob" });
    new.identity = Identity::of(subject("alice")).claims(&claims).unwrap();
    let session = begin(&given, new).await;
    let mut advance = advance_of(&session);
    advance.to = advance.to.next();
    given.clock.advance(MINUTE);
    given.store.advance(advance).await.unwrap().unwrap();
    given
        .store
        .change(change_of(&session))
        .await
        .unwrap()
        .unwrap();
    let loaded = given.load(&session).await;
    let of_alice = SessionFilter::new().subject(subject("alice"));
    for filter in [
        SessionFilter::new(),
        SessionFilter::new().subject_prefix(Subject::new("al").unwrap()),
        of_alice.clone(),
        of_alice.issuer(issuer()),
    ] {
        assert_eq!(scan(&given, &filter).await, std::slice::from_ref(&loaded));
    }
    let ids = scan(&given, &SessionFilter::new().subject(subject("bob"))).await;
    assert_eq!(
        Vec::from_iter(ids.iter().map(|one| one.id)),
        Vec::<SessionId>::new()
    );
}
