//! The wait until all nodes enforce an end: never too short, and no longer than it must be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gatepass::{
    Authority, AuthorityBuilder, Clock, Ending, Error, Issued, KeySet, MasterSecret, MemoryStore,
    Refusal, Timestamp,
    keys::SigningKey,
    store::{Heartbeat, SessionStore, StoreErrorKind},
    wire::{Endpoints, RequestBody, RequestHead},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{SECOND, Ticking, builder, login, refusal, subject, verify};
use tokio::time::{Instant, sleep, timeout};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const MILLISECOND: Duration = Duration::from_millis(1);
/// The bound on all nodes, and what `enforced` adds to it.
const BOUND: Duration = Duration::from_secs(20);
const WAITED: Duration = Duration::from_secs(22);
const INTERVAL: Duration = Duration::from_secs(5);
/// Longer than the nodes need to acknowledge.
const SOON: Duration = Duration::from_millis(700);

/// Nodes over one store, each with faults of its own.
struct Nodes {
    clock: Ticking,
    store: Arc<dyn SessionStore>,
}

struct Node {
    authority: Authority,
    handle: TestStore,
}

impl Nodes {
    fn new() -> Self {
        let clock = Ticking::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        Self {
            store: Arc::new(store),
            clock,
        }
    }

    async fn start(&self, configure: impl Fn(AuthorityBuilder) -> AuthorityBuilder) -> Node {
        let handle = TestStore::new(Arc::clone(&self.store));
        let authority = builder(handle.clone(), &ManualClock::new())
            .clock(self.clock.clone())
            .store_timeout(SECOND)
            .max_staleness(BOUND);
        let authority = configure(authority).build().await.unwrap();
        Node { authority, handle }
    }

    async fn beating(&self) -> Node {
        self.start(|builder| builder.heartbeat(INTERVAL)).await
    }

    async fn heartbeats(&self) -> Vec<Heartbeat> {
        let heartbeats = self.store.heartbeats().await.unwrap().nodes;
        heartbeats.into_iter().map(|one| one.heartbeat).collect()
    }
}

impl Node {
    /// How long `enforced` takes after alice has been logged out everywhere.
    async fn logout_all(&self) -> Duration {
        let ending = self.authority.logout_all(&subject("alice")).await.unwrap();
        waited(ending).await
    }

