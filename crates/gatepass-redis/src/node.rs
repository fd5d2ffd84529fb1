//! One server, and the connections to it. All callers share them. A node makes connections when it
//! needs them, and gives up those that don't answer.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture, future::Shared};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::Failure;

/// A server.
pub(crate) struct Node {
    client: Client,
    /// How long it may take to connect.
    patience: Duration,
    slots: Mutex<Vec<Slot>>,
    next: AtomicUsize,
}

/// A slot for one connection.
#[derive(Clone)]
struct Slot {
    /// Counts the connections that this slot has given up.
    epoch: u64,
    /// The time of the last answer.
    heard: Instant,
    link: Link,
}

/// The connection over which a command was sent.
#[derive(Clone, Copy)]
struct Used {
    index: usize,
    epoch: u64,
}

#[derive(Clone)]
enum Link {
    None,
    Making(Making),
    Made(MultiplexedConnection),
}

type Making = Shared<BoxFuture<'static, RedisResult<(Used, MultiplexedConnection)>>>;

/// Commands to send to a server together.
pub(crate) enum Request<'c> {
    One(&'c Cmd),
    /// Several commands, and which of the answers counts.
    Many(Pipeline, usize),
}

/// Commands to send around a command: `ASKING` before it, and `WAIT` after it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around {
    /// The cluster is moving the command's keys to this server.
    pub(crate) asking: bool,
    /// How many replicas must have the change, and how long to wait for them.
    pub(crate) replicas: Option<(u32, Duration)>,
}

impl<'c> Request<'c> {
    pub(crate) fn new(command: &'c Cmd, around: Around) -> Self {
        let mut pipeline = Pipeline::new();
        match around {
            Around {
                asking: false,
                replicas: None,
            } => return Self::One(command),
            Around { asking: true, .. } => pipeline.cmd("ASKING").add_command(command.clone()),
            Around { .. } => pipeline.add_command(command.clone()),
        };
        if let Some((replicas, patience)) = around.replicas {
            // Zero would mean forever.
            let millis = patience.as_millis().max(1);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            pipeline.cmd("WAIT").arg(replicas).arg(millis);
        }
        Self::Many(pipeline, around.asking.into())
    }

    /// Whether the connection is blocked until replicas have answered.
    fn waits(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(pipeline, main) => pipeline.len() > main + 1,
        }
    }

    async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<Said> {
        match self {
            Self::One(command) => Ok(Said {
                answer: connection
                    .send_packed_command(command)
                    .await?
                    .extract_error()?,
                replicas: None,
            }),
            Self::Many(pipeline, main) => {
                let answers = connection.send_packed_commands(pipeline, 0, pipeline.len());
                extract(answers.await?, *main)
            }
        }
    }
}

/// A server's answer, and how many replicas have the change, if the request asked.
pub(crate) struct Said {
    pub(crate) answer: Value,
    pub(crate) replicas: Option<i64>,
}

