//! A node's heartbeats, and how nodes find out that all of them know a revocation.
//!
//! A node that has committed a revocation *asks*: it writes a heartbeat with a number that it has
//! not used before. A node that reads the question pulls the log. Once that pull has succeeded, the
//! node *acknowledges* the number in its own heartbeat. The commit came before the question, and
//! the question before the pull, so the pull has brought the revocation. The nodes compare neither
//! clocks nor places in a log. So neither a wrong clock nor another log after a failover can
//! deceive a node.
//!
//! A starting node writes its first heartbeat before it loads the log. If another node reads the
//! heartbeats and doesn't find the starting node, the starting node loads the log later. It
//! then loads everything that was committed before that read.
//!
//! Heartbeats can get lost, if a store loses writes that it acknowledged. A node therefore
//! remembers the nodes that it has seen, and checks that its own question is still there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    denylist::replica::Replica,
    env::clock::{Clock, Timestamp},
    model::{health::Health, ids::NodeId},
    observe,
    store::{
        SessionStore, answer,
        error::StoreError,
        examination,
        heartbeat::{Heartbeat, Heartbeats},
    },
};

/// How long a store keeps the last heartbeat of a node that has gone without a farewell. Until then
/// other nodes wait for it, for as long as `max_staleness` demands: it may be alive and only unable
/// to write.
const KEPT: Duration = Duration::from_secs(600);
/// The shortest pause between two heartbeats of a node.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a node that has asked looks for answers.
const LOOK: Duration = Duration::from_millis(100);

/// The heart of a node, without the task that makes it beat.
pub(crate) struct Heart {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    state: Mutex<State>,
    /// The number up to which all nodes have acknowledged what this node has asked.
    agreed: watch::Sender<u64>,
    asked: Notify,
}

struct State {
    /// The facts about this node.
    facts: Heartbeat,
    /// How often this node has asked.
    asks: u64,
    /// How many questions wait for an answer.
    waiting: usize,
    known: HashMap<NodeId, Known>,
    /// How far this node's clock was ahead of the store's at its last heartbeat.
    clock_ahead_millis: Option<i64>,
    last: Option<Heartbeats>,
    /// Whether the last call to the store failed.
    failing: bool,
}

/// Another node that this node has seen.
struct Known {
    /// When it starts to count as gone, unless it beats again.
    gone_at: Instant,
    /// When its last heartbeat was, by the store's clock.
    recorded_at: Timestamp,
    max_staleness: Duration,
}

/// A question to all other nodes that was asked and may have been answered.
pub(crate) struct Question {
    heart: Arc<Heart>,
    number: u64,
}

/// The task that makes a heart beat. When it is dropped, the node says farewell and the task ends.
pub(crate) struct Beating {
    heart: Arc<Heart>,
    _stop: oneshot::Sender<()>,
}

