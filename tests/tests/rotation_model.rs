//! Rotation held to a model: a few lines that keep every generation of every session, and know nothing
//! of how gatepass does it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gatepass::{
    Authority, ClientId, Clock, Decision, Demand, Device, EndReason, Ended, Error, Generation,
    Grant, MemoryStore, NewSession, OnReuse, Pass, Refusal, ReusePolicy, Session, SessionId,
    SessionStore, Staleness, Subject, Timestamp, decide,
};
use gatepass_testkit::ManualClock;
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestRunner};
use tokio::runtime::Runtime;
use world::{DAY, HOUR, MINUTE, World, builder, refusal, subject};

#[path = "common/world.rs"]
#[allow(dead_code, reason = "each file of tests needs its own part of it")]
mod world;

const ACCESS: i64 = 15 * 60_000;
const IDLE: i64 = 14 * 86_400_000;
const ABSOLUTE: i64 = 90 * 86_400_000;
const OVERLAP: i64 = 30_000;
const RECOVERY: i64 = 3_600_000;
const LEEWAY: i64 = 30_000;

const CLIENTS: [&str; 2] = ["default", "mobile"];

/// A session as the model has it. All times are milliseconds.
struct Modelled {
    id: SessionId,
    client: usize,
    /// When each generation before the current one was spent.
    spent_at: Vec<i64>,
    /// Of every generation, the current one too, whether it was handed out again.
    recovered: Vec<bool>,
    created_at: i64,
    last_seen: i64,
    idle_until: i64,
    absolute_until: i64,
    access_until: i64,
    ended: bool,
    /// The node that ended it, which must enforce that at once.
    ended_by: Option<usize>,
    /// The refresh tokens of its generations, made by a node whose store has moved on further.
    tokens: Vec<String>,
}

struct IssuedAccess {
    text: String,
    pass: Pass,
    session: usize,
    expires_at: i64,
    issued_at: i64,
    revoked: bool,
}

#[derive(Debug, PartialEq)]
enum Expected {
    /// Tokens, the refresh token being of this generation.
    Issued(usize),
    Refused(Refusal),
}

impl Modelled {
    fn begun(id: SessionId, client: usize, now: i64, tokens: Vec<String>) -> Self {
        Self {
            id,
            client,
            spent_at: Vec::new(),
            recovered: vec![false],
            created_at: now,
            last_seen: now,
            idle_until: now + IDLE,
            absolute_until: now + ABSOLUTE,
            access_until: now + ACCESS,
            ended: false,
            ended_by: None,
            tokens,
        }
    }

    fn current(&self) -> usize {
        self.spent_at.len()
    }

    fn refreshable(&self, now: i64) -> bool {
        let now = now.max(self.last_seen);
        !self.ended && now < self.absolute_until && now < self.idle_until
    }

    fn end(&mut self, node: usize) -> bool {
        if self.ended {
            return false;
        }
        self.ended = true;
        self.ended_by = Some(node);
        true
    }

