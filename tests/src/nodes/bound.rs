//! Measures how long other nodes still accept a session after its end, or an old token after a
//! change of its rights.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{Change, Connection, Error, Issued, Refusal};
use gatepass_testkit::{Op, StoreFault, TestStore};
use tokio::task::JoinSet;

use super::{Node, Site, Timing};

/// The act that nodes enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The end of a session.
    End,
    /// An enforced change of a session's rights.
    Change,
}

/// The parameters of a measurement: revocations, nodes, and load.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// The act to measure.
    pub act: Act,
    /// Number of nodes.
    pub nodes: usize,
    /// Number of sessions to end or change, on each node in turn.
    pub revocations: usize,
    /// The pause between two of them.
    pub pause: Duration,
    /// Number of clients that refresh all the time.
    pub clients: usize,
    /// Whether the store may notify nodes of new entries. Otherwise they poll.
    pub push: bool,
    /// The bound, and how often nodes poll.
    pub timing: Timing,
}

/// The result of a measurement.
#[derive(Debug, Default)]
pub struct Bound {
    /// How long each other node still accepted a token after the end or change had returned. One
    /// value for each node and revocation.
    pub delays: Delays,
    /// Violations: accepted tokens whose verification began after the bound, or after the return on
    /// the same node.
    pub violations: Vec<String>,
    /// Number of verifications.
    pub verifications: u64,
    /// Number of verifications that ended with 503.
    pub unavailable: u64,
    /// Number of refreshes during the measurement.
    pub refreshes: u64,
    /// How long after the return each node closed its open connection. One value for each node and
    /// revocation.
    pub closings: Delays,
    /// Number of connections that a node closed because it had lost its store.
    pub cut_off: u64,
}

/// Durations, in order.
#[derive(Debug, Default)]
pub struct Delays(Vec<Duration>);

impl Delays {
    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration below which `percent` of all durations are.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} verifications ({} answered 503), {} refreshes; connections: {} ({} cut off)",
            self.delays,
            self.verifications,
            self.unavailable,
            self.refreshes,
            self.closings,
            self.cut_off
        )
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, late, last] = [50, 99, 100].map(|percent| {
            let micros = self.percentile(percent).as_micros();
            format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
        });
        let count = self.count();
        write!(f, "{count} delays: p50 {median}, p99 {late}, max {last}")
    }
}

/// How long a connection may stay open after the last revocation.
const OPEN: Duration = Duration::from_secs(60);

/// The end of a connection: the session, the reason and the time. `None` if it stays open.
type Closing = (usize, Option<(gatepass::Ended, Instant)>);

/// A session that was ended or changed, for one node.
struct Ended {
    act: Act,
    issued: Arc<Issued>,
    returned: Instant,
    /// The time from which the node must refuse the token.
    bound: Instant,
    elsewhere: bool,
}

/// The results of one node.
#[derive(Default)]
struct Seen {
    delays: Vec<Duration>,
    violations: Vec<String>,
    verifications: u64,
    unavailable: u64,
}

/// Ends or changes sessions on each node in turn, while all nodes are busy. Measures how long the
/// others accept the tokens.
pub async fn measure(site: &Site, asked: Measurement) -> Bound {
    let mut nodes = Vec::new();
    for _ in 0..asked.nodes {
        let store = TestStore::new(site.open(None).await);
        if !asked.push {
            store.clone().inject(Op::Changed, StoreFault::Hang);
        }
        nodes.push(Arc::new(
            Node::over(Arc::new(store), None, asked.timing).await,
        ));
    }
    let sessions = log_in(&nodes, asked.revocations).await;

    let done = Arc::new(AtomicBool::new(false));
    let closings = open(&nodes, &sessions, &done).await;
    let refreshes = Arc::new(AtomicU64::new(0));
    let mut load = JoinSet::new();
    for client in 0..asked.clients {
        let node = Arc::clone(&nodes[client % nodes.len()]);
        load.spawn(refresh_until(
            Arc::clone(&done),
            node,
            Arc::clone(&refreshes),
        ));
    }
    let queues: Vec<Arc<Mutex<VecDeque<Ended>>>> = nodes.iter().map(|_| Arc::default()).collect();
    let mut watching = JoinSet::new();
    for (node, queue) in nodes.iter().zip(&queues) {
        let (node, queue) = (Arc::clone(node), Arc::clone(queue));
        watching.spawn(watch(node, queue, Arc::clone(&done)));
    }

    let mut ends = Vec::new();
    let freeze = serde_json::json!({ "frozen": true });
    let change = Change::enforced(move |identity| identity.claims(&freeze));
    let mut pace = tokio::time::interval(asked.pause);
    for (number, issued) in sessions.iter().enumerate() {
        pace.tick().await;
        let own = number % nodes.len();
        let (authority, id) = (&nodes[own].authority, issued.session_id);
        let done = match asked.act {
            Act::End => authority.end_session(id).await.map(|_| true),
            Act::Change => authority.change_session(id, &change).await,
        };
        assert!(done.unwrap());
        let returned = Instant::now();
        ends.push(returned);
        for (node, queue) in queues.iter().enumerate() {
            let elsewhere = node != own;
            let bound = match elsewhere {
                true => returned + asked.timing.max_staleness,
                false => returned,
            };
            queue.lock().unwrap().push_back(Ended {
                act: asked.act,
                issued: Arc::clone(issued),
                returned,
                bound,
                elsewhere,
            });
        }
    }
    done.store(true, Ordering::Relaxed);
    load.join_all().await;
    let mut bound = Bound::default();
    for seen in watching.join_all().await {
        bound.delays.0.extend(seen.delays);
        bound.violations.extend(seen.violations);
        bound.verifications += seen.verifications;
        bound.unavailable += seen.unavailable;
    }
    bound.delays.0.sort_unstable();
    for (session, closing) in closings.join_all().await {
        bound.note(
            asked.act,
            ends[session],
            closing,
            asked.timing.max_staleness,
        );
    }
    bound.closings.0.sort_unstable();
    bound.refreshes = refreshes.load(Ordering::Relaxed);
    bound
}