impl Heart {
    pub(crate) fn new(
        facts: Heartbeat,
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            timeout,
            state: Mutex::new(State {
                facts,
                asks: 0,
                waiting: 0,
                known: HashMap::new(),
                clock_ahead_millis: None,
                last: None,
                failing: false,
            }),
            agreed: watch::Sender::new(0),
            asked: Notify::new(),
        }
    }

    /// Writes the first heartbeat. Call this before you load the log.
    pub(crate) async fn announce(&self) -> Result<(), StoreError> {
        let heartbeat = self.heartbeat(None);
        self.write(heartbeat).await.map(drop)
    }

    /// Changes the facts that the next heartbeats state about this node.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Heartbeat)) {
        change(&mut self.state().facts);
    }

    /// Asks all other nodes whether they know everything that was committed before this call.
    pub(crate) fn ask(self: &Arc<Self>) -> Question {
        let mut state = self.state();
        state.asks += 1;
        state.waiting += 1;
        let number = state.asks;
        drop(state);
        self.asked.notify_one();
        Question {
            heart: Arc::clone(self),
            number,
        }
    }

    /// The longest `max_staleness` of this node and of the nodes that it waits for.
    pub(crate) fn slowest(&self) -> Duration {
        let state = self.state();
        let now = Instant::now();
        let others = state.known.values().filter(|known| known.gone_at > now);
        let others = others.map(|known| known.max_staleness);
        others.fold(state.facts.max_staleness, Duration::max)
    }

    /// Adds to `health` the facts about this node from the last heartbeats.
    pub(crate) fn complete(&self, health: Health) -> Health {
        let state = self.state();
        let own = state.facts.node;
        let last = state.last.as_ref();
        Health {
            clock_ahead_millis: state.clock_ahead_millis,
            differs: last.and_then(|last| examination::differs(last, own)),
            ..health
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change is left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The heartbeat to write now. `lag` is the age of this node's revocation data.
    fn heartbeat(&self, lag: Option<Duration>) -> Heartbeat {
        let state = self.state();
        let mut heartbeat = state.facts.clone();
        heartbeat.clock = self.clock.now();
        heartbeat.lag = lag;
        heartbeat.asks = if state.waiting > 0 { state.asks } else { 0 };
        heartbeat
    }

    async fn write(&self, heartbeat: Heartbeat) -> Result<Questions, StoreError> {
        let sent = self.clock.now();
        let beaten = answer::in_time(self.timeout, self.store.beat(&heartbeat, KEPT)).await;
        let heartbeats = self.tell(beaten)?;
        let ahead = ahead_millis(sent, self.clock.now(), heartbeats.now);
        self.state().clock_ahead_millis = Some(ahead);
        Ok(self.take(heartbeats))
    }

    async fn look(&self) -> Result<Questions, StoreError> {
        let looked = answer::in_time(self.timeout, self.store.heartbeats()).await;
        Ok(self.take(self.tell(looked)?))
    }

    /// Tells the operator of a failure.
    fn tell(&self, answer: Result<Heartbeats, StoreError>) -> Result<Heartbeats, StoreError> {
        let mut state = self.state();
        let was_failing = std::mem::replace(&mut state.failing, answer.is_err());
        drop(state);
        answer.inspect_err(|error| observe::heartbeat_failed(error, !was_failing))
    }

    /// Takes note of all heartbeats. Returns the questions that they ask.
    fn take(&self, heartbeats: Heartbeats) -> Questions {
        let now = Instant::now();
        let mut state = self.state();
        let own = state.facts.node;
        let mut before = std::mem::take(&mut state.known);
        let (mut asked, mut answered) = (0, u64::MAX);
        let mut questions = Questions::new();
        for recorded in &heartbeats.nodes {
            let heartbeat = &recorded.heartbeat;
            if heartbeat.node == own {
                asked = heartbeat.asks;
                continue;
            }
            let left = KEPT.saturating_sub(heartbeats.now.since(recorded.at));
            if left.is_zero() && !heartbeat.left {
                // It is too old by the store's clock, which may have jumped. If we have seen the
                // node, it counts as missing until our own clock reaches `gone_at`.
                continue;
            }
            let before = before.remove(&heartbeat.node);
            if heartbeat.left {
                continue;
            }
            let known = Known {
                gone_at: gone_at(before.as_ref(), recorded.at, now + left),
                recorded_at: recorded.at,
                max_staleness: heartbeat.max_staleness,
            };
            if known.gone_at > now {
                let acknowledged = heartbeat.acknowledges.get(&own);
                answered = answered.min(acknowledged.copied().unwrap_or(0));
                if heartbeat.asks > 0 {
                    questions.insert(heartbeat.node, heartbeat.asks);
                }
            }
            state.known.insert(heartbeat.node, known);
        }
        before.retain(|_, known| known.gone_at > now);
        let missing = before.len();
        state.known.extend(before);
        // A question that is no longer there may have been lost together with heartbeats.
        let agreed = match missing {
            0 => asked.min(answered),
            _ => 0,
        };
        state.last = Some(heartbeats);
        drop(state);
        self.agreed.send_if_modified(|last| {
            let more = agreed > *last;
            *last = agreed.max(*last);
            more
        });
        questions
    }

    fn is_waiting(&self) -> bool {
        self.state().waiting > 0
    }

    /// The questions that are not acknowledged yet.
    fn unanswered(&self, questions: &Questions) -> bool {
        let state = self.state();
        let acknowledged = &state.facts.acknowledges;
        questions
            .iter()
            .any(|(node, number)| acknowledged.get(node) < Some(number))
    }

    /// Beats until `stop` resolves.
    async fn run(&self, replica: &Replica, mut stop: oneshot::Receiver<()>) {
        let interval = self.state().facts.interval;
        let mut last = Instant::now();
        let mut due = last + interval;
        // After news, the question of the node that made the revocation may come a little later.
        let mut look_again = None;
        loop {
            let now = Instant::now();
            let looking = self.is_waiting().then(|| now + LOOK);
            let next_look = [looking, look_again].into_iter().flatten().min();
            let beats = tokio::select! {
                _ = &mut stop => break,
                () = self.asked.notified() => true,
                () = sleep_until(due) => true,
                () = replica.news() => {
                    look_again = Some(Instant::now() + PAUSE);
                    false
                }
                () = sleep_until(next_look.unwrap_or(due)), if next_look.is_some() => false,
            };
            if look_again.is_some_and(|at| at <= Instant::now()) {
                look_again = None;
            }
            let questions = if beats {
                sleep_until(last + PAUSE).await;
                (last, due) = (Instant::now(), Instant::now() + interval);
                self.write(self.heartbeat(replica.health().lag)).await
            } else {
                self.look().await
            };
            let Ok(questions) = questions else {
                // Don't ask a failing store again at once, and repeat an open question.
                look_again = None;
                if self.is_waiting() {
                    due = due.min(Instant::now() + PAUSE);
                }
                tokio::select! {
                    _ = &mut stop => break,
                    () = sleep_until(Instant::now() + PAUSE) => continue,
                }
            };
            if self.unanswered(&questions) {
                if replica.catch_up().await.is_ok() {
                    self.update(|facts| facts.acknowledges = questions);
                    due = Instant::now();
                } else {
                    look_again = Some(Instant::now() + PAUSE);
                }
            }
        }
        let mut farewell = self.heartbeat(replica.health().lag);
        farewell.left = true;
        let _ = self.write(farewell).await;
    }
}

/// The time at which a node starts to count as gone, if the store forgets its last heartbeat at
/// `forgotten`. The time is never earlier than `before`, and only a newer heartbeat makes it later:
/// the store's clock may have jumped, in either direction.
fn gone_at(before: Option<&Known>, recorded_at: Timestamp, forgotten: Instant) -> Instant {
    match before {
        Some(known) if known.recorded_at == recorded_at => known.gone_at,
        Some(known) => known.gone_at.max(forgotten),
        None => forgotten,
    }
}

/// The nodes that ask, each with the number of its question.
type Questions = BTreeMap<NodeId, u64>;

/// How far a clock that showed `sent` and `received` was ahead of the store's clock, which showed
/// `store` in between.
fn ahead_millis(sent: Timestamp, received: Timestamp, store: Timestamp) -> i64 {
    let (sent, received) = (sent.unix_millis(), received.unix_millis());
    sent + (received - sent) / 2 - store.unix_millis()
}

impl Question {
    /// Waits until all nodes have acknowledged the question. That may never happen.
    pub(crate) async fn answered(&self) {
        let mut agreed = self.heart.agreed.subscribe();
        // The sender lives as long as the heart.
        let _ = agreed.wait_for(|agreed| *agreed >= self.number).await;
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.heart.state().waiting -= 1;
    }
}

impl Beating {
    /// Makes `heart` beat for the node that judges by `replica`.
    pub(crate) fn start(heart: Arc<Heart>, replica: Arc<Replica>) -> Self {
        let (_stop, stopped) = oneshot::channel();
        let beating = Arc::clone(&heart);
        tokio::spawn(async move { beating.run(&replica, stopped).await });
        Self { heart, _stop }
    }

    pub(crate) fn heart(&self) -> &Arc<Heart> {
        &self.heart
    }
}
