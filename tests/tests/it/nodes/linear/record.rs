//! Clients that use the same sessions at the same time on several nodes, and note the answers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Change, Clock, Error, Identity, Issued, OnReuse, Pass, Refusal, ReusePolicy, Session,
    SessionId, SessionPage, Staleness,
};
use gatepass_testkit::{ManualClock, OnePassword, proxy::Proxy};
use gatepass_tests::nodes::{Node, Site, Timing, builder, subject, verify};
use tokio::task::JoinSet;

use super::{
    model::{OVERLAP, Op, Outcome, Policy, TICK, Ticks, Which, reloads},
    search::{Call, History},
};
use crate::nodes::random::Numbers;

/// Number of clients for one subject at the same time.
const CROWD: usize = 8;
/// Number of calls for one subject.
const CALLS_A_SUBJECT: usize = 100;
/// Maximum number of lost calls of a subject. After that, clients leave it. A lost call may have
/// happened at any later time, or never, so each one multiplies the orders that the search must
/// try. For example, the search tried 400,000 for histories of 100 calls of which 17 were lost.
const MOST_LOST: usize = 8;
/// One in so many calls lets a tick pass, for all subjects.
const CALLS_A_TICK: usize = 8;

/// A store whose clock the clients move.
pub(crate) struct World {
    site: Site,
    clock: ManualClock,
    timing: Timing,
    rules: Policy,
}

impl World {
    pub(crate) fn new(site: Site, timeout: Duration, rules: Policy) -> Self {
        let clock = ManualClock::new();
        Self {
            site: site.clock(&clock).timeout(timeout),
            clock,
            timing: Timing {
                node: timeout + Duration::from_secs(1),
                ..Timing::DEFAULT
            },
            rules,
        }
    }

    /// Every second node loads the user again at each refresh. That takes another path to the same
    /// result.
    pub(crate) async fn node(&self, number: usize, behind_proxy: bool) -> Node {
        let proxy = match behind_proxy {
            true => Some(Proxy::before(self.site.address()).await.unwrap()),
            false => None,
        };
        let store = self.site.open(proxy.as_ref()).await;
        let (overlap, on_reuse) = match self.rules {
            Policy::Overlap => (OVERLAP, OnReuse::EndSession),
            Policy::NoOverlap => (Duration::ZERO, OnReuse::Refuse),
        };
        let mut authority =
            builder(store, self.timing)
                .clock(self.clock.clone())
                .reuse(ReusePolicy {
                    overlap,
                    on_reuse,
                    ..ReusePolicy::default()
                });
        if reloads(number) {
            authority = authority.authenticator(OnePassword::new("a password"));
        }
        Node {
            authority: authority.build().await.unwrap(),
            proxy,
        }
    }

    /// The number of ticks so far.
    fn ticks(&self) -> i64 {
        let passed = self.clock.now().since(ManualClock::START);
        i64::try_from(passed.as_secs() / TICK.as_secs()).unwrap()
    }

    /// Makes `clients` do `operations` in total on `nodes`. Returns the history of each subject.
    pub(crate) async fn run(
        self,
        seed: u64,
        nodes: Vec<Node>,
        operations: usize,
        clients: usize,
    ) -> Vec<History> {
        let subjects: Vec<_> = (0..operations / CALLS_A_SUBJECT)
            .map(|number| {
                Arc::new(Subject {
                    name: format!("subject {number}"),
                    known: Mutex::default(),
                    left: AtomicUsize::new(CALLS_A_SUBJECT),
                })
            })
            .collect();
        let rules = self.rules;
        let bench = Arc::new(Bench {
            world: self,
            nodes,
            order: AtomicU64::new(0),
        });
        let mut running = JoinSet::new();
        let crowds = clients / CROWD;
        for client in 0..clients {
            let own = subjects.iter().skip(client % crowds).step_by(crowds);
            let own: Vec<_> = own.cloned().collect();
            let bench = Arc::clone(&bench);
            let mut numbers = Numbers::of(seed << 32 | client as u64);
            running.spawn(async move {
                for subject in own {
                    let take = |left: usize| left.checked_sub(1);
                    while (subject.left)
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                        .is_ok()
                    {
                        bench.call(&subject, &mut numbers).await;
                    }
                }
            });
        }
        running.join_all().await;
        let histories = subjects.iter().map(|subject| {
            let mut known = subject.known.lock().unwrap();
            let calls = known.calls_by_number();
            History { calls, rules }
        });
        histories.collect()
    }
}