impl Act {
    /// The reason with which connections end after this act.
    fn end_of_connections(self) -> gatepass::Ended {
        match self {
            Self::End => gatepass::Ended::Revoked,
            Self::Change => gatepass::Ended::GrantChanged,
        }
    }
}

impl Bound {
    fn note(
        &mut self,
        act: Act,
        returned: Instant,
        closing: Option<(gatepass::Ended, Instant)>,
        max_staleness: Duration,
    ) {
        match closing {
            Some((ended, at)) if ended == act.end_of_connections() => {
                let delay = at.saturating_duration_since(returned);
                if delay > max_staleness {
                    let late = delay - max_staleness;
                    let violation = format!("a connection was open {late:?} after the bound");
                    self.violations.push(violation);
                }
                self.closings.0.push(delay);
            }
            Some((gatepass::Ended::Unknown, _)) => self.cut_off += 1,
            other => self.violations.push(format!("a connection: {other:?}")),
        }
    }
}

/// Opens a connection for each session on each node.
async fn open(
    nodes: &[Arc<Node>],
    sessions: &[Arc<Issued>],
    done: &Arc<AtomicBool>,
) -> JoinSet<Closing> {
    let mut closings = JoinSet::new();
    for node in nodes {
        for (session, issued) in sessions.iter().enumerate() {
            let pass = node.verify(issued).await.unwrap();
            let connection = node.authority.verifier().connection(&pass);
            let done = Arc::clone(done);
            closings.spawn(async move { (session, closed(&connection, &done).await) });
        }
    }
    closings
}

async fn closed(connection: &Connection, done: &AtomicBool) -> Option<(gatepass::Ended, Instant)> {
    let over = async {
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(OPEN).await;
    };
    tokio::select! {
        ended = connection.ended() => Some((ended, Instant::now())),
        () = over => None,
    }
}

async fn log_in(nodes: &[Arc<Node>], number: usize) -> Vec<Arc<Issued>> {
    let mut logins = JoinSet::new();
    for node in nodes {
        let (node, share) = (Arc::clone(node), number.div_ceil(nodes.len()));
        logins.spawn(async move {
            let mut sessions = Vec::new();
            for number in 0..share {
                let issued = node.login(&format!("user {number}")).await;
                sessions.push(Arc::new(issued.unwrap()));
            }
            sessions
        });
    }
    let mut sessions = logins.join_all().await.concat();
    sessions.truncate(number);
    sessions
}

async fn refresh_until(done: Arc<AtomicBool>, node: Arc<Node>, refreshes: Arc<AtomicU64>) {
    let mut issued = node.login("busy").await.unwrap();
    while !done.load(Ordering::Relaxed) {
        // An overloaded store doesn't affect the bound. The client presents the same token again.
        if let Ok(next) = node.refresh(&issued).await {
            issued = next;
            refreshes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Verifies the tokens of all ended sessions repeatedly, until the node refuses each of them.
async fn watch(node: Arc<Node>, queue: Arc<Mutex<VecDeque<Ended>>>, done: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let (mut open, mut known) = (VecDeque::new(), Vec::new());
    loop {
        // Read before the queue, because nothing comes after it.
        let last = done.load(Ordering::Relaxed);
        open.append(&mut queue.lock().unwrap());
        for _ in 0..open.len() {
            let Some(ended) = open.pop_front() else { break };
            match verify(&node, &ended, &mut seen).await {
                Some(delay) => {
                    if ended.elsewhere {
                        seen.delays.push(delay);
                    }
                    known.push(ended);
                }
                None => open.push_back(ended),
            }
        }
        if last && open.is_empty() {
            break;
        }
        // The pause leaves processor time for the other nodes.
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    // A node must not forget a revocation.
    for ended in &known {
        if verify(&node, ended, &mut seen).await.is_none() {
            let violation = format!("forgotten: {}", ended.issued.session_id);
            seen.violations.push(violation);
        }
    }
    seen
}

/// How long the node accepted the token after the end of its session. `None` if it still does.
async fn verify(node: &Node, ended: &Ended, seen: &mut Seen) -> Option<Duration> {
    let began = Instant::now();
    let verified = node.verify(&ended.issued).await;
    seen.verifications += 1;
    let expected = match ended.act {
        Act::End => Refusal::Revoked,
        Act::Change => Refusal::StaleGrant,
    };
    match verified {
        Err(Error::Refused(refusal)) if refusal == expected => {
            return Some(began.saturating_duration_since(ended.returned));
        }
        Ok(_) if began >= ended.bound => {
            let late = began - ended.bound;
            let place = if ended.elsewhere { "elsewhere" } else { "here" };
            let session = ended.issued.session_id;
            let violation = format!("{session}: honoured {place} {late:?} after the bound");
            seen.violations.push(violation);
            // Counts as refused, so that the test doesn't ask the node about it again.
            return Some(began.saturating_duration_since(ended.returned));
        }
        Ok(_) => {}
        Err(Error::Store(_)) => seen.unavailable += 1,
        Err(error) => seen.violations.push(format!("{error:?}")),
    }
    None
}
