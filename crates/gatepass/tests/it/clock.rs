//! A clock that is stepped, that reads years before 1970 or past every expiry, a machine that is
//! suspended: an ended session does not live again, a user who did nothing is still logged in once
//! the clock is right, and nothing panics.
//!
//! An expiry is a statement about time, and is taken by what the clock says: a session that expired
//! lives again while a clock is set back to before that, and is refused again with the clock. An
//! *act*, such as a logout or a revocation, holds at every reading of the clock.

use std::{collections::HashSet, sync::Arc, time::Duration};

use gatepass::{Authority, Clock, Error, Issued, MemoryStore, Refusal, Staleness, Timestamp};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{
    DAY, HOUR, MINUTE, SECOND, Store, World, builder, login, refresh, refusal, verify, verify_with,
};
use tokio::task::JoinSet;

const QUARTER: Duration = Duration::from_secs(900);
const ACCESS_TTL: Duration = HOUR;
const IDLE_TTL: Duration = Duration::from_secs(2 * 3600);
const ABSOLUTE_TTL: Duration = Duration::from_secs(4 * 3600);

/// A change to the clock.
struct Step {
    name: &'static str,
    step: fn(&ManualClock),
    after: After,
}

/// The reading of the clock after a step.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// The time, and it is that late.
    Right,
    /// A time that is not that late yet, and is set right later.
    Behind,
    /// A time that has not come yet, and is set right later.
    Ahead,
}

const STEPS: [Step; 13] = [
    Step {
        name: "nothing",
        step: |_| {},
        after: After::Right,
    },
    Step {
        name: "15 minutes ahead",
        step: |clock| clock.set_wall(clock.now() + QUARTER),
        after: After::Ahead,
    },
    Step {
        name: "15 minutes back",
        step: |clock| clock.step_wall_back(QUARTER),
        after: After::Behind,
    },
    Step {
        name: "a day back",
        step: |clock| clock.step_wall_back(DAY),
        after: After::Behind,
    },
    Step {
        name: "back and forth",
        step: |clock| {
            clock.step_wall_back(QUARTER);
            clock.set_wall(clock.now() + 2 * QUARTER);
        },
        after: After::Ahead,
    },
    Step {
        name: "1970",
        step: |clock| clock.set_wall(Timestamp::EPOCH),
        after: After::Behind,
    },
    Step {
        name: "before 1970",
        step: |clock| clock.step_wall_back(Duration::MAX),
        after: After::Behind,
    },
    Step {
        name: "past every expiry",
        step: |clock| clock.set_wall(clock.now() + 400 * DAY),
        after: After::Ahead,
    },
    Step {
        name: "the end of time",
        step: |clock| clock.set_wall(Timestamp::MAX),
        after: After::Ahead,
    },
    Step {
        name: "suspended for 15 minutes",
        step: |clock| clock.suspend(QUARTER),
        after: After::Right,
    },
    Step {
        name: "suspended, and the wall clock 15 minutes late",
        step: |clock| {
            clock.suspend(QUARTER);
            clock.step_wall_back(QUARTER);
        },
        after: After::Behind,
    },
    Step {
        name: "15 minutes in which the wall clock stood still",
        step: |clock| {
            clock.advance(QUARTER);
            clock.step_wall_back(QUARTER);
        },
        after: After::Behind,
    },
    Step {
        name: "15 minutes, and as much ahead",
        step: |clock| {
            clock.advance(QUARTER);
            clock.set_wall(clock.now() + QUARTER);
        },
        after: After::Ahead,
    },
];

/// One session in each state, at the moment of the step.
struct Sessions {
    live: Issued,
    /// Refreshed while the clock is wrong.
    used: Issued,
    /// Logged out, by refresh token.
    ended: Vec<Issued>,
    /// Access tokens that were revoked one by one. Their sessions go on.
    revoked: Vec<Issued>,
    /// The sessions that began before the step, and are logged out or revoked after it.
    dying: [Issued; 2],
    idle: Issued,
    absolute: Issued,
    rotated: [Rotated; 2],
}

/// A session whose first refresh token was spent twice over, longer ago than tolerated.
struct Rotated {
    first: Issued,
    /// All refresh tokens that there may be of it.
    known: HashSet<String>,
    last: Issued,
}

impl Rotated {
    async fn begin(node: &Authority, clock: &ManualClock) -> Self {
        let first = login(node, "alice").await;
        let second = refresh(node, &first).await.unwrap();
        clock.advance(31 * SECOND);
        let last = refresh(node, &second).await.unwrap();
        let known = [&first, &second, &last].map(|issued| issued.refresh_token.as_str().to_owned());
        Self {
            first,
            known: known.into(),
            last,
        }
    }