impl Node {
    /// The server at the address of `info`, over at most `links` connections.
    pub(crate) fn new(info: ConnectionInfo, links: usize, patience: Duration) -> RedisResult<Self> {
        let empty = Slot {
            epoch: 0,
            heard: Instant::now(),
            link: Link::None,
        };
        Ok(Self {
            client: Client::open(info)?,
            patience,
            slots: Mutex::new(vec![empty; links]),
            next: AtomicUsize::new(0),
        })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Sends the request once, and returns the answer if it comes before `deadline`.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Said, Failure> {
        let send = async |connection: &mut MultiplexedConnection| request.send(connection).await;
        self.over_a_connection(request.waits(), deadline, send)
            .await
    }

    /// Sends several commands that only read, once. Returns the answer to each if they come before
    /// `deadline`.
    pub(crate) async fn send_all(
        self: &Arc<Self>,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<RedisResult<Value>>, Failure> {
        let send = async |connection: &mut MultiplexedConnection| {
            let answers = connection.send_packed_commands(commands, 0, commands.len());
            Ok(answers
                .await?
                .into_iter()
                .map(Value::extract_error)
                .collect())
        };
        self.over_a_connection(false, deadline, send).await
    }

    async fn over_a_connection<T>(
        self: &Arc<Self>,
        waits: bool,
        deadline: Instant,
        send: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let (used, mut connection) = match self.connection(waits) {
            Ok(connected) => connected,
            Err(making) => {
                // Nothing was sent, even if time is over.
                let made = timeout_at(deadline, making).await;
                made.unwrap_or_else(|_| Err(late()))
                    .map_err(Failure::Unconnected)?
            }
        };
        let sent = Instant::now();
        let Ok(answered) = timeout_at(deadline, send(&mut connection)).await else {
            self.timed_out(used, sent);
            return Err(Failure::TimedOut);
        };
        match &answered {
            Err(error) if error.is_io_error() || is_demoted(error) => self.give_up_all(used),
            _ => self.heard(used),
        }
        answered.map_err(Failure::Redis)
    }

    /// A connection of the caller's own.
    pub(crate) async fn own_connection(&self) -> RedisResult<MultiplexedConnection> {
        connect(&self.client, self.patience).await
    }

    /// An existing connection, or one that a task is making. The first slot is for calls that don't
    /// wait for replicas, so that calls that wait don't delay pulls.
    fn connection(self: &Arc<Self>, waits: bool) -> Result<(Used, MultiplexedConnection), Making> {
        let mut slots = self.slots();
        let index = match slots.len() {
            links @ 2.. if waits => 1 + self.next.fetch_add(1, Ordering::Relaxed) % (links - 1),
            _ => 0,
        };
        let Some(slot) = slots.get_mut(index) else {
            return Err(async { Err(late()) }.boxed().shared());
        };
        let used = Used {
            index,
            epoch: slot.epoch,
        };
        match &slot.link {
            Link::Made(connection) => Ok((used, connection.clone())),
            Link::Making(making) => Err(making.clone()),
            Link::None => {
                let making = self.make(used);
                slot.link = Link::Making(making.clone());
                Err(making)
            }
        }
    }

    /// Makes a connection in its own task, because the first caller may be gone before it is ready.
    fn make(self: &Arc<Self>, used: Used) -> Making {
        let node = Arc::clone(self);
        let made = tokio::spawn(async move {
            let made = connect(&node.client, node.patience).await;
            node.change(used, |slot| {
                slot.link = made.clone().map_or(Link::None, Link::Made);
            });
            made
        });
        let made = async move {
            let made = made.await.unwrap_or_else(|_| Err(late()));
            made.map(|made| (used, made))
        };
        made.boxed().shared()
    }

    fn heard(&self, used: Used) {
        self.change(used, |slot| slot.heard = Instant::now());
    }

    /// Gives up the connection if no answer has come over it since `sent`. The other connections
    /// may be alive.
    fn timed_out(&self, used: Used, sent: Instant) {
        self.change(used, |slot| {
            if is_dead(sent, slot.heard, Instant::now(), self.patience) {
                slot.give_up();
            }
        });
    }

    /// Gives up all connections, unless another call has done so since this one was used. If a
    /// server closes one, or has been demoted, it also closes or refuses the others.
    fn give_up_all(&self, used: Used) {
        let mut slots = self.slots();
        if slots
            .get(used.index)
            .is_some_and(|slot| slot.epoch == used.epoch)
        {
            slots.iter_mut().for_each(Slot::give_up);
        }
    }

    /// Changes the slot of a connection, unless the slot now has another connection.
    fn change(&self, used: Used, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots().get_mut(used.index)
            && slot.epoch == used.epoch
        {
            change(slot);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        // No code leaves the slots half changed.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn give_up(&mut self) {
        self.epoch += 1;
        self.link = Link::None;
    }
}

/// Whether a connection is dead, after a request over it got no answer in time.
///
/// A server answers in order, so an answer to an earlier request shows that it is only busy. A
/// short wait shows nothing, for example if a call has spent its time elsewhere.
fn is_dead(sent: Instant, heard: Instant, now: Instant, patience: Duration) -> bool {
    heard < sent && now.duration_since(sent) >= patience / 2
}

/// Connects within `patience`. The connection itself has no time limit: the sender of a request
/// sets it.
async fn connect(client: &Client, patience: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(patience, connecting)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The answer of the main command, and the number of replicas after it.
fn extract(answers: Vec<Value>, main: usize) -> RedisResult<Said> {
    let mut answers = answers.into_iter().skip(main);
    let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
    let replicas = match answers.next().map(Value::extract_error).transpose()? {
        Some(Value::Int(replicas)) => Some(replicas),
        _ => None,
    };
    Ok(Said { answer, replicas })
}

/// Whether the server has become a replica. Its name may now lead to another server.
fn is_demoted(error: &RedisError) -> bool {
    error.code() == Some("READONLY")
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_dead_once_it_was_silent_for_long() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let patience = Duration::from_secs(2);
        for (name, sent, heard, now, dead) in [
            ("silent for all of the time", 100, 50, 2100, true),
            ("silent for half of it", 100, 50, 1100, true),
            ("a call that had little time left", 100, 50, 1099, false),
            ("others were answered meanwhile", 100, 101, 2100, false),
            ("an answer at the same instant", 100, 100, 2100, false),
        ] {
            let found = is_dead(at(sent), at(heard), at(now), patience);
            assert_eq!(found, dead, "{name}");
        }
    }
}
