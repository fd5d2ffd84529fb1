//! The sessions of all users, as administrators find, count and end them.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gatepass::{
    Authority, ClientId, Device, Error, Identity, Issued, MasterSecret, MemoryStore, Pace, Refusal,
    SessionFilter, SessionId, SessionState,
    store::{EndReason, EndSessions, SessionStore, StoreErrorKind},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore, sessions};
use test_support::world::{
    HOUR, SECOND, SECRET, Store, Ticking, World, builder, login, refusal, subject, verify,
};
use tokio::time::{Instant, timeout};

fn pace(sessions: u32) -> Pace {
    Pace::sessions_per_second(NonZeroU32::new(sessions).unwrap())
}

fn of(client: &str) -> SessionFilter {
    SessionFilter::new().client(ClientId::new(client).unwrap())
}

/// A login of this user by this client.
async fn login_by(node: &Authority, name: &str, client: &str) -> Issued {
    let client = ClientId::new(client).unwrap();
    let identity = Identity::of(subject(name));
    let issued = node.issue_as(&client, identity, Device::default()).await;
    issued.unwrap()
}

/// The ids on all pages, in order, and the lengths of the pages.
async fn pages(node: &Authority, filter: &SessionFilter) -> (Vec<SessionId>, Vec<usize>) {
    let (mut ids, mut lengths, mut next) = (Vec::new(), Vec::new(), None);
    loop {
        let page = node.find_sessions(filter, next.as_ref()).await.unwrap();
        lengths.push(page.sessions.len());
        ids.extend(page.sessions.iter().map(|session| session.id));
        next = page.next;
        if next.is_none() {
            return (ids, lengths);
        }
    }
}

/// A node of another service that shares the store.
async fn foreign(world: &World, issuer: &str, audience: &str) -> Authority {
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    let node = Authority::builder(issuer, audience, secret, Arc::clone(&world.store));
    let node = node.clock(world.clock.clone()).share_store();
    node.build().await.unwrap()
}

test_support::on_both_stores! {
    pages_hold_each_session_once_and_the_newest_first
    a_page_is_full_although_few_sessions_match
    only_sessions_of_the_own_service_are_found_unless_others_are_asked_for
    exactly_the_sessions_that_match_end
    sessions_that_are_over_do_not_end_again
    a_session_that_ends_meanwhile_is_not_counted
}

async fn pages_hold_each_session_once_and_the_newest_first(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock).max_sessions(None);
    let node = node.build().await.unwrap();
    let mut expected = Vec::new();
    for number in 0..230 {
        expected.push(
            login(&node, &format!("user {}", number % 9))
                .await
                .session_id,
        );
        world.clock.advance(SECOND);
    }
    expected.reverse();
    let all = SessionFilter::new();
    let found = pages(&node, &all).await;
    assert_eq!(found, (expected.clone(), vec![100, 100, 30]));
    let found = pages(&node, &all.clone().page_size(115)).await;
    assert_eq!(found.0, expected);
    assert_eq!(found.1[..2], [115, 115]);
    // A page of no sessions would come to no end.
    let found = pages(&node, &all.clone().page_size(0)).await;
    assert_eq!(found.0, expected);
    assert_eq!(node.count_sessions(&all).await.unwrap(), 230);

    // Sessions that begin don't move those on later pages.
    let first = node.find_sessions(&all, None).await.unwrap();
    login(&node, "newcomer").await;
    let second = node.find_sessions(&all, first.next.as_ref()).await.unwrap();
    let ids = Vec::from_iter(second.sessions.iter().map(|session| session.id));
    assert_eq!(ids, expected[100..200]);
}

async fn a_page_is_full_although_few_sessions_match(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock).max_sessions(None);
    let node = node.build().await.unwrap();
    for number in 0..120 {
        let client = if number % 12 == 0 { "rare" } else { "web" };
        login_by(&node, "alice", client).await;
    }
    let (ids, lengths) = pages(&node, &of("rare").page_size(4)).await;
    assert_eq!((ids.len(), lengths), (10, vec![4, 4, 2]));
    assert_eq!(node.count_sessions(&of("rare")).await.unwrap(), 10);
}