    /// Presents the first token: a thief's, which forks nothing.
    async fn present(&self, node: &Authority, name: &str) -> bool {
        match refresh(node, &self.first).await {
            Ok(issued) => {
                let successor = issued.refresh_token.as_str();
                assert!(self.known.contains(successor), "{name}: a fork");
                true
            }
            Err(Error::Refused(
                Refusal::Reused | Refusal::SessionEnded | Refusal::RefreshExpired,
            )) => false,
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
}

impl Sessions {
    async fn begin(node: &Authority, clock: &ManualClock) -> Self {
        let mut absolute = login(node, "alice").await;
        clock.advance(HOUR);
        for _ in 0..2 {
            absolute = refresh(node, &absolute).await.unwrap();
            clock.advance(HOUR);
        }
        absolute = refresh(node, &absolute).await.unwrap();
        // That one lasts for another hour, and the next for two; then both are over for an hour.
        clock.step_wall_back(HOUR);
        let idle = login(node, "alice").await;
        clock.advance(4 * HOUR);
        let rotated = [
            Rotated::begin(node, clock).await,
            Rotated::begin(node, clock).await,
        ];
        clock.advance(31 * SECOND);
        let mut sessions = Self {
            live: login(node, "alice").await,
            used: login(node, "alice").await,
            ended: Vec::new(),
            revoked: Vec::new(),
            dying: [login(node, "alice").await, login(node, "alice").await],
            idle,
            absolute,
            rotated,
        };
        sessions.end_some(node, clock).await;
        sessions
    }

    /// Logs out and revokes, as happens at any time.
    async fn end_some(&mut self, node: &Authority, clock: &ManualClock) {
        let issued = login(node, "alice").await;
        node.logout(issued.refresh_token.as_str()).await.unwrap();
        self.ended.push(issued);
        let issued = login(node, "alice").await;
        match verify(node, &issued).await {
            Ok(pass) => {
                node.revoke_token(&pass).await.unwrap();
                self.revoked.push(issued);
            }
            // At the very end of time even a new token is past its time.
            Err(error) => assert!(clock.now() == Timestamp::MAX, "{error:?}"),
        }
        // From now on it must be enforced everywhere.
        clock.advance(3 * SECOND);
    }

    /// Once the clock is right, what ended while it was wrong is known to have been ended.
    async fn assert_dead(&self, node: &Authority, name: &str) {
        for issued in &self.dying {
            for staleness in [Staleness::Bounded, Staleness::Strict] {
                let verified = verify_with(node, issued, staleness).await;
                assert_eq!(refusal(verified), Refusal::Revoked, "{name}: {staleness:?}");
            }
        }
        let refreshed = refresh(node, &self.dying[0]).await;
        assert_eq!(refusal(refreshed), Refusal::SessionEnded, "{name}");
    }

    async fn assert_nothing_lives_again(&self, node: &Authority, after: After, name: &str) {
        for staleness in [Staleness::Bounded, Staleness::Strict] {
            for issued in self.ended.iter().chain(&self.revoked) {
                let verified = verify_with(node, issued, staleness).await;
                assert!(verified.is_err(), "{name}: {staleness:?}");
            }
            if after != After::Behind {
                for issued in [&self.idle, &self.absolute] {
                    let verified = verify_with(node, issued, staleness).await;
                    assert!(verified.is_err(), "{name}: {staleness:?}");
                }
            }
        }
        for issued in &self.ended {
            let refreshed = refresh(node, issued).await;
            assert_eq!(refusal(refreshed), Refusal::SessionEnded, "{name}");
        }
        if after != After::Behind {
            let refreshed = refusal(refresh(node, &self.idle).await);
            let over = [Refusal::RefreshExpired, Refusal::SessionEnded];
            assert!(over.contains(&refreshed), "{name}: {refreshed:?}");
            let refreshed = refresh(node, &self.absolute).await;
            assert_eq!(refusal(refreshed), Refusal::SessionEnded, "{name}");
        }
    }
}

struct Node {
    authority: Authority,
    handle: TestStore,
}

impl Node {
    async fn start(world: &World) -> Self {
        let store = TestStore::new(Arc::clone(&world.store));
        let handle = store.clone();
        let authority = builder(store, &world.clock)
            .access_ttl(ACCESS_TTL)
            .idle_ttl(IDLE_TTL)
            .absolute_ttl(ABSOLUTE_TTL)
            .purge_interval(SECOND);
        Self {
            authority: authority.build().await.unwrap(),
            handle,
        }
    }

    /// Waits until what may be forgotten by now is forgotten.
    async fn purged(&self) {
        let call = self.handle.hold_after(Op::Purge);
        call.reached().await;
        call.release();
    }
}

async fn knock(world: World, case: &Step) {
    let Step { name, step, after } = *case;
    let clock = &world.clock;
    let [node, other] = [Node::start(&world).await, Node::start(&world).await];
    let mut sessions = Sessions::begin(&node.authority, clock).await;
    let all = [&node, &other];
    for node in all {
        let sessions = &sessions;
        sessions
            .assert_nothing_lives_again(&node.authority, After::Right, name)
            .await;
    }

    // A process that starts with a wrong clock knows it by the purge of another.
    node.purged().await;
    let (wall, monotonic) = (clock.now(), clock.monotonic());
    let [by_logout, by_token] = &sessions.dying;
    let pass = verify(&node.authority, by_token).await.unwrap();
    step(clock);
    let restarted = Node::start(&world).await;
    let logout = node.authority.logout(by_logout.refresh_token.as_str());
    logout.await.unwrap();
    node.authority.revoke_token(&pass).await.unwrap();
    let begun_meanwhile = login(&node.authority, "alice").await;
    sessions.end_some(&node.authority, clock).await;
    let used = refresh(&other.authority, &sessions.used).await;
    assert!(
        !sessions.rotated[0]
            .present(&restarted.authority, name)
            .await
            || after == After::Behind
    );
    let all = [&node, &other, &restarted];
    for _ in 0..2 {
        for node in all {
            let node = &node.authority;
            sessions.assert_nothing_lives_again(node, after, name).await;
            // The answer for those may be any, but there is one: nothing panics.
            let _ = verify(node, &sessions.live).await;
        }
        tokio::join!(node.purged(), other.purged(), restarted.purged());
    }

    if after != After::Right {
        clock.set_wall(wall + clock.monotonic().checked_sub(monotonic).unwrap());
    }
    let logout = begun_meanwhile.refresh_token.as_str();
    node.authority.logout(logout).await.unwrap();
    sessions.ended.push(begun_meanwhile);
    sessions.end_some(&node.authority, clock).await;
    let again = Node::start(&world).await;
    for _ in 0..2 {
        for node in [&node, &other, &restarted, &again] {
            let node = &node.authority;
            sessions
                .assert_nothing_lives_again(node, After::Right, name)
                .await;
            sessions.assert_dead(node, name).await;
        }
        tokio::join!(node.purged(), again.purged());
    }
    for issued in &sessions.ended {
        let strict = verify_with(&again.authority, issued, Staleness::Strict).await;
        let refused = refusal(strict);
        // A token from a clock that was ahead is not valid yet; one from 1970 never was, for long.
        let right = [Refusal::Revoked, Refusal::NotYetValid, Refusal::Expired];
        assert!(right.contains(&refused), "{name}: {refused:?}");
    }
    // The session of a token that was revoked goes on.
    for issued in sessions.revoked.iter().take(1) {
        assert!(refresh(&again.authority, issued).await.is_ok(), "{name}");
    }
    for rotated in &sessions.rotated {
        assert!(!rotated.present(&again.authority, name).await, "{name}");
        for issued in [&rotated.first, &rotated.last] {
            assert!(verify(&again.authority, issued).await.is_err(), "{name}");
            assert!(refresh(&again.authority, issued).await.is_err(), "{name}");
        }
    }
    // Those who did nothing are still logged in, and those who did too.
    for node in [&node, &again] {
        verify(&node.authority, &sessions.live).await.unwrap();
        refresh(&node.authority, &sessions.live).await.unwrap();
        let used = used.as_ref().unwrap_or(&sessions.used);
        refresh(&node.authority, used).await.unwrap();
    }
}

async fn knock_all(world: fn() -> World) {
    // At the same time, since each waits for the purge a few times.
    let mut knocks = JoinSet::new();
    for case in &STEPS {
        knocks.spawn(knock(world(), case));
    }
    knocks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_ended_lives_again_in_memory() {
    knock_all(World::memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_ended_lives_again_in_sqlite() {
    knock_all(World::sqlite).await;
}

/// A process that starts while the clock is wrong purges by it from the first minute on.
#[tokio::test(start_paused = true)]
async fn nothing_that_ended_lives_again_where_a_process_starts_while_the_clock_is_ahead() {
    let clock = ManualClock::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let node = builder(Arc::clone(&store), &clock).purge_interval(SECOND);
    let node = node.build().await.unwrap();
    tokio::time::sleep(5 * SECOND).await;
    let revoked = login(&node, "alice").await;
    let live = login(&node, "alice").await;
    node.logout(revoked.access_token.as_str()).await.unwrap();
    drop(node);

    let right = clock.now();
    clock.suspend(400 * DAY);
    let wrong = builder(Arc::clone(&store), &clock).purge_interval(SECOND);
    let wrong = wrong.build().await.unwrap();
    clock.advance(5 * SECOND);
    tokio::time::sleep(5 * SECOND).await;
    drop(wrong);
    clock.set_wall(right + 5 * SECOND);

    let node = builder(Arc::clone(&store), &clock).build().await.unwrap();
    assert_eq!(refusal(verify(&node, &revoked).await), Refusal::Revoked);
    refresh(&node, &live).await.unwrap();
}

/// A clock that is set back by less than has passed makes nothing younger.
#[tokio::test(start_paused = true)]
async fn a_small_step_back_does_not_prolong_the_lease() {
    let clock = ManualClock::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let faulty = TestStore::new(Arc::clone(&store));
    let handle = faulty.clone();
    handle.inject(Op::Changed, StoreFault::Hang);
    let node = builder(faulty, &clock)
        .max_staleness(HOUR)
        .poll_interval(HOUR / 2);
    let node = node.build().await.unwrap();
    let other = builder(store, &clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    other.logout(first.access_token.as_str()).await.unwrap();
    clock.advance(HOUR + SECOND);
    clock.step_wall_back(55 * MINUTE);
    assert_eq!(refusal(verify(&node, &first).await), Refusal::Revoked);
}