/// The nodes, and a counter for the order in which calls begin and return.
struct Bench {
    world: World,
    nodes: Vec<Node>,
    order: AtomicU64,
}

/// The sessions of one subject, as known to all its clients.
#[derive(Default)]
struct Known {
    sessions: Vec<Held>,
    /// The sessions' numbers in this test, by the order in which clients first learned of them.
    counted: HashMap<SessionId, Which>,
    /// The store's number of each session.
    numbers: Vec<i64>,
    calls: Vec<Call>,
}

struct Held {
    which: Which,
    /// The tokens of each answered generation, the newest last.
    tokens: Vec<(u32, Issued)>,
    /// A verified access token of the session.
    pass: Option<Pass>,
}

struct Subject {
    name: String,
    known: Mutex<Known>,
    left: AtomicUsize,
}

/// A planned operation, with its tokens.
enum Plan {
    Login,
    Refresh(Issued),
    Logout(Issued),
    LogoutAll,
    LogoutOthers(Pass),
    List,
    /// A change to unique rights.
    Change(SessionId, usize),
    Check(Issued),
}

fn plan(known: &Known, numbers: &mut Numbers) -> Plan {
    let Some(newest) = known.sessions.len().checked_sub(1) else {
        return Plan::Login;
    };
    // Usually the newest session, because it is most likely live.
    let session = match numbers.below(3) {
        0 => numbers.below(newest + 1),
        _ => newest,
    };
    let Held { tokens, pass, .. } = &known.sessions[session];
    let back = match numbers.below(40) {
        0 => tokens.len() - 1,
        1..8 => numbers.below(tokens.len().min(6)),
        _ => 0,
    };
    let issued = tokens[tokens.len() - 1 - back].1.clone();
    match numbers.below(100) {
        0..8 => Plan::Login,
        8..12 => Plan::Logout(issued),
        12..15 => Plan::LogoutAll,
        15..18 => match pass {
            Some(pass) => Plan::LogoutOthers(pass.clone()),
            None => Plan::Check(issued),
        },
        18..30 => Plan::List,
        30..42 => Plan::Check(issued),
        42..52 => Plan::Change(issued.session_id, numbers.below(1 << 40)),
        _ => Plan::Refresh(issued),
    }
}

impl Bench {
    /// Lets one client do one operation on one of the nodes.
    async fn call(&self, subject_of: &Subject, numbers: &mut Numbers) {
        if numbers.below(CALLS_A_TICK) == 0 {
            self.world.clock.advance(TICK);
        }
        let number = numbers.below(self.nodes.len());
        let plan = plan(&subject_of.known.lock().unwrap(), numbers);
        let called = self.order.fetch_add(1, Ordering::SeqCst);
        let from = self.world.ticks();
        let answer = act(&self.nodes[number], &subject_of.name, &plan).await;
        let ticks = (from, self.world.ticks());
        let returned = self.order.fetch_add(1, Ordering::SeqCst);
        let mut known = subject_of.known.lock().unwrap();
        known.note(number, &plan, answer, ticks, (called, returned));
        let lost = known
            .calls
            .iter()
            .filter(|call| call.outcome == Outcome::Lost);
        if lost.count() >= MOST_LOST {
            subject_of.left.store(0, Ordering::Relaxed);
        }
    }
}

