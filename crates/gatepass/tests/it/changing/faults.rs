//! A store that fails while rights change: the caller is told, no client is refused anything, and
//! the same call once more completes the change.

use std::time::Duration;

use gatepass::{
    Clock, Credentials, MemoryStore,
    store::{Generation, StoreErrorKind},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{SECOND, builder, refresh, subject, verify};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(200);
const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const LOST: StoreFault = StoreFault::LoseAnswer(StoreErrorKind::Unavailable);

/// A node over a store that fails on command, with users who change on command.
struct Node {
    authority: Authority,
    handle: TestStore,
    users: Users,
    clock: ManualClock,
}

impl Node {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let (handle, users) = (store.clone(), Users::default());
        // A pull would bring what the test wants to see without one.
        handle.inject(Op::Changed, StoreFault::Hang);
        let authority = builder(store, &clock)
            .store_timeout(TIMEOUT)
            .max_staleness(600 * SECOND)
            .poll_interval(300 * SECOND)
            .authenticator(users.clone());
        Self {
            authority: authority.build().await.unwrap(),
            handle,
            users,
            clock,
        }
    }

    async fn session(&self, issued: &Issued) -> Session {
        self.handle.heal();
        stored(&self.handle, issued).await
    }
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Store(_))), "{what}: {answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_is_told_as_that_and_completed_by_the_same_call() {
    let alice = subject("alice");
    for fault in [
        DOWN,
        StoreFault::Fail(StoreErrorKind::Busy),
        StoreFault::Hang,
        LOST,
    ] {
        for how in ["of the user", "of the session", "of those that match"] {
            let node = Node::new().await;
            let change = enforced("read");
            let issued = begin(&node.authority, "alice", "admin").await;
            let other = begin(&node.authority, "alice", "read").await;
            verify(&node.authority, &issued).await.unwrap();
            let call = async || match how {
                "of the user" => node.authority.change(&alice, &change).await,
                "of the session" => {
                    let changed = node.authority.change_session(issued.session_id, &change);
                    changed.await.map(u64::from)
                }
                _ => node.authority.change_where(|_| true, &change).await,
            };
            node.handle.inject(Op::Change, fault);
            assert_unavailable(how, call().await);
            let before = node.session(&issued).await;
            let done = fault == LOST;
            assert_eq!(before.identity.granted_scopes() == &scopes("read"), done);
            node.handle.lift(Op::Change);
            assert_eq!(call().await.unwrap(), u64::from(!done), "{how}, {fault:?}");
            // Once it has returned it is enforced here.
            assert!(is_stale(&node.authority, &issued).await, "{how}, {fault:?}");
            assert!(!is_stale(&node.authority, &other).await);
            assert_eq!(node.session(&issued).await.grant.newest.get(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_sessions_cannot_be_read_is_told_as_that() {
    let node = Node::new().await;
    let issued = begin(&node.authority, "alice", "admin").await;
    for fault in [DOWN, StoreFault::Hang] {
        for op in [Op::Sessions, Op::Load, Op::Scan] {
            node.handle.inject(op, fault);
        }
        let (authority, change) = (&node.authority, enforced(""));
        assert_unavailable("user", authority.change(&subject("alice"), &change).await);
        let changed = authority.change_session(issued.session_id, &change).await;
        assert_unavailable("session", changed);
        assert_unavailable("all", authority.change_where(|_| true, &change).await);
        node.handle.heal();
        verify(authority, &issued).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_cannot_change_its_user_spends_nothing() {
    for fault in [DOWN, StoreFault::Hang, LOST] {
        let node = Node::new().await;
        let authority = &node.authority;
        let issued = begin(authority, "alice", "admin").await;
        node.users.are(identity("alice", "read"));
        node.handle.inject(Op::Change, fault);
        assert_unavailable("refresh", refresh(authority, &issued).await);
        let token = issued.access_token.as_str();
        if fault != LOST {
            assert_unavailable("renew", authority.renew(token).await);
        }
        let session = node.session(&issued).await;
        assert_eq!(session.generation, Generation::FIRST);
        let refreshed = refresh(authority, &issued).await.unwrap();
        assert_eq!(refreshed.scopes, scopes("read"));
        let session = node.session(&issued).await;
        assert_eq!(session.generation, Generation::new(1));
        assert_eq!(session.grant.newest.get(), 1);

        // So does a retry, and a recovery.
        node.users.are(identity("alice", ""));
        for _ in 0..2 {
            node.handle.inject(Op::Change, DOWN);
            assert_unavailable("retry", refresh(authority, &issued).await);
            node.clock.advance(31 * SECOND);
        }
        let session = node.session(&issued).await;
        assert_eq!((session.recovered, session.grant.newest.get()), (None, 1));
        assert_eq!(
            refresh(authority, &issued).await.unwrap().scopes,
            scopes("")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_authentication_whose_identity_cannot_be_written_counts_for_nothing() {
    let node = Node::new().await;
    let authority = &node.authority;
    let issued = begin(authority, "alice", "admin").await;
    let pass = verify(authority, &issued).await.unwrap();
    node.users.are(identity("alice", "read"));
    node.clock.advance(60 * SECOND);
    let credentials = Credentials::new("alice", "a password");
    let device = Device::default();
    node.handle.inject(Op::Change, DOWN);
    let authenticated = authority.reauthenticate(&pass, &credentials, &device).await;
    assert_unavailable("reauthenticate", authenticated);
    let session = node.session(&issued).await;
    assert_eq!(session.authenticated_at, session.created_at);
    assert_eq!(session.generation, Generation::FIRST);
    let authenticated = authority.reauthenticate(&pass, &credentials, &device).await;
    assert_eq!(authenticated.unwrap().scopes, scopes("read"));
    let session = node.session(&issued).await;
    assert_eq!(session.authenticated_at, node.clock.now());
}
