//! Clients that use the same sessions at the same time, over several nodes, and write down what they see.

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
    AuthenticationError, Authenticator, Credentials, Device, Error, Grant, Issued, Refusal, Reread,
    Session, SessionId, Staleness, async_trait,
};
use gatepass_testkit::{ManualClock, Proxy};
use gatepass_tests::nodes::{Node, Site, Timing, builder, login, subject, verify};
use tokio::task::JoinSet;

use super::{
    model::{Op, Outcome, Which},
    search::{Call, History},
};
use crate::random::Numbers;

/// How many clients have to do with one subject at a time.
const CROWD: usize = 8;
/// How often they do something with it.
const CALLS_A_SUBJECT: usize = 100;

/// A store in which no time passes.
pub(crate) struct World {
    site: Site,
    clock: ManualClock,
    timing: Timing,
}

impl World {
    pub(crate) fn new(site: Site, timeout: Duration) -> Self {
        let clock = ManualClock::new();
        Self {
            site: site.clock(&clock).timeout(timeout),
            clock,
            timing: Timing {
                node: timeout + Duration::from_secs(1),
                ..Timing::DEFAULT
            },
        }
    }

    /// Every other node reads the user again at each refresh, which takes another way to the same end.
    pub(crate) async fn node(&self, number: u64, behind_proxy: bool) -> Node {
        let proxy = match behind_proxy {
            true => Some(Proxy::before(self.site.address()).await.unwrap()),
            false => None,
        };
        let store = self.site.open(proxy.as_ref()).await;
        let mut authority = builder(store, self.timing).clock(self.clock.clone());
        if number % 2 == 1 {
            authority = authority.authenticator(Unchanged);
        }
        Node {
            authority: authority.build().await.unwrap(),
            proxy,
        }
    }
}

/// Finds every user as it was.
struct Unchanged;

#[async_trait]
impl Authenticator for Unchanged {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Grant, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reread(&self, _: &Session) -> Result<Reread, AuthenticationError> {
        tokio::task::yield_now().await;
        Ok(Reread::Unchanged)
    }
}

/// What is known of the sessions of one subject, to all its clients.
#[derive(Default)]
struct Known {
    /// The last refresh tokens, the newest last, with their generations, and one access token.
    sessions: Vec<(Which, Vec<(u32, Issued)>)>,
    numbers: HashMap<SessionId, Which>,
    calls: History,
}

struct Subject {
    name: String,
    known: Mutex<Known>,
    left: AtomicUsize,
}

/// Has `clients` do `operations` in all over `nodes`, and returns what happened to each subject.
pub(crate) async fn run(
    seed: u64,
    nodes: Vec<Node>,
    operations: usize,
    clients: usize,
) -> Vec<History> {
    let nodes = Arc::new(nodes);
    let clock = Arc::new(AtomicU64::new(0));
    let subjects: Vec<_> = (0..operations / CALLS_A_SUBJECT)
        .map(|number| {
            Arc::new(Subject {
                name: format!("subject {number}"),
                known: Mutex::default(),
                left: AtomicUsize::new(CALLS_A_SUBJECT),
            })
        })
        .collect();
    let mut running = JoinSet::new();
    let crowds = clients / CROWD;
    for client in 0..clients {
        let own = subjects.iter().skip(client % crowds).step_by(crowds);
        let own: Vec<_> = own.cloned().collect();
        let (nodes, clock) = (Arc::clone(&nodes), Arc::clone(&clock));
        let mut numbers = Numbers::of(seed << 32 | client as u64);
        running.spawn(async move {
            for subject in own {
                let take = |left: usize| left.checked_sub(1);
                while (subject.left)
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let node = numbers.below(nodes.len());
                    call(&nodes[node], node, &subject, &mut numbers, &clock).await;
                }
            }
        });
    }
    running.join_all().await;
    let histories = subjects.iter().map(|subject| {
        let mut known = subject.known.lock().unwrap();
        std::mem::take(&mut known.calls)
    });
    histories.collect()
}

/// Something to do, and with which tokens.
enum Plan {
    Login,
    Refresh(Issued),
    Logout(Issued),
    LogoutAll,
    List,
    Check(Issued),
}

fn plan(known: &Known, numbers: &mut Numbers) -> Plan {
    let Some(newest) = known.sessions.len().checked_sub(1) else {
        return Plan::Login;
    };
    // Mostly the newest, which is the likeliest to be alive.
    let session = match numbers.below(3) {
        0 => numbers.below(newest + 1),
        _ => newest,
    };
    let tokens = &known.sessions[session].1;
    let back = match numbers.below(40) {
        0 => tokens.len() - 1,
        1..8 => numbers.below(tokens.len().min(6)),
        _ => 0,
    };
    let issued = tokens[tokens.len() - 1 - back].1.clone();
    match numbers.below(100) {
        0..8 => Plan::Login,
        8..14 => Plan::Logout(issued),
        14..17 => Plan::LogoutAll,
        17..30 => Plan::List,
        30..42 => Plan::Check(issued),
        _ => Plan::Refresh(issued),
    }
}