async fn act(node: &Node, name: &str, plan: &Plan) -> Answer {
    let (authority, subject) = (&node.authority, subject(name));
    match plan {
        Plan::Login => Answer::Issued(node.login(name).await),
        Plan::Refresh(issued) => Answer::Issued(node.refresh(issued).await),
        Plan::Logout(issued) => Answer::Done(
            authority
                .logout(issued.refresh_token.as_str())
                .await
                .map(drop),
        ),
        Plan::LogoutAll => Answer::Done(authority.logout_all(&subject).await.map(drop)),
        Plan::LogoutOthers(pass) => Answer::Done(authority.logout_others(pass).await.map(drop)),
        Plan::List => Answer::Listed(authority.sessions(&subject, None).await),
        Plan::Change(session, number) => {
            let number = serde_json::json!({ "number": number });
            let change = Change::enforced(move |identity: Identity| identity.claims(&number));
            Answer::Changed(authority.change_session(*session, &change).await)
        }
        Plan::Check(issued) => Answer::Checked(verify(authority, issued, Staleness::Strict).await),
    }
}

#[derive(Debug)]
enum Answer {
    Issued(Result<Issued, Error>),
    Done(Result<(), Error>),
    Changed(Result<bool, Error>),
    Checked(Result<Pass, Error>),
    Listed(Result<SessionPage, Error>),
}

impl Known {
    /// A session of which a client knows.
    fn which(&self, id: SessionId) -> Which {
        self.counted[&id]
    }

    /// A session of which a client learns, perhaps for the first time.
    fn hear(&mut self, id: SessionId, number: i64) -> Which {
        let next = self.counted.len();
        let which = *self.counted.entry(id).or_insert(next);
        if which == next {
            self.numbers.push(number);
        }
        assert_eq!(self.numbers[which], number, "another number");
        which
    }

    /// All calls. Their sessions are numbered in the store's order.
    fn calls_by_number(&mut self) -> Vec<Call> {
        let mut order = Vec::from_iter(0..self.numbers.len());
        order.sort_by_key(|which| self.numbers[*which]);
        let mut places = vec![0; order.len()];
        for (place, which) in order.into_iter().enumerate() {
            places[which] = place;
        }
        let mut calls = std::mem::take(&mut self.calls);
        for call in &mut calls {
            match &mut call.op {
                Op::Refresh { session, .. }
                | Op::Logout { session }
                | Op::LogoutOthers { session }
                | Op::Change { session }
                | Op::Check { session, .. } => *session = places[*session],
                Op::Login | Op::LogoutAll | Op::List => {}
            }
            match &mut call.outcome {
                Outcome::Began(session) => *session = places[*session],
                Outcome::Listed(sessions) => {
                    for session in sessions {
                        *session = places[*session];
                    }
                }
                _ => {}
            }
        }
        calls
    }

    /// Notes an answer for the history, and its tokens for later calls.
    fn note(
        &mut self,
        node: usize,
        plan: &Plan,
        answer: Answer,
        ticks: Ticks,
        (called, returned): (u64, u64),
    ) {
        let op = match plan {
            Plan::Login => Op::Login,
            Plan::Refresh(issued) => Op::Refresh {
                session: self.which(issued.session_id),
                generation: generation(issued),
            },
            Plan::Logout(issued) => Op::Logout {
                session: self.which(issued.session_id),
            },
            Plan::LogoutAll => Op::LogoutAll,
            Plan::LogoutOthers(pass) => Op::LogoutOthers {
                session: self.which(pass.session_id().unwrap()),
            },
            Plan::List => Op::List,
            Plan::Change(session, _) => Op::Change {
                session: self.which(*session),
            },
            Plan::Check(issued) => Op::Check {
                session: self.which(issued.session_id),
                version: version(issued),
            },
        };
        let rights = match &answer {
            Answer::Issued(Ok(issued)) => Some(version(issued)),
            _ => None,
        };
        let outcome = self.outcome(op, answer);
        self.calls.push(Call {
            node,
            op,
            outcome,
            rights,
            ticks,
            called,
            returned,
        });
    }