async fn only_sessions_of_the_own_service_are_found_unless_others_are_asked_for(world: World) {
    let node = world.node().await;
    let other_audience = foreign(&world, "https://shop.example", "other-api").await;
    let other_issuer = foreign(&world, "https://bank.example", "bank-api").await;
    let mine = login(&node, "alice").await;
    let same_issuer = login(&other_audience, "alice").await;
    let theirs = login(&other_issuer, "alice").await;

    let sorted = |mut ids: Vec<SessionId>| {
        ids.sort();
        ids
    };
    let found = async |filter: &SessionFilter| {
        let ids = sorted(pages(&node, filter).await.0);
        let count = node.count_sessions(filter).await.unwrap();
        assert_eq!(count, ids.len() as u64);
        ids
    };
    let of_alice = SessionFilter::new().subject(subject("alice"));
    let audience = "other-api".try_into().unwrap();
    let of_the_other = of_alice.clone().audience(audience);
    assert_eq!(found(&of_alice).await, [mine.session_id]);
    assert_eq!(found(&of_the_other).await, [same_issuer.session_id]);
    let all = [&mine, &same_issuer, &theirs].map(|issued| issued.session_id);
    assert_eq!(
        found(&of_alice.clone().all_services()).await,
        sorted(all.to_vec())
    );
    let shown = async |issued: &Issued| node.session(issued.session_id).await.unwrap().is_some();
    assert!(shown(&mine).await && shown(&same_issuer).await && !shown(&theirs).await);

    let ended = node.end_where(&of_alice, Pace::default()).await.unwrap();
    assert_eq!(ended.count, 1);
    verify(&other_audience, &same_issuer).await.unwrap();
    verify(&other_issuer, &theirs).await.unwrap();
    let everywhere = of_alice.all_services();
    let ended = node.end_where(&everywhere, Pace::default()).await;
    assert_eq!(ended.unwrap().count, 2);
    let (theirs, _) = world.store.load(theirs.session_id).await.unwrap();
    let reason = theirs.unwrap().ended.unwrap().reason;
    assert_eq!(reason, EndReason::EndedByApplication);
}

/// They are more than a part has, of many users, and each has its entry in the log.
async fn exactly_the_sessions_that_match_end(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock).max_sessions(None);
    let node = node.build().await.unwrap();
    let other_node = world.node().await;
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for number in 0..520 {
        let name = format!("user {}", number % 60);
        match number % 5 {
            0 => others.push(login_by(&node, &name, "web").await),
            _ => matching.push(login_by(&node, &name, "old app").await),
        }
    }
    let ended = node.end_where(&of("old app"), pace(1_000_000)).await;
    let ended = ended.unwrap();
    assert_eq!(ended.count, matching.len() as u64);
    for issued in &matching {
        assert_eq!(refusal(verify(&node, issued).await), Refusal::Revoked);
    }
    for issued in &others {
        verify(&node, issued).await.unwrap();
    }
    let (log, _) = sessions::pull_all(&world.store, None).await;
    assert_eq!(log.len(), matching.len());
    // The node that waits knows when the others enforce it.
    ended.ending.enforced().await;
    for issued in &matching {
        assert_eq!(refusal(verify(&other_node, issued).await), Refusal::Revoked);
    }
    let again = node.end_where(&of("old app"), Pace::default()).await;
    assert_eq!(again.unwrap().count, 0);
}

/// A session that has expired was not ended by the call either.
async fn sessions_that_are_over_do_not_end_again(world: World) {
    let node = world.node().await;
    let brief = Identity::of(subject("bob")).impersonated_by(subject("support"), HOUR);
    let brief = node.issue(brief, Device::default()).await.unwrap();
    let ended = login(&node, "alice").await;
    node.logout(ended.access_token.as_str()).await.unwrap();
    world.clock.advance(HOUR);
    let live = login(&node, "carol").await;
    let over = SessionFilter::new().state(SessionState::Ended);
    assert_eq!(node.count_sessions(&over).await.unwrap(), 2);
    let count = async |filter| {
        node.end_where(&filter, Pace::default())
            .await
            .unwrap()
            .count
    };
    assert_eq!(count(over).await, 0);
    verify(&node, &live).await.unwrap();
    assert_eq!(
        count(SessionFilter::new().state(SessionState::Any)).await,
        1
    );
    let (expired, _) = world.store.load(brief.session_id).await.unwrap();
    assert_eq!(expired.unwrap().ended, None);
    let (ended, _) = world.store.load(ended.session_id).await.unwrap();
    assert_eq!(ended.unwrap().ended.unwrap().reason, EndReason::Logout);
}