async fn call(
    node: &Node,
    number: usize,
    subject_of: &Subject,
    numbers: &mut Numbers,
    clock: &AtomicU64,
) {
    let name = subject_of.name.as_str();
    let plan = plan(&subject_of.known.lock().unwrap(), numbers);
    let authority = &node.authority;
    let called = clock.fetch_add(1, Ordering::SeqCst);
    let answer = match &plan {
        Plan::Login => Answer::Issued(login(authority, name).await),
        Plan::Refresh(issued) => Answer::Issued(node.refresh(issued).await),
        Plan::Logout(issued) => Answer::Done(authority.logout(issued.refresh_token.as_str()).await),
        Plan::LogoutAll => Answer::Counted(authority.logout_all(&subject(name)).await),
        Plan::List => {
            let listed = authority.sessions(&subject(name)).await;
            Answer::Listed(listed.map(|listed| listed.iter().map(|session| session.id).collect()))
        }
        Plan::Check(issued) => {
            let checked = verify(authority, issued, Staleness::Strict).await;
            Answer::Done(checked.map(drop))
        }
    };
    let returned = clock.fetch_add(1, Ordering::SeqCst);
    let mut known = subject_of.known.lock().unwrap();
    let op = match &plan {
        Plan::Login => Op::Login,
        Plan::Refresh(issued) => Op::Refresh {
            session: known.number(issued.session_id),
            generation: generation(issued),
        },
        Plan::Logout(issued) => Op::Logout {
            session: known.number(issued.session_id),
        },
        Plan::LogoutAll => Op::LogoutAll,
        Plan::List => Op::List,
        Plan::Check(issued) => Op::Check {
            session: known.number(issued.session_id),
        },
    };
    let outcome = known.outcome(op, answer);
    known.calls.0.push(Call {
        node: number,
        op,
        outcome,
        called,
        returned,
    });
}

#[derive(Debug)]
enum Answer {
    Issued(Result<Issued, Error>),
    Done(Result<(), Error>),
    Counted(Result<usize, Error>),
    Listed(Result<Vec<SessionId>, Error>),
}

impl Known {
    fn number(&mut self, id: SessionId) -> Which {
        let next = self.numbers.len();
        *self.numbers.entry(id).or_insert(next)
    }

    fn outcome(&mut self, op: Op, answer: Answer) -> Outcome {
        match (op, answer) {
            (Op::Login, Answer::Issued(Ok(issued))) => {
                let session = self.number(issued.session_id);
                self.sessions.push((session, vec![(0, issued)]));
                Outcome::Began(session)
            }
            (Op::Refresh { session, .. }, Answer::Issued(Ok(issued))) => {
                assert_eq!(self.number(issued.session_id), session);
                let generation = generation(&issued);
                let (_, tokens) = (self.sessions.iter_mut())
                    .find(|(of, _)| *of == session)
                    .unwrap();
                if tokens.last().unwrap().0 < generation {
                    tokens.push((generation, issued));
                }
                Outcome::Refreshed(generation)
            }
            (Op::Logout { .. }, Answer::Done(Ok(()))) => Outcome::LoggedOut,
            (Op::Check { .. }, Answer::Done(Ok(()))) => Outcome::Live,
            (Op::LogoutAll, Answer::Counted(Ok(count))) => Outcome::LoggedOutAll(Some(count)),
            (Op::List, Answer::Listed(Ok(listed))) => {
                Outcome::Listed(listed.iter().map(|id| self.number(*id)).collect())
            }
            (Op::Refresh { .. }, Answer::Issued(Err(Error::Refused(Refusal::SessionEnded)))) => {
                Outcome::SessionEnded
            }
            (Op::Refresh { .. }, Answer::Issued(Err(Error::Refused(Refusal::Reused)))) => {
                Outcome::Reused
            }
            (Op::Check { .. }, Answer::Done(Err(Error::Refused(Refusal::Revoked)))) => {
                Outcome::Revoked
            }
            (
                _,
                Answer::Issued(Err(Error::Store(_)))
                | Answer::Done(Err(Error::Store(_)))
                | Answer::Counted(Err(Error::Store(_)))
                | Answer::Listed(Err(Error::Store(_))),
            ) => Outcome::Lost,
            (op, answer) => panic!("{op}: {answer:?}"),
        }
    }
}

/// What a refresh token says: prefix, version, key, session, generation, tag.
fn generation(issued: &Issued) -> u32 {
    let token = issued.refresh_token.as_str().trim_start_matches("gpr_");
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let generation = &bytes[1 + 4 + 18..][..4];
    u32::from_be_bytes(generation.try_into().unwrap())
}