    fn held(&mut self, session: Which) -> &mut Held {
        let mut sessions = self.sessions.iter_mut();
        sessions.find(|held| held.which == session).unwrap()
    }

    fn outcome(&mut self, op: Op, answer: Answer) -> Outcome {
        match (op, answer) {
            (Op::Login, Answer::Issued(Ok(issued))) => {
                let session = self.hear(issued.session_id, number(&issued));
                self.sessions.push(Held {
                    which: session,
                    tokens: vec![(0, issued)],
                    pass: None,
                });
                Outcome::Began(session)
            }
            (Op::Refresh { session, .. }, Answer::Issued(Ok(issued))) => {
                assert_eq!(self.hear(issued.session_id, number(&issued)), session);
                let generation = generation(&issued);
                let tokens = &mut self.held(session).tokens;
                let (newest, last) = tokens.last_mut().unwrap();
                if *newest < generation {
                    tokens.push((generation, issued));
                } else if *newest == generation && version(last) < version(&issued) {
                    *last = issued;
                }
                Outcome::Refreshed(generation)
            }
            (Op::Logout { .. } | Op::LogoutAll | Op::LogoutOthers { .. }, Answer::Done(Ok(()))) => {
                Outcome::LoggedOut
            }
            (Op::Change { .. }, Answer::Changed(Ok(true))) => Outcome::Changed,
            (Op::Change { .. }, Answer::Changed(Ok(false))) => Outcome::SessionEnded,
            (Op::Check { session, .. }, Answer::Checked(Ok(pass))) => {
                self.held(session).pass = Some(pass);
                Outcome::Live
            }
            (Op::List, Answer::Listed(Ok(listed))) => {
                assert_eq!(listed.next, None);
                let listed = listed.sessions.iter();
                let hear = |session: &Session| self.hear(session.id, session.number.get());
                Outcome::Listed(listed.map(hear).collect())
            }
            (Op::Refresh { .. }, Answer::Issued(Err(Error::Refused(Refusal::SessionEnded)))) => {
                Outcome::SessionEnded
            }
            (Op::Refresh { .. }, Answer::Issued(Err(Error::Refused(Refusal::Reused)))) => {
                Outcome::Reused
            }
            (Op::Check { .. }, Answer::Checked(Err(Error::Refused(Refusal::StaleGrant)))) => {
                Outcome::Stale
            }
            (Op::Check { .. }, Answer::Checked(Err(Error::Refused(Refusal::Revoked)))) => {
                Outcome::Revoked
            }
            (
                _,
                Answer::Issued(Err(Error::Store(_)))
                | Answer::Done(Err(Error::Store(_)))
                | Answer::Changed(Err(Error::Store(_)))
                | Answer::Checked(Err(Error::Store(_)))
                | Answer::Listed(Err(Error::Store(_))),
            ) => Outcome::Lost,
            (op, answer) => panic!("{op}: {answer:?}"),
        }
    }
}

/// The generation in a refresh token, which consists of prefix, version, key, session, generation
/// and tag.
fn generation(issued: &Issued) -> u32 {
    let token = issued.refresh_token.as_str().trim_start_matches("gpr_");
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let generation = &bytes[1 + 4 + 18..][..4];
    u32::from_be_bytes(generation.try_into().unwrap())
}

/// The number of the session in an access token (claim `sn`).
fn number(issued: &Issued) -> i64 {
    claims(issued)["sn"].as_i64().unwrap()
}

/// The version of the rights in an access token (claim `gv`, which the first version lacks).
fn version(issued: &Issued) -> u32 {
    let version = claims(issued)["gv"].as_u64().unwrap_or(0);
    version.try_into().unwrap()
}

fn claims(issued: &Issued) -> serde_json::Value {
    let payload = issued.access_token.as_str().split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&claims).unwrap()
}