    fn refresh(&mut self, presented: usize, node: usize, now: i64) -> Expected {
        let now = now.max(self.last_seen);
        if self.ended || now >= self.absolute_until {
            return Expected::Refused(Refusal::SessionEnded);
        }
        if self.client != node {
            return Expected::Refused(Refusal::WrongClient);
        }
        if now >= self.idle_until {
            return Expected::Refused(Refusal::RefreshExpired);
        }
        let allowed = (now + ACCESS).min(self.absolute_until);
        if presented >= self.current() {
            self.spent_at.resize(presented + 1, now);
            self.recovered.resize(presented + 2, false);
            self.last_seen = now;
            self.idle_until = (now + IDLE).min(self.absolute_until);
            self.access_until = self.access_until.max(allowed);
            return Expected::Issued(self.current());
        }
        let gap = self.current() - presented;
        let age = now - self.spent_at[presented];
        if gap <= 4 && age <= OVERLAP {
            return Expected::Issued(self.current());
        }
        if gap == 1 && age <= RECOVERY && !self.recovered[presented] {
            self.recovered[presented + 1] = true;
            self.access_until = self.access_until.max(allowed);
            return Expected::Issued(self.current());
        }
        self.end(node);
        Expected::Refused(Refusal::Reused)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Login(usize),
    /// Which session, how many generations before the current one, through which node.
    Refresh(usize, isize, usize),
    LogoutByRefreshToken(usize, isize, usize),
    LogoutByAccessToken(usize),
    LogoutAll,
    LogoutOthers(usize),
    EndSessionOf(usize, bool),
    RevokeToken(usize),
    Pass(u64),
    SetBack(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || prop_oneof![9 => Just(0_usize), 1 => Just(1_usize)];
    let back = || prop_oneof![6 => Just(0_isize), 5 => Just(1_isize), 3 => 2..=6_isize, 1 => -3..=-1_isize];
    let which = any::<u8>;
    prop_oneof![
        1 => (0..2_usize).prop_map(Step::Login),
        20 => (which(), back(), node()).prop_map(|(s, b, n)| Step::Refresh(s.into(), b, n)),
        1 => (which(), back(), node()).prop_map(|(s, b, n)| Step::LogoutByRefreshToken(s.into(), b, n)),
        1 => which().prop_map(|t| Step::LogoutByAccessToken(t.into())),
        1 => Just(Step::LogoutAll),
        1 => which().prop_map(|t| Step::LogoutOthers(t.into())),
        1 => (which(), any::<bool>()).prop_map(|(s, own)| Step::EndSessionOf(s.into(), own)),
        1 => which().prop_map(|t| Step::RevokeToken(t.into())),
        6 => select(vec![1, 999, 29_999, 30_000, 30_001, 40_000, 300_000, 899_000]).prop_map(Step::Pass),
        3 => select(vec![3_540_000, 3_600_000, 3_600_001]).prop_map(Step::Pass),
        1 => select(vec![3, 13, 14, 40]).prop_map(|days: u64| Step::Pass(days * 86_400_000)),
        1 => select(vec![1, 5000, 900_000, 172_800_000]).prop_map(Step::SetBack),
    ]
}

/// Two nodes, each for a client of its own, over the store under test.
struct Bench {
    world: World,
    nodes: [Authority; 2],
}

impl Bench {
    async fn new(world: World) -> Self {
        let node = |client: &str| builder(world.store.clone(), &world.clock).client_id(client);
        let nodes = [
            node(CLIENTS[0]).build().await.unwrap(),
            node(CLIENTS[1]).build().await.unwrap(),
        ];
        Self { world, nodes }
    }
}

struct Run<'a> {
    bench: &'a Bench,
    subject: Subject,
    sessions: Vec<Modelled>,
    access: Vec<IssuedAccess>,
    ids: HashSet<String>,
}

impl Run<'_> {
    fn now(&self) -> i64 {
        self.bench.world.clock.now().unix_millis()
    }

    /// The refresh tokens of the first generations of a session, from a store that holds it too.
    async fn generations(&self, id: SessionId, client: usize, first: &str) -> Vec<String> {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let new = NewSession {
            id,
            client: ClientId::new(CLIENTS[client]).unwrap(),
            grant: Grant::new(self.subject.clone()),
            device: Device::default(),
            idle_ttl: DAY,
            absolute_ttl: DAY,
            access_ttl: MINUTE,
            max_sessions: None,
        };
        store.begin(new).await.unwrap();
        let node = builder(store, &clock).client_id(CLIENTS[client]);
        let node = node.build().await.unwrap();
        let mut tokens = vec![first.to_owned()];
        for _ in 0..60 {
            let next = node.refresh(tokens.last().unwrap()).await.unwrap();
            tokens.push(next.refresh_token.as_str().to_owned());
        }
        tokens
    }

    fn token(&self, session: usize, back: isize) -> (usize, String) {
        let session = &self.sessions[session];
        let generation = session.current().saturating_add_signed(-back);
        (generation, session.tokens[generation].clone())
    }

