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
    Authority, ClientId, Clock, Demand, Device, Error, Grant, MemoryStore, NewSession, Pass,
    Refusal, SessionId, SessionStore, Staleness, Subject,
};
use gatepass_testkit::ManualClock;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use tokio::runtime::Runtime;
use world::{DAY, MINUTE, World, builder, refusal, subject};

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