async fn a_session_that_ends_meanwhile_is_not_counted(world: World) {
    let store = TestStore::new(Arc::clone(&world.store));
    let handle = store.clone();
    let node = builder(store, &world.clock).build().await.unwrap();
    let session = login(&node, "alice").await;
    login(&node, "bob").await;
    let held = handle.hold_before(Op::End);
    let ending = tokio::spawn({
        let node = node.clone();
        async move { node.end_where(&SessionFilter::new(), Pace::default()).await }
    });
    held.reached().await;
    // Both, since the order of two sessions of one instant is the store's.
    for name in ["alice", "bob"] {
        let account = node.account(&subject(name));
        let all = EndSessions::AllOf(account);
        world
            .store
            .end(all, EndReason::LogoutAll)
            .await
            .unwrap()
            .unwrap();
    }
    held.release();
    assert_eq!(ending.await.unwrap().unwrap().count, 0);
    let (session, _) = world.store.load(session.session_id).await.unwrap();
    assert_eq!(session.unwrap().ended.unwrap().reason, EndReason::LogoutAll);
}

/// A store with so many sessions, and a node over it that counts its calls.
async fn large(sessions: usize) -> (TestStore, Authority) {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    for number in 0..sessions {
        let new = sessions::new_session(&format!("user {}", number % 97));
        store.begin(new).await.unwrap();
    }
    let node = builder(store.clone(), &clock).build().await.unwrap();
    (store, node)
}

#[tokio::test]
async fn a_page_comes_after_a_bounded_number_of_calls() {
    let (store, node) = large(21_000).await;
    let rare = of("rare");
    let (mut next, mut pages) = (None, 0);
    loop {
        let before = store.calls_of(Op::Scan);
        let page = node.find_sessions(&rare, next.as_ref()).await.unwrap();
        assert!(page.sessions.is_empty());
        assert!(store.calls_of(Op::Scan) - before <= 41);
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, 2);
}

#[tokio::test]
async fn a_page_has_a_thousand_sessions_at_most() {
    let (_, node) = large(1100).await;
    let all = SessionFilter::new().page_size(usize::MAX);
    let found = pages(&node, &all).await;
    assert_eq!(found.1, [1000, 100]);
}

#[tokio::test(start_paused = true)]
async fn ends_of_many_sessions_keep_their_pace_and_stop_with_their_caller() {
    let clock = Ticking::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let node = builder(Arc::clone(&store), &ManualClock::new()).clock(clock);
    let node = node.build().await.unwrap();
    for number in 0..100 {
        login(&node, &format!("user {number}")).await;
    }
    let live = SessionFilter::new();
    let stopped = timeout(5 * SECOND, node.end_where(&live, pace(10))).await;
    assert!(stopped.is_err());
    // An end that has reached the store finishes, although its caller has stopped.
    tokio::time::sleep(SECOND).await;
    let left = node.count_sessions(&live).await.unwrap();
    assert!((36..=64).contains(&left), "{left}");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(node.count_sessions(&live).await.unwrap(), left);

    let began = Instant::now();
    let ended = node.end_where(&live, pace(10)).await.unwrap();
    assert_eq!(ended.count, left);
    let expected = Duration::from_millis(100 * left);
    let took = began.elapsed();
    assert!(
        (expected * 3 / 4..expected * 5 / 4 + SECOND).contains(&took),
        "{took:?}"
    );
}

/// Sessions that have ended by then stay so, and the next call ends the rest.
#[tokio::test]
async fn a_store_that_fails_in_between_is_an_error_and_not_a_refusal() {
    let (store, node) = large(20).await;
    let held = store.hold_after(Op::End);
    let ending = tokio::spawn({
        let node = node.clone();
        async move { node.end_where(&SessionFilter::new(), pace(100_000)).await }
    });
    held.reached().await;
    store.inject(Op::End, StoreFault::LoseAnswer(StoreErrorKind::Unavailable));
    held.release();
    let error = ending.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    store.heal();
    let left = node.count_sessions(&SessionFilter::new()).await.unwrap();
    assert_eq!(left, 18);
    let ended = node.end_where(&SessionFilter::new(), pace(100_000)).await;
    assert_eq!(ended.unwrap().count, left);
    store.inject(Op::Scan, StoreFault::Fail(StoreErrorKind::Unavailable));
    for error in [
        node.find_sessions(&SessionFilter::new(), None)
            .await
            .map(drop),
        node.count_sessions(&SessionFilter::new()).await.map(drop),
        node.end_where(&SessionFilter::new(), Pace::default())
            .await
            .map(drop),
    ] {
        assert!(matches!(error, Err(Error::Store(_))), "{error:?}");
    }
}