    /// Notes an answer and checks what can be said of it by itself.
    async fn note(&mut self, issued: gatepass::Issued, session: usize, node: usize) {
        let now = self.now();
        let modelled = &self.sessions[session];
        let generation = modelled.current();
        assert_eq!(issued.refresh_token.as_str(), modelled.tokens[generation]);
        assert_eq!(issued.session_id, modelled.id);
        let expires_at = (now + ACCESS).min(modelled.access_until);
        let expires_at = expires_at - expires_at % 1000;
        assert_eq!(issued.expires_at.unix_millis(), expires_at);
        assert!(expires_at <= modelled.access_until);
        assert!(issued.refresh_at >= issued.server_time);
        let text = issued.access_token.as_str().to_owned();
        let demand = Demand::new().staleness(Staleness::Strict);
        let verified = self.bench.nodes[node].verifier().verify(&text, &demand);
        let pass = verified.await.unwrap();
        assert!(pass.expires_at() >= pass.issued_at());
        assert!(self.ids.insert(pass.token_id().to_string()));
        self.access.push(IssuedAccess {
            text,
            pass,
            session,
            expires_at,
            issued_at: now - now % 1000,
            revoked: false,
        });
    }

    async fn login(&mut self, client: usize) {
        let grant = Grant::new(self.subject.clone());
        let node = &self.bench.nodes[client];
        let issued = node.issue(grant, Device::default()).await.unwrap();
        let first = issued.refresh_token.as_str();
        let tokens = self.generations(issued.session_id, client, first).await;
        let session = Modelled::begun(issued.session_id, client, self.now(), tokens);
        self.sessions.push(session);
        self.note(issued, self.sessions.len() - 1, client).await;
    }

