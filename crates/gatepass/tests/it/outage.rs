//! A store that fails, hangs, or whose answers get lost: it logs no user out, lets no stranger in,
//! and lets no client wait for ever.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Clock, Credentials, Device, Error, Identity,
    IdentityError, Issued, MemoryStore, Refusal, Scopes, Session, Staleness, StoreError,
    UserUpdate, async_trait,
    store::{EndReason, Generation, SessionStore, StoreErrorKind},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{
    HOUR, SECOND, Ticking, World, builder, login, refresh, refusal, subject, verify, verify_with,
};
use tokio::{task::JoinSet, time::Instant};

const TIMEOUT: Duration = Duration::from_millis(200);
const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const LOST: StoreFault = StoreFault::LoseAnswer(StoreErrorKind::Unavailable);

/// A node over a store that fails on command, and whose calls are counted.
struct Node {
    authority: Authority,
    store: Arc<dyn SessionStore>,
    handle: TestStore,
    counts: TestStore,
}

impl Node {
    async fn new(store: impl SessionStore, clock: impl Clock) -> Self {
        let store: Arc<dyn SessionStore> = Arc::new(store);
        let faulty = TestStore::new(Arc::clone(&store));
        let handle = faulty.clone();
        let counting = TestStore::new(faulty);
        let counts = counting.clone();
        let authority = builder(counting, &ManualClock::new())
            .clock(clock)
            .store_timeout(TIMEOUT);
        Self {
            authority: authority.build().await.unwrap(),
            store,
            handle,
            counts,
        }
    }

    async fn generation(&self, issued: &Issued) -> Generation {
        let (session, _) = self.store.load(issued.session_id).await.unwrap();
        session.unwrap().generation
    }
}

/// A node, and the clock of its store and of its own. The time that a call may take is tokio's, so
/// that a test with paused time sees the same on a busy machine.
async fn manual() -> (ManualClock, Node) {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let node = Node::new(store, clock.clone()).await;
    (clock, node)
}