    async fn refuses(&self, issued: &Issued) -> bool {
        match verify(&self.authority, issued).await {
            Ok(_) => false,
            Err(Error::Refused(Refusal::Revoked) | Error::Store(_)) => true,
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn waited(ending: Ending) -> Duration {
    let began = Instant::now();
    timeout(100 * BOUND, ending.enforced()).await.unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn it_returns_once_all_nodes_have_acknowledged() {
    let nodes = Nodes::new();
    let (one, two, three) = (
        nodes.beating().await,
        nodes.beating().await,
        nodes.beating().await,
    );
    for _ in 0..20 {
        let issued = login(&two.authority, "alice").await;
        let took = one.logout_all().await;
        assert!(took <= SOON, "{took:?}");
        for node in [&one, &two, &three] {
            // No request brings the revocation about.
            node.handle.inject(Op::Pull, DOWN);
            assert!(node.refuses(&issued).await);
            node.handle.heal();
        }
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_end_can_be_waited_for() {
    let nodes = Nodes::new();
    let (one, two) = (nodes.beating().await, nodes.beating().await);
    let alice = subject("alice");
    for kind in 0..6 {
        let issued = login(&one.authority, "alice").await;
        let other = login(&one.authority, "alice").await;
        let pass = verify(&one.authority, &issued).await.unwrap();
        let kept = verify(&one.authority, &other).await.unwrap();
        let node = &one.authority;
        let ending = match kind {
            0 => node.logout(issued.refresh_token.as_str()).await.unwrap(),
            1 => node.logout_all(&alice).await.unwrap(),
            2 => node.logout_others(&kept).await.unwrap(),
            3 => node.end_session(issued.session_id).await.unwrap(),
            4 => {
                let ended = node.end_session_of(&alice, issued.session_id).await;
                ended.unwrap().unwrap()
            }
            _ => node.revoke_token(&pass).await.unwrap(),
        };
        let took = waited(ending).await;
        assert!(took <= SOON, "{kind} {took:?}");
        two.handle.inject(Op::Pull, DOWN);
        assert!(two.refuses(&issued).await, "{kind}");
        two.handle.heal();
        sleep(SECOND).await;
    }
}

/// A node that has not pulled since the end makes it wait, however often it beats.
#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_know_the_end_is_waited_for() {
    for cut_off in [
        // It hears of nothing, and a pull takes longer than the bound.
        &[(Op::Pull, StoreFault::Hang)][..],
        &[(Op::Pull, DOWN)],
        &[(Op::Beat, DOWN)],
        &[(Op::Beat, DOWN), (Op::Heartbeats, DOWN)],
        &[
            (Op::Heartbeats, DOWN),
            (Op::Changed, StoreFault::Hang),
            (Op::Pull, DOWN),
        ],
    ] {
        let nodes = Nodes::new();
        let (one, two) = (nodes.beating().await, nodes.beating().await);
        let issued = login(&two.authority, "alice").await;
        for (op, fault) in cut_off {
            two.handle.inject(*op, *fault);
        }
        assert_eq!(one.logout_all().await, WAITED, "{cut_off:?}");
        assert!(two.refuses(&issued).await, "{cut_off:?}");
    }
}

/// The pull that counts began after the question was read, not before.
#[tokio::test(start_paused = true)]
async fn a_pull_that_began_before_the_end_acknowledges_nothing() {
    let nodes = Nodes::new();
    let patient = |builder: AuthorityBuilder| builder.heartbeat(INTERVAL).store_timeout(BOUND);
    let (one, two) = (nodes.start(patient).await, nodes.start(patient).await);
    let issued = login(&two.authority, "alice").await;
    two.handle.inject(Op::Changed, StoreFault::Hang);
    // It has read the log, and its answer is on the way.
    let held = two.handle.hold_after(Op::Pull);
    held.reached().await;
    let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
    let enforced = tokio::spawn(waited(ending));
    sleep(INTERVAL + SOON).await;
    assert!(!enforced.is_finished(), "it has not pulled since");
    held.release();
    assert!(enforced.await.unwrap() < WAITED);
    two.handle.inject(Op::Pull, DOWN);
    assert!(two.refuses(&issued).await);
}

/// A node that is just starting has loaded the log before the end, and left its heartbeat earlier.
#[tokio::test(start_paused = true)]
async fn a_node_that_starts_is_waited_for() {
    let nodes = Nodes::new();
    let one = nodes.beating().await;
    let issued = login(&one.authority, "alice").await;
    let handle = TestStore::new(Arc::clone(&nodes.store));
    let held = handle.hold_after(Op::Pull);
    let starting = builder(handle.clone(), &ManualClock::new())
        .clock(nodes.clock.clone())
        .max_staleness(BOUND)
        .heartbeat(INTERVAL);
    let starting = tokio::spawn(async move { starting.build().await.unwrap() });
    held.reached().await;
    // From now on, it pulls no more.
    handle.inject(Op::Pull, StoreFault::Hang);
    let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
    let enforced = tokio::spawn(waited(ending));
    held.release();
    let two = Node {
        authority: starting.await.unwrap(),
        handle,
    };
    assert!(!two.refuses(&issued).await);
    assert_eq!(enforced.await.unwrap(), WAITED);
    assert!(two.refuses(&issued).await);
}

/// A heartbeat that was read before the question tells nothing of nodes that have started since.
#[tokio::test(start_paused = true)]
async fn an_answer_from_before_the_question_counts_for_nothing() {
    let nodes = Nodes::new();
    let patient = |builder: AuthorityBuilder| builder.heartbeat(INTERVAL).store_timeout(BOUND);
    let one = nodes.start(patient).await;
    let issued = login(&one.authority, "alice").await;
    let held = one.handle.hold_after(Op::Beat);
    held.reached().await;
    let two = nodes.beating().await;
    two.handle.inject(Op::Changed, StoreFault::Hang);
    two.handle.inject(Op::Pull, StoreFault::Hang);
    let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
    let enforced = tokio::spawn(waited(ending));
    tokio::task::yield_now().await;
    held.release();
    assert_eq!(enforced.await.unwrap(), WAITED);
    assert!(two.refuses(&issued).await);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_to_announce_itself_does_not_start() {
    let nodes = Nodes::new();
    let handle = TestStore::new(Arc::clone(&nodes.store));
    handle.inject(Op::Beat, DOWN);
    let builder = builder(handle, &ManualClock::new()).heartbeat(INTERVAL);
    assert!(builder.build().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_heartbeats_it_waits_for_the_bound() {
    let nodes = Nodes::new();
    let one = nodes.start(|builder| builder).await;
    let two = nodes.start(|builder| builder).await;
    let issued = login(&two.authority, "alice").await;
    two.handle.inject_everywhere(StoreFault::Hang);
    assert_eq!(one.logout_all().await, WAITED);
    assert!(two.refuses(&issued).await);
    assert_eq!(nodes.heartbeats().await, []);
    assert_eq!(one.handle.calls_of(Op::Beat), 0);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_of_all_nodes_is_waited_for() {
    let nodes = Nodes::new();
    let one = nodes.beating().await;
    let slow = nodes
        .start(|builder| builder.heartbeat(INTERVAL).max_staleness(3 * BOUND))
        .await;
    let issued = login(&slow.authority, "alice").await;
    sleep(INTERVAL).await;
    slow.handle.inject_everywhere(StoreFault::Hang);
    assert_eq!(one.logout_all().await, 3 * WAITED);
    assert!(slow.refuses(&issued).await);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_leave_no_heartbeat_are_waited_for_if_it_is_told_of_them() {
    for beats in [false, true] {
        let nodes = Nodes::new();
        let one = nodes
            .start(|builder| match beats {
                true => builder.silent_nodes(2 * BOUND).heartbeat(INTERVAL),
                false => builder.silent_nodes(2 * BOUND),
            })
            .await;
        let silent = nodes
            .start(|builder| builder.max_staleness(2 * BOUND))
            .await;
        let issued = login(&silent.authority, "alice").await;
        silent.handle.inject_everywhere(StoreFault::Hang);
        assert_eq!(one.logout_all().await, 2 * WAITED);
        assert!(silent.refuses(&issued).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_said_farewell_is_not_waited_for_and_one_that_died_is_for_ten_minutes() {
    let nodes = Nodes::new();
    let (one, two) = (nodes.beating().await, nodes.beating().await);
    // A gate that is left has the node judge on.
    let gate = two.authority.verifier().clone();
    drop(two.authority);
    sleep(INTERVAL).await;
    assert!(nodes.heartbeats().await.iter().all(|one| !one.left));
    drop(gate);
    sleep(INTERVAL).await;
    let left = nodes.heartbeats().await;
    assert_eq!(left.iter().filter(|one| one.left).count(), 1);
    assert!(one.logout_all().await <= SOON);

    let dies = nodes.beating().await;
    sleep(INTERVAL).await;
    dies.handle.inject_everywhere(StoreFault::Hang);
    login(&one.authority, "alice").await;
    assert_eq!(one.logout_all().await, WAITED);
    sleep(600 * SECOND).await;
    login(&one.authority, "alice").await;
    assert!(one.logout_all().await <= SOON);
    assert_eq!(
        nodes.heartbeats().await.len(),
        1,
        "the others are forgotten"
    );
}

/// The store has lost what it had acknowledged: nodes that were seen may live on.
#[tokio::test(start_paused = true)]
async fn nodes_whose_heartbeats_are_lost_are_waited_for() {
    let nodes = Nodes::new();
    let within = TestStore::new(MemoryStore::with_clock(nodes.clock.clone()));
    let world = Nodes {
        store: Arc::new(within.clone().durable()),
        clock: nodes.clock.clone(),
    };
    let (one, two) = (world.beating().await, world.beating().await);
    sleep(INTERVAL + SECOND).await;
    two.handle.inject_everywhere(StoreFault::Hang);
    within.replace(MemoryStore::with_clock(nodes.clock.clone()));
    login(&one.authority, "alice").await;
    assert_eq!(one.logout_all().await, WAITED);
}

/// A clock that is set forward.
#[derive(Clone)]
struct Leaping {
    clock: Ticking,
    leap: Arc<AtomicU64>,
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        self.clock.now() + Duration::from_secs(self.leap.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl Nodes {
    /// Nodes whose clocks are right, over a store whose clock isn't.
    fn with_leaping_store() -> (Self, Leaping) {
        let clock = Leaping {
            clock: Ticking::new(),
            leap: Arc::default(),
        };
        let store = MemoryStore::with_clock(clock.clone());
        let nodes = Self {
            store: Arc::new(TestStore::new(store).durable()),
            clock: clock.clock.clone(),
        };
        (nodes, clock)
    }
}

/// The store's clock makes a heartbeat look old, and the node that left it lives.
#[tokio::test(start_paused = true)]
async fn a_node_is_waited_for_although_the_clock_of_the_store_leaps() {
    for leap in [580, 590, 595, 600, 3600] {
        let (nodes, clock) = Nodes::with_leaping_store();
        let (one, two) = (nodes.beating().await, nodes.beating().await);
        sleep(INTERVAL + SECOND).await;
        two.handle.inject_everywhere(StoreFault::Hang);
        login(&one.authority, "alice").await;
        let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
        clock.leap.store(leap, Ordering::Relaxed);
        assert_eq!(waited(ending).await, WAITED, "{leap}");
    }
}

/// The clock of the store was ahead when the node left its last heartbeat, and is right again.
#[tokio::test(start_paused = true)]
async fn a_node_that_died_is_left_out_after_ten_minutes_also_if_its_heartbeat_is_in_the_future() {
    let (nodes, clock) = Nodes::with_leaping_store();
    clock.leap.store(100_000, Ordering::Relaxed);
    let (one, dies) = (nodes.beating().await, nodes.beating().await);
    sleep(INTERVAL + SECOND).await;
    dies.handle.inject_everywhere(StoreFault::Hang);
    clock.leap.store(0, Ordering::Relaxed);
    login(&one.authority, "alice").await;
    assert_eq!(one.logout_all().await, WAITED);
    sleep(600 * SECOND).await;
    login(&one.authority, "alice").await;
    // The row is still in the store, and acknowledges nothing.
    assert_eq!(nodes.heartbeats().await.len(), 2);
    assert!(one.logout_all().await <= SOON);
}

#[tokio::test(start_paused = true)]
async fn it_needs_no_store() {
    let nodes = Nodes::new();
    let (one, _two) = (nodes.beating().await, nodes.beating().await);
    login(&one.authority, "alice").await;
    let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
    one.handle.inject_everywhere(DOWN);
    assert_eq!(waited(ending).await, WAITED);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_this_node_could_not_enforce_itself_is_waited_for() {
    let nodes = Nodes::new();
    let (one, two) = (nodes.beating().await, nodes.beating().await);
    let issued = login(&one.authority, "alice").await;
    one.handle.inject(Op::Changed, StoreFault::Hang);
    one.handle.inject(Op::Pull, DOWN);
    let token = issued.refresh_token.as_str();
    two.authority.logout(token).await.unwrap();
    // It has ended already, and this node can't find out what that means for it.
    let ending = one.authority.logout(token).await.unwrap();
    let enforced = waited(ending).await;
    assert!(enforced > SOON && enforced <= WAITED, "{enforced:?}");
    assert!(one.refuses(&issued).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_in_memory_is_asked_at_each_check_so_that_nothing_is_waited_for() {
    let clock = Ticking::new();
    let store = MemoryStore::with_clock(clock.clone());
    let node = builder(store, &ManualClock::new()).clock(clock).build();
    let node = node.await.unwrap();
    let issued = login(&node, "alice").await;
    let ending = node.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(waited(ending).await, Duration::ZERO);
    assert_eq!(refusal(verify(&node, &issued).await), Refusal::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_node_beats_once_in_an_interval_and_more_often_only_if_it_must() {
    let nodes = Nodes::new();
    let (one, two) = (nodes.beating().await, nodes.beating().await);
    sleep(SECOND).await;
    let calls = |op| (one.handle.calls_of(op), two.handle.calls_of(op));
    let reset = || {
        one.handle.reset_calls();
        two.handle.reset_calls();
    };
    reset();
    sleep(10 * INTERVAL).await;
    assert_eq!(calls(Op::Beat), (10, 10));
    assert_eq!(calls(Op::Heartbeats), (0, 0));
    // A thousand ends ask nothing if no caller waits for them.
    reset();
    for _ in 0..1000 {
        login(&one.authority, "alice").await;
        one.authority.logout_all(&subject("alice")).await.unwrap();
        sleep(10 * MILLISECOND).await;
    }
    assert_eq!(calls(Op::Beat), (2, 2));
    let (_, looks) = calls(Op::Heartbeats);
    assert!(looks <= 250, "{looks}");
    // Nor are a thousand that are all waited for more than five heartbeats a second.
    reset();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        login(&one.authority, "alice").await;
        let ending = one.authority.logout_all(&subject("alice")).await.unwrap();
        waiting.spawn(waited(ending));
        sleep(10 * MILLISECOND).await;
    }
    let took = waiting.join_all().await;
    assert!(took.iter().max().unwrap() <= &(2 * SOON), "{took:?}");
    let (asks, answers) = calls(Op::Beat);
    assert!(asks <= 60 && answers <= 60, "{asks} {answers}");
    // Afterwards all is quiet again.
    sleep(INTERVAL).await;
    reset();
    sleep(10 * INTERVAL).await;
    assert_eq!(calls(Op::Beat), (10, 10));
    assert!(nodes.heartbeats().await.iter().all(|one| one.asks == 0));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_what_the_node_has_and_no_secret() {
    let nodes = Nodes::new();
    let one = nodes.beating().await;
    sleep(INTERVAL + SECOND).await;
    let heartbeats = nodes.heartbeats().await;
    let [heartbeat] = heartbeats.as_slice() else {
        panic!("{heartbeats:?}")
    };
    assert_eq!(heartbeat.issuer.as_str(), "https://shop.example");
    assert_eq!(heartbeat.audience.as_str(), "shop-api");
    assert_eq!(heartbeat.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((heartbeat.secrets.len(), heartbeat.keys.len()), (1, 1));
    assert_eq!(heartbeat.max_staleness, BOUND);
    assert_eq!(heartbeat.started_at, ManualClock::START);
    assert_eq!(heartbeat.clock, ManualClock::START + INTERVAL);
    assert!(heartbeat.lag.unwrap() <= BOUND / 4);
    drop(one);

    // The text is compared with the secret in the forms that it might be in by mistake.
    let text = heartbeat.to_text();
    for part in test_support::world::SECRET.chunks(6) {
        let part = String::from_utf8_lossy(part);
        assert!(!text.contains(&*part), "{text}");
    }
    assert_eq!(nodes.clock.now(), ManualClock::START + INTERVAL + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_answered_once_it_is_enforced_and_no_other_waits() {
    let nodes = Nodes::new();
    let one = nodes.start(|builder| builder).await;
    let endpoints = Endpoints::builder(one.authority.clone()).wait_for_enforcement();
    let endpoints = endpoints.build().unwrap();
    for (query, waits) in [(None, Duration::ZERO), (Some("wait=enforced"), WAITED)] {
        let issued = login(&one.authority, "alice").await;
        let bearer = format!("Bearer {}", issued.access_token.as_str());
        let values = |name: &str| (name == "authorization").then_some(bearer.as_bytes());
        let values = |name: &str| values(name).into_iter();
        let head = RequestHead::new("POST", "/auth/logout-all", values).query(query);
        let began = Instant::now();
        let reply = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!((reply.status(), began.elapsed()), (204, waits));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_knows_of_its_own_clock_and_whether_it_differs() {
    let nodes = Nodes::new();
    let silent = nodes.start(|builder| builder).await;
    let health = silent.authority.health();
    assert_eq!((health.clock_ahead_millis, health.differs), (None, None));

    let (one, two) = (nodes.beating().await, nodes.beating().await);
    let late = ManualClock::new();
    late.advance(SECOND);
    let key = SigningKey::hs256(&[7; 32]).unwrap();
    let other = nodes
        .start(|builder| {
            let keys = KeySet::signing(key.clone());
            builder.clock(late.clone()).heartbeat(INTERVAL).keys(keys)
        })
        .await;
    sleep(INTERVAL + SECOND).await;
    for (node, ahead, differs) in [(&one, 0, false), (&two, 0, false), (&other, -4000, true)] {
        let health = node.authority.health();
        assert_eq!(health.clock_ahead_millis, Some(ahead));
        assert_eq!(health.differs, Some(differs));
    }
    // The next heartbeat tells that it is right again.
    let secret = MasterSecret::from_bytes(test_support::world::SECRET).unwrap();
    let keys = KeySet::signing(SigningKey::derived(&secret));
    other.authority.replace_keys(keys).unwrap();
    sleep(INTERVAL).await;
    assert_eq!(other.authority.health().differs, Some(false));
}