    async fn step(&mut self, step: &Step) {
        let bench = self.bench;
        let session = |which: usize| which % self.sessions.len();
        let access = |which: usize| which % self.access.len();
        match *step {
            Step::Login(client) => self.login(client).await,
            Step::Refresh(which, back, foreign) => {
                let which = session(which);
                let node = (self.sessions[which].client + foreign) % 2;
                let (generation, token) = self.token(which, back);
                let now = self.now();
                let expected = self.sessions[which].refresh(generation, node, now);
                match bench.nodes[node].refresh(&token).await {
                    Ok(issued) => {
                        assert_eq!(expected, Expected::Issued(self.sessions[which].current()));
                        self.note(issued, which, node).await;
                    }
                    Err(Error::Refused(refusal)) => {
                        assert_eq!(expected, Expected::Refused(refusal));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::LogoutByRefreshToken(which, back, node) => {
                let which = session(which);
                let (_, token) = self.token(which, back);
                bench.nodes[node].logout(&token).await.unwrap();
                self.sessions[which].end(node);
            }
            Step::LogoutByAccessToken(which) => {
                let token = &self.access[access(which)];
                bench.nodes[0].logout(&token.text).await.unwrap();
                self.sessions[token.session].end(0);
            }
            Step::LogoutAll => {
                let ended = bench.nodes[0].logout_all(&self.subject).await.unwrap();
                let expected = self.sessions.iter_mut().map(|session| session.end(0));
                assert_eq!(ended, expected.filter(|ended| *ended).count());
            }
            Step::LogoutOthers(which) => {
                let kept = &self.access[access(which)];
                let ended = bench.nodes[0].logout_others(&kept.pass).await.unwrap();
                let others = self.sessions.iter_mut().enumerate();
                let others = others.filter(|(session, _)| *session != kept.session);
                let expected = others.map(|(_, session)| session.end(0));
                assert_eq!(ended, expected.filter(|ended| *ended).count());
            }
            Step::EndSessionOf(which, own) => {
                let which = session(which);
                let stranger = subject("a stranger");
                let owner = if own { &self.subject } else { &stranger };
                let id = self.sessions[which].id;
                let found = bench.nodes[0].end_session_of(owner, id).await.unwrap();
                assert_eq!(found, own);
                if own {
                    self.sessions[which].end(0);
                }
            }
            Step::RevokeToken(which) => {
                let which = access(which);
                let token = &mut self.access[which];
                bench.nodes[0].revoke_token(&token.pass).await.unwrap();
                token.revoked = true;
            }
            Step::Pass(millis) => bench.world.clock.advance(Duration::from_millis(millis)),
            Step::SetBack(millis) => bench
                .world
                .clock
                .step_wall_back(Duration::from_millis(millis)),
        }
    }

    /// What the store and the nodes say is what the model says.
    async fn compare(&self, tokens: &[IssuedAccess]) {
        let now = self.now();
        let listed = self.bench.nodes[0].sessions(&self.subject).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|session| session.id).collect();
        let mut expected: Vec<_> = self
            .sessions
            .iter()
            .filter(|s| s.refreshable(now))
            .collect();
        expected.sort_by_key(|session| (session.created_at, session.id));
        let expected: Vec<_> = expected.iter().rev().map(|session| session.id).collect();
        assert_eq!(listed, expected);

        for token in tokens {
            let session = &self.sessions[token.session];
            let timely = if now >= token.expires_at + LEEWAY {
                Some(Refusal::Expired)
            } else if now + LEEWAY < token.issued_at {
                Some(Refusal::NotYetValid)
            } else {
                None
            };
            let dead = session.ended || token.revoked;
            let expected = timely.clone().or(dead.then_some(Refusal::Revoked));
            let verifier = self.bench.nodes[0].verifier();
            let strict = Demand::new().staleness(Staleness::Strict);
            let verdict = verifier.verify(&token.text, &strict).await;
            assert_eq!(
                verdict.map_or_else(|error| Some(refused(error)), |_| None),
                expected
            );

            // Another node's ends may arrive a little later, but nothing else may differ.
            let verdict = verifier.verify(&token.text, &Demand::new()).await;
            let verdict = verdict.map_or_else(|error| Some(refused(error)), |_| None);
            let late = session.ended_by == Some(1) && !token.revoked && verdict == timely;
            assert!(
                verdict == expected || late,
                "{verdict:?} instead of {expected:?}"
            );
        }
    }
}

fn refused(error: Error) -> Refusal {
    refusal(Err::<(), _>(error))
}

async fn run(bench: &Bench, steps: &[Step]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    bench.world.clock.set_wall(ManualClock::START);
    let mut run = Run {
        bench,
        subject: subject(&format!("user {number}")),
        sessions: Vec::new(),
        access: Vec::new(),
        ids: HashSet::new(),
    };
    run.login(0).await;
    for step in steps {
        run.step(step).await;
        let recent = run.access.len().saturating_sub(4);
        run.compare(&run.access[recent..]).await;
    }
    run.compare(&run.access).await;
    // By now every node knows of every end.
    bench.world.clock.advance(Duration::from_secs(3));
    run.sessions
        .iter_mut()
        .for_each(|session| session.ended_by = None);
    run.compare(&run.access).await;
}

fn holds_in(world: World, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::new(world));
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&vec(step(), 1..50), |steps| {
        runtime.block_on(run(&bench, &steps));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn sessions_in_memory_do_what_the_model_does() {
    holds_in(World::memory(), 256);
}

#[test]
fn sessions_in_sqlite_do_what_the_model_does() {
    holds_in(World::sqlite(), 96);
}

const START: Timestamp = ManualClock::START;

/// A session begun at the start and refreshed every minute, up to generation 5.
fn session() -> Session {
    let new = NewSession {
        id: SessionId::from_bytes([7; 18]),
        client: ClientId::new("default").unwrap(),
        grant: Grant::new(subject("alice")),
        device: Device::default(),
        idle_ttl: 14 * DAY,
        absolute_ttl: 90 * DAY,
        access_ttl: 15 * MINUTE,
        max_sessions: None,
    };
    let mut session = Session::begin(new, START);
    session.generation = Generation::new(5);
    session.spent = [5, 4, 3, 2].map(|minute| Some(START + minute * MINUTE));
    session.last_seen_at = START + 5 * MINUTE;
    session.idle_expires_at = START + 5 * MINUTE + 14 * DAY;
    session
}

/// The instant at which generation 4 was spent, and so much more.
fn after(duration: Duration) -> Timestamp {
    START + 5 * MINUTE + duration
}

const MS: Duration = Duration::from_millis(1);

const ADVANCE: Decision = Decision::Advance {
    from: Generation::new(5),
    to: Generation::new(6),
};

fn reuse(gap: u32, age: impl Into<Option<Duration>>) -> Decision {
    Decision::Reuse {
        gap,
        age: age.into(),
    }
}

#[test]
fn every_row_of_the_table_decides_up_to_its_boundary() {
    let overlap = Duration::from_secs(30);
    let cases = [
        (
            "the current one advances",
            5,
            after(Duration::ZERO),
            ADVANCE,
        ),
        (
            "to the last instant before it is idle",
            5,
            after(14 * DAY - MS),
            ADVANCE,
        ),
        (
            "idle",
            5,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        (
            "idle, and spent",
            4,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        (
            "idle, and ancient",
            0,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        ("overlap", 4, after(overlap), Decision::Replay),
        (
            "past the overlap",
            4,
            after(overlap + MS),
            Decision::Recover,
        ),
        ("recovery", 4, after(HOUR), Decision::Recover),
        (
            "past the recovery",
            4,
            after(HOUR + MS),
            reuse(1, HOUR + MS),
        ),
        (
            "an ancestor has its own window",
            3,
            after(Duration::ZERO),
            reuse(2, MINUTE),
        ),
        (
            "four back is remembered",
            1,
            after(Duration::ZERO),
            reuse(4, 3 * MINUTE),
        ),
        ("five back is not", 0, after(Duration::ZERO), reuse(5, None)),
        ("a negative age is none", 4, START, Decision::Replay),
        ("time does not run backwards", 3, START, reuse(2, MINUTE)),
        ("the store lost a write", 6, after(MS), advance_to(7)),
        ("the store lost many", 40, after(MS), advance_to(41)),
        (
            "the last generation there can be",
            u32::MAX,
            after(MS),
            advance_to(u32::MAX),
        ),
    ];
    for (name, presented, now, expected) in cases {
        assert_eq!(decided(&session(), presented, now), expected, "{name}");
    }
}

fn advance_to(to: u32) -> Decision {
    Decision::Advance {
        from: Generation::new(5),
        to: Generation::new(to),
    }
}

fn decided(session: &Session, presented: u32, now: Timestamp) -> Decision {
    let policy = ReusePolicy::default();
    decided_by(session, presented, "default", &policy, now)
}

fn decided_by(
    session: &Session,
    presented: u32,
    client: &str,
    policy: &ReusePolicy,
    now: Timestamp,
) -> Decision {
    let (presented, client) = (Generation::new(presented), ClientId::new(client).unwrap());
    decide(Some(session), presented, &client, policy, now)
}

#[test]
fn an_ancestor_within_its_own_overlap_is_replayed() {
    let mut session = session();
    session.spent = [300, 290, 280, 270].map(|secs| Some(START + Duration::from_secs(secs)));
    for presented in 1..=4 {
        assert_eq!(
            decided(&session, presented, after(Duration::ZERO)),
            Decision::Replay
        );
    }
    let late = after(MS);
    assert_eq!(
        decided(&session, 1, late),
        reuse(4, Duration::from_secs(30) + MS)
    );
    assert_eq!(decided(&session, 0, late), reuse(5, None));
}

#[test]
fn what_was_recovered_is_not_recovered_again() {
    let mut session = session();
    let now = after(MINUTE);
    // The current generation was: its holder has lost nothing yet, and may ask again.
    session.recovered = Some(Generation::new(5));
    assert_eq!(decided(&session, 4, now), Decision::Recover);
    assert_eq!(decided(&session, 5, now), ADVANCE);
    // Its successor was spent: whoever comes back with it collides with the other one.
    session.recovered = Some(Generation::new(4));
    assert_eq!(decided(&session, 4, after(MS)), Decision::Replay);
    assert_eq!(decided(&session, 4, now), reuse(1, MINUTE));
}

#[test]
fn without_recovery_and_overlap_every_spent_token_is_reused() {
    let policy = ReusePolicy {
        overlap: Duration::ZERO,
        recovery: Duration::ZERO,
        on_reuse: OnReuse::EndSession,
    };
    let decided = |now| decided_by(&session(), 4, "default", &policy, now);
    assert_eq!(decided(after(MS)), reuse(1, MS));
    // Simultaneous is not later.
    assert_eq!(decided(after(Duration::ZERO)), Decision::Replay);
    let policy = ReusePolicy {
        overlap: Duration::from_secs(30),
        ..policy
    };
    let now = after(Duration::from_secs(30) + MS);
    let strict = decided_by(&session(), 4, "default", &policy, now);
    assert_eq!(strict, reuse(1, Duration::from_secs(30) + MS));
}

#[test]
fn an_ended_session_is_ended_whoever_asks_with_whatever() {
    let mut ended = session();
    ended.ended = Some(Ended {
        at: START,
        reason: EndReason::Logout,
    });
    let mut over = session();
    over.idle_expires_at = START + 90 * DAY;
    let policy = ReusePolicy::default();
    for presented in [0, 3, 4, 5, 6, u32::MAX] {
        for client in CLIENTS {
            let end = Decision::Refuse(Refusal::SessionEnded);
            let now = after(MS);
            assert_eq!(decided_by(&ended, presented, client, &policy, now), end);
            let now = START + 90 * DAY;
            assert_eq!(decided_by(&over, presented, client, &policy, now), end);
            let (presented, client) = (Generation::new(presented), ClientId::new(client).unwrap());
            assert_eq!(decide(None, presented, &client, &policy, now), end);
        }
    }
    let last = START + (90 * DAY - MS);
    assert_eq!(decided(&over, 5, last), ADVANCE);
}

#[test]
fn another_client_changes_nothing_whatever_it_presents() {
    let policy = ReusePolicy::default();
    let wrong = Decision::Refuse(Refusal::WrongClient);
    for presented in [0, 3, 4, 5, 6] {
        for now in [START, after(MS), after(HOUR), after(14 * DAY)] {
            let decided = decided_by(&session(), presented, "mobile", &policy, now);
            assert_eq!(decided, wrong);
        }
    }
}

/// The table once more, row by row, over plain numbers.
#[expect(
    clippy::too_many_arguments,
    reason = "they are the columns of the table"
)]
fn table(
    (ended, own_client): (bool, bool),
    (now, last_seen, idle, absolute): (i64, i64, i64, i64),
    generation: u32,
    presented: u32,
    spent: [Option<i64>; 4],
    recovered: Option<u32>,
    overlap: i64,
    recovery: i64,
) -> Decision {
    let now = if now < last_seen { last_seen } else { now };
    if ended || now >= absolute {
        return Decision::Refuse(Refusal::SessionEnded);
    }
    if !own_client {
        return Decision::Refuse(Refusal::WrongClient);
    }
    if now >= idle {
        return Decision::Refuse(Refusal::RefreshExpired);
    }
    if presented >= generation {
        return Decision::Advance {
            from: Generation::new(generation),
            to: Generation::new(presented + 1),
        };
    }
    let gap = generation - presented;
    let spent = match gap {
        1 => spent[0],
        2 => spent[1],
        3 => spent[2],
        4 => spent[3],
        _ => None,
    };
    let age = spent.map(|spent| (now - spent).max(0));
    match age {
        Some(age) if age <= overlap => Decision::Replay,
        Some(age)
            if gap == 1 && recovery > 0 && age <= recovery && recovered != Some(presented) =>
        {
            Decision::Recover
        }
        _ => Decision::Reuse {
            gap,
            age: age.map(|age| Duration::from_millis(age.unsigned_abs())),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_that_of_the_table(
        ended in prop::bool::weighted(0.1),
        own_client in prop::bool::weighted(0.9),
        now in 0..40_i64,
        last_seen in 0..20_i64,
        idle in 10..60_i64,
        absolute in 10..60_i64,
        generation in 0..8_u32,
        back in -2..6_i64,
        spent in [option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64)],
        recovered_back in option::of(0..3_u32),
        overlap in 0..8_i64,
        recovery in 0..30_i64,
    ) {
        let at = |millis: i64| Timestamp::from_unix_millis(START.unix_millis() + millis);
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let presented = u32::try_from(i64::from(generation) - back).unwrap_or(0);
        let recovered = recovered_back.and_then(|back| generation.checked_sub(back));
        let mut session = session();
        session.ended = ended.then_some(Ended { at: START, reason: EndReason::Logout });
        session.last_seen_at = at(last_seen);
        session.idle_expires_at = at(idle);
        session.absolute_expires_at = at(absolute);
        session.generation = Generation::new(generation);
        session.spent = spent.map(|spent| spent.map(at));
        session.recovered = recovered.map(Generation::new);
        let policy = ReusePolicy {
            overlap: millis(overlap),
            recovery: millis(recovery),
            on_reuse: OnReuse::EndSession,
        };
        let client = if own_client { "default" } else { "mobile" };
        let decided = decided_by(&session, presented, client, &policy, at(now));
        let expected = table(
            (ended, own_client), (now, last_seen, idle, absolute),
            generation, presented, spent, recovered, overlap, recovery,
        );
        prop_assert_eq!(decided, expected);
    }
}