/// That the store failed is told as that, and in time.
async fn assert_unavailable<T: std::fmt::Debug>(
    operation: &str,
    answer: impl Future<Output = Result<T, Error>>,
) {
    let began = Instant::now();
    let answer = answer.await;
    assert!(
        matches!(answer, Err(Error::Store(_))),
        "{operation}: {answer:?}"
    );
    assert!(began.elapsed() <= TIMEOUT, "{operation}");
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_or_hangs_is_told_as_that_and_has_done_nothing() {
    let (_, node) = manual().await;
    let authority = &node.authority;
    let alice = subject("alice");
    for fault in [
        DOWN,
        StoreFault::Fail(StoreErrorKind::Busy),
        StoreFault::Hang,
    ] {
        let first = login(authority, "alice").await;
        let other = login(authority, "alice").await;
        let pass = verify(authority, &first).await.unwrap();
        let sessions = authority
            .sessions(&alice, None)
            .await
            .unwrap()
            .sessions
            .len();

        node.handle.inject_everywhere(fault);
        let issue = authority.issue(Identity::of(alice.clone()), Device::default());
        assert_unavailable("login", issue).await;
        assert_unavailable("refresh", refresh(authority, &first)).await;
        let (access, token) = (first.access_token.as_str(), first.refresh_token.as_str());
        assert_unavailable("logout by refresh token", authority.logout(token)).await;
        assert_unavailable("logout by access token", authority.logout(access)).await;
        assert_unavailable("logout_all", authority.logout_all(&alice)).await;
        assert_unavailable("logout_others", authority.logout_others(&pass)).await;
        assert_unavailable("end_session", authority.end_session(first.session_id)).await;
        let end = authority.end_session_of(&alice, first.session_id);
        assert_unavailable("end_session_of", end).await;
        assert_unavailable("revoke_token", authority.revoke_token(&pass)).await;
        assert_unavailable("sessions", authority.sessions(&alice, None)).await;
        let strict = verify_with(authority, &first, Staleness::Strict);
        assert_unavailable("strict", strict).await;

        // A text that is no token of ours is refused all the same: the store is not asked about it.
        let garbage = authority.refresh("gpr_garbage").await;
        assert_eq!(refusal(garbage), Refusal::Malformed);

        node.handle.heal();
        assert_eq!(
            authority
                .sessions(&alice, None)
                .await
                .unwrap()
                .sessions
                .len(),
            sessions
        );
        assert_eq!(node.generation(&first).await, Generation::FIRST);
        for issued in [&first, &other] {
            verify(authority, issued).await.unwrap();
            refresh(authority, issued).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_token_that_cannot_be_looked_up_ends_nothing() {
    let (clock, node) = manual().await;
    let authority = &node.authority;
    let first = login(authority, "alice").await;
    let second = refresh(authority, &first).await.unwrap();
    clock.advance(31 * SECOND);
    refresh(authority, &second).await.unwrap();
    clock.advance(31 * SECOND);
    for fault in [DOWN, StoreFault::Hang] {
        // A reuse, which cannot be told from a replay without the row.
        node.handle.inject(Op::Load, fault);
        assert_unavailable("load", refresh(authority, &first)).await;
        node.handle.heal();
        // A recovery that cannot be noted is none.
        node.handle.inject(Op::Recover, fault);
        assert_unavailable("recover", refresh(authority, &second)).await;
        // A theft that is noticed, and cannot be stopped yet.
        node.handle.inject(Op::End, fault);
        assert_unavailable("end", refresh(authority, &first)).await;
        node.handle.heal();
        verify(authority, &first).await.unwrap();
    }
    let reused = refresh(authority, &first).await;
    assert_eq!(refusal(reused), Refusal::Reused);
    let verified = verify(authority, &first).await;
    assert_eq!(refusal(verified), Refusal::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_answer_was_lost_is_answered_when_it_is_tried_again() {
    let (clock, node) = manual().await;
    let authority = &node.authority;
    let first = login(authority, "alice").await;
    node.handle.inject(Op::Advance, LOST);
    assert_unavailable("refresh", refresh(authority, &first)).await;
    assert_eq!(node.generation(&first).await, Generation::new(1));
    node.handle.heal();

    let soon = refresh(authority, &first).await.unwrap();
    clock.advance(31 * SECOND);
    node.handle.inject(Op::Recover, LOST);
    assert_unavailable("recover", refresh(authority, &first)).await;
    node.handle.heal();
    let later = refresh(authority, &first).await.unwrap();
    clock.advance(HOUR - 31 * SECOND);
    let latest = refresh(authority, &first).await.unwrap();
    for issued in [&soon, &later, &latest] {
        assert_eq!(issued.refresh_token, soon.refresh_token);
    }
    verify(authority, &latest).await.unwrap();
    assert_eq!(node.generation(&first).await, Generation::new(1));
    refresh(authority, &soon).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_logout_whose_answer_was_lost_can_be_repeated_and_is_enforced() {
    let (clock, node) = manual().await;
    let authority = &node.authority;
    let first = login(authority, "alice").await;
    node.handle.inject(Op::End, LOST);
    let token = first.refresh_token.as_str();
    assert_unavailable("logout", authority.logout(token)).await;
    node.handle.heal();
    authority.logout(token).await.unwrap();
    clock.advance(3 * SECOND);
    assert_eq!(refusal(verify(authority, &first).await), Refusal::Revoked);
}

#[tokio::test(start_paused = true)]
async fn verification_goes_on_without_the_store_until_the_lease_is_over() {
    let (clock, node) = manual().await;
    let authority = &node.authority;
    let live = login(authority, "alice").await;
    let ended = login(authority, "alice").await;
    authority
        .logout(ended.refresh_token.as_str())
        .await
        .unwrap();
    for fault in [DOWN, StoreFault::Hang, LOST] {
        // A fresh lease, of this very instant.
        verify_with(authority, &live, Staleness::Within(Duration::ZERO))
            .await
            .unwrap();
        node.handle.inject_everywhere(fault);
        for _ in 0..2 {
            verify(authority, &live).await.unwrap();
            assert_eq!(refusal(verify(authority, &ended).await), Refusal::Revoked);
            clock.advance(SECOND);
        }
        verify(authority, &live).await.unwrap();
        clock.advance(Duration::from_millis(1));
        assert_unavailable("verify", verify(authority, &live)).await;
        assert_unavailable("verify", verify(authority, &ended)).await;
        node.handle.heal();
        verify(authority, &live).await.unwrap();
        assert_eq!(refusal(verify(authority, &ended).await), Refusal::Revoked);
    }
}

async fn many(node: &Node, issued: &Issued, staleness: Staleness) -> Vec<Result<(), Error>> {
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let (authority, issued) = (node.authority.clone(), issued.clone());
        requests.spawn(async move {
            let verified = verify_with(&authority, &issued, staleness).await;
            verified.map(drop)
        });
    }
    requests.join_all().await
}

#[tokio::test(start_paused = true)]
async fn many_requests_out_of_lease_share_one_pull_and_its_failure() {
    let (clock, node) = manual().await;
    let first = login(&node.authority, "alice").await;
    for fault in [StoreFault::Hang, StoreFault::Delay(TIMEOUT / 4)] {
        node.handle.inject(Op::Pull, fault);
        clock.advance(3 * SECOND);
        node.counts.reset_calls();
        let began = Instant::now();
        let answers = many(&node, &first, Staleness::Bounded).await;
        for answer in answers {
            assert_eq!(answer.is_err(), fault == StoreFault::Hang, "{answer:?}");
            assert!(
                matches!(answer, Ok(()) | Err(Error::Store(_))),
                "{answer:?}"
            );
        }
        assert!(began.elapsed() <= 2 * TIMEOUT);
        // The requests' own, the one that was under way, and the follower's next.
        assert!(node.counts.calls_of(Op::Pull) <= 3, "{:?}", node.counts);
        node.handle.heal();
    }
}

async fn ticking() -> Node {
    let clock = Ticking::new();
    Node::new(
        TestStore::new(MemoryStore::with_clock(clock.clone())).durable(),
        clock,
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_takes_longer_than_the_bound_is_shared_nevertheless() {
    let node = ticking().await;
    let first = login(&node.authority, "alice").await;
    let slow = TIMEOUT / 2;
    node.handle.inject(Op::Pull, StoreFault::Delay(slow));
    tokio::time::sleep(SECOND).await;
    node.counts.reset_calls();
    let began = Instant::now();
    for answer in many(&node, &first, Staleness::Within(slow / 10)).await {
        answer.unwrap();
    }
    assert!(began.elapsed() <= 2 * TIMEOUT, "{:?}", began.elapsed());
    assert!(node.counts.calls_of(Op::Pull) <= 3, "{:?}", node.counts);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_waited_for_longer_than_the_timeout() {
    let node = ticking().await;
    let authority = &node.authority;
    let first = login(authority, "alice").await;
    node.handle.inject_everywhere(StoreFault::Hang);
    // The lease runs out.
    tokio::time::sleep(5 * SECOND).await;

    let began = Instant::now();
    refresh(authority, &first).await.unwrap_err();
    assert_eq!(began.elapsed(), TIMEOUT);
    let began = Instant::now();
    let token = first.access_token.as_str();
    authority.logout(token).await.unwrap_err();
    assert_eq!(began.elapsed(), TIMEOUT);
    let began = Instant::now();
    let issue = authority.issue(Identity::of(subject("alice")), Device::default());
    issue.await.unwrap_err();
    assert_eq!(began.elapsed(), TIMEOUT);
    let began = Instant::now();
    assert_unavailable("verify", verify(authority, &first)).await;
    assert!(began.elapsed() <= 2 * TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_node_catches_up_by_itself_once_the_store_is_back() {
    let node = ticking().await;
    let authority = &node.authority;
    let live = login(authority, "alice").await;
    let ended = login(authority, "alice").await;
    node.handle.inject_everywhere(DOWN);
    tokio::time::sleep(HOUR / 6).await;
    // Another node reaches the store.
    let target = gatepass::store::EndSessions::Session(ended.session_id);
    let end = node.store.end(target, EndReason::Logout);
    assert!(end.await.unwrap().is_some());
    assert_unavailable("verify", verify(authority, &ended)).await;
    assert_unavailable("verify", verify(authority, &live)).await;

    node.handle.heal();
    tokio::time::sleep(LONGEST_PAUSE).await;
    // Requests cannot have brought it about themselves.
    node.handle.inject_everywhere(DOWN);
    verify(authority, &live).await.unwrap();
    assert_eq!(refusal(verify(authority, &ended).await), Refusal::Revoked);
}

/// The longest that a follower waits between two pulls of a store that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_as_often_as_ever_while_that_helps_and_rarely_after() {
    let node = ticking().await;
    node.handle.inject_everywhere(DOWN);
    node.counts.reset_calls();
    tokio::time::sleep(2 * SECOND).await;
    // Every half a second or a little sooner, for the next one may still renew the lease.
    let while_leased = node.counts.calls_of(Op::Pull);
    assert!((4..=8).contains(&while_leased), "{while_leased}");
    tokio::time::sleep(20 * SECOND).await;
    node.counts.reset_calls();
    tokio::time::sleep(HOUR).await;
    let pulls = node.counts.calls_of(Op::Pull);
    assert!((720..=1440).contains(&pulls), "{pulls}");
}

#[tokio::test(start_paused = true)]
async fn a_request_brings_a_node_back_at_once_and_wakes_its_follower() {
    let node = ticking().await;
    let authority = &node.authority;
    for _ in 0..10 {
        node.handle.inject_everywhere(DOWN);
        tokio::time::sleep(60 * SECOND).await;
        node.handle.heal();
        let live = login(authority, "alice").await;
        verify(authority, &live).await.unwrap();
        // It polls again as in good times, however long it was about to wait.
        node.counts.reset_calls();
        tokio::time::sleep(SECOND + SECOND / 10).await;
        assert!(node.counts.calls_of(Op::Pull) >= 2, "{:?}", node.counts);
    }
}

/// The state of the user, which the test sets.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<User>>);

#[derive(Clone, Default)]
enum User {
    #[default]
    AsBefore,
    Unreachable,
    Gone,
    Now(Box<Identity>),
}

impl Users {
    fn become_(&self, user: User) {
        *self.0.lock().unwrap() = user;
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        match self.0.lock().unwrap().clone() {
            User::Unreachable => Err(unreachable_users()),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        match self.0.lock().unwrap().clone() {
            User::AsBefore => Ok(UserUpdate::Unchanged),
            User::Unreachable => Err(unreachable_users()),
            User::Gone => Ok(UserUpdate::Deleted),
            User::Now(identity) => Ok(UserUpdate::Changed(*identity)),
        }
    }
}

fn unreachable_users() -> AuthenticationError {
    AuthenticationError::Unavailable(StoreError::new(StoreErrorKind::Unavailable))
}

async fn with_users() -> (World, Authority, Users) {
    let world = World::sqlite();
    let users = Users::default();
    let authority = builder(world.store.clone(), &world.clock).authenticator(users.clone());
    let authority = authority.build().await.unwrap();
    (world, authority, users)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_cannot_be_read_spend_no_refresh_token_and_refuse_no_login() {
    let (world, authority, users) = with_users().await;
    let first = login(&authority, "alice").await;
    users.become_(User::Unreachable);
    let credentials = Credentials::new("alice", "secret");
    let login = authority.login(&credentials, Device::default());
    assert_unavailable("login", login).await;
    assert_unavailable("refresh", refresh(&authority, &first)).await;
    // An identity that may not be is the application's mistake, and spends nothing either.
    users.become_(User::Now(Box::new(Identity::of(subject("mallory")))));
    let mistaken = refresh(&authority, &first).await;
    assert!(matches!(
        mistaken,
        Err(Error::Identity(IdentityError::SubjectChanged))
    ));
    let (session, _) = world.store.load(first.session_id).await.unwrap();
    assert_eq!(session.unwrap().generation, Generation::FIRST);
    users.become_(User::AsBefore);
    refresh(&authority, &first).await.unwrap();
    // So does a retry of what was spent, and a recovery.
    users.become_(User::Unreachable);
    assert_unavailable("replay", refresh(&authority, &first)).await;
    world.clock.advance(31 * SECOND);
    assert_unavailable("recovery", refresh(&authority, &first)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_gone_is_logged_out_at_the_next_refresh() {
    let (world, authority, users) = with_users().await;
    let first = login(&authority, "alice").await;
    users.become_(User::Gone);
    let refreshed = refresh(&authority, &first).await;
    assert_eq!(refusal(refreshed), Refusal::SessionEnded);
    assert_eq!(refusal(verify(&authority, &first).await), Refusal::Revoked);
    let (session, _) = world.store.load(first.session_id).await.unwrap();
    let ended = session.unwrap().ended.unwrap();
    assert_eq!(ended.reason, EndReason::UserDeleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_scopes_take_effect_at_the_next_refresh_and_older_tokens_are_stale() {
    let (world, authority, users) = with_users().await;
    let first = login(&authority, "alice").await;
    let becomes = |list: &str| {
        let scopes = Scopes::parse(list).unwrap();
        let alice = Identity::of(subject("alice")).scopes(scopes.clone());
        users.become_(User::Now(Box::new(alice)));
        scopes
    };
    let scopes = becomes("read write");
    let second = refresh(&authority, &first).await.unwrap();
    assert_eq!(second.scopes, scopes);
    let pass = verify(&authority, &second).await.unwrap();
    assert_eq!(*pass.scopes(), scopes);
    let older = verify(&authority, &first).await;
    assert_eq!(refusal(older), Refusal::StaleGrant);

    let fewer = becomes("read");
    // A retry gives what the user has now, and so does a recovery.
    assert_eq!(refresh(&authority, &first).await.unwrap().scopes, fewer);
    world.clock.advance(31 * SECOND);
    assert_eq!(refresh(&authority, &first).await.unwrap().scopes, fewer);
    assert_eq!(refresh(&authority, &second).await.unwrap().scopes, fewer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_a_user_who_is_gone_nothing() {
    let (world, authority, users) = with_users().await;
    let first = login(&authority, "alice").await;
    let second = refresh(&authority, &first).await.unwrap();
    users.become_(User::Gone);
    let replayed = refresh(&authority, &first).await;
    assert_eq!(refusal(replayed), Refusal::SessionEnded);
    assert_eq!(refusal(verify(&authority, &second).await), Refusal::Revoked);
    let (session, _) = world.store.load(first.session_id).await.unwrap();
    let ended = session.unwrap().ended.unwrap();
    assert_eq!(ended.reason, EndReason::UserDeleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_a_demoted_user_what_is_left_and_refuses_older_tokens() {
    let (world, authority, users) = with_users().await;
    let of = |list: &str| Identity::of(subject("alice")).scopes(Scopes::parse(list).unwrap());
    let first = authority.issue(of("admin read"), Device::default()).await;
    let first = first.unwrap();
    let second = refresh(&authority, &first).await.unwrap();
    let (before, _) = world.store.load(first.session_id).await.unwrap();
    users.become_(User::Now(Box::new(of("read").access_ttl(HOUR))));
    let replayed = refresh(&authority, &first).await.unwrap();
    assert_eq!(replayed.scopes, Scopes::parse("read").unwrap());
    assert_eq!(replayed.refresh_token, second.refresh_token);
    let pass = verify(&authority, &replayed).await.unwrap();
    assert_eq!(*pass.scopes(), replayed.scopes);
    // The token lives no longer than the row allows, also if the identity allows more now.
    assert_eq!(pass.expires_at(), second.expires_at);
    // Asked for what the user has lost, it is refused.
    let client = authority.client_id();
    let token = first.refresh_token.as_str();
    let admin = Scopes::parse("admin").unwrap();
    let asked = authority
        .refresh_as(client, token, Some(&admin), None)
        .await;
    assert_eq!(refusal(asked), Refusal::ScopeNotGranted);
    assert_eq!(
        refusal(verify(&authority, &second).await),
        Refusal::StaleGrant
    );
    // The session has changed in nothing else.
    let (after, _) = world.store.load(first.session_id).await.unwrap();
    let (before, after) = (before.unwrap(), after.unwrap());
    assert_eq!(after.grant.valid_from.get(), 1);
    let (identity, grant) = (after.identity.clone(), after.grant);
    assert_eq!(
        after,
        Session {
            identity,
            grant,
            ..before
        }
    );
}

/// An application that logs the user out of the session while it reads the user again, or refreshes
/// it from another tab.
struct Meddler(Arc<Mutex<Option<Meddling>>>);

type Meddling = Box<dyn FnOnce() -> tokio::task::JoinHandle<()> + Send>;

#[async_trait]
impl Authenticator for Meddler {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        let meddling = self.0.lock().unwrap().take();
        if let Some(meddling) = meddling {
            meddling().await.unwrap();
        }
        Ok(UserUpdate::Unchanged)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_takes_long_hands_out_no_token_that_was_spent_meanwhile() {
    let world = World::sqlite();
    let meddling: Arc<Mutex<Option<Meddling>>> = Arc::default();
    let meddler = Meddler(Arc::clone(&meddling));
    let authority = builder(world.store.clone(), &world.clock).authenticator(meddler);
    let authority = authority.build().await.unwrap();
    let first = login(&authority, "alice").await;
    let second = refresh(&authority, &first).await.unwrap();
    world.clock.advance(30 * SECOND);
    let (tab, clock, of_tab) = (authority.clone(), world.clock.clone(), second.clone());
    let third: Arc<Mutex<Option<Issued>>> = Arc::default();
    let kept = Arc::clone(&third);
    *meddling.lock().unwrap() = Some(Box::new(move || {
        tokio::spawn(async move {
            clock.advance(SECOND);
            *kept.lock().unwrap() = Some(refresh(&tab, &of_tab).await.unwrap());
        })
    }));
    let replayed = refresh(&authority, &first).await.unwrap();
    let third = third.lock().unwrap().take().unwrap();
    assert_ne!(third.refresh_token, second.refresh_token);
    assert_eq!(replayed.refresh_token, third.refresh_token);

    let (tab, of_tab) = (authority.clone(), third.clone());
    *meddling.lock().unwrap() = Some(Box::new(move || {
        tokio::spawn(async move { drop(tab.logout(of_tab.refresh_token.as_str()).await.unwrap()) })
    }));
    let replayed = refresh(&authority, &second).await;
    assert_eq!(refusal(replayed), Refusal::SessionEnded);
}
