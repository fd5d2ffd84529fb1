//! One server, and the connections to it: shared by all callers, made when they are needed, and given up when
//! they do not answer.

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
    /// How long making a connection may take.
    patience: Duration,
    state: Mutex<State>,
    next: AtomicUsize,
}

struct State {
    /// Counts how often all connections were given up.
    epoch: u64,
    links: Vec<Link>,
}

#[derive(Clone)]
enum Link {
    None,
    Making(Making),
    Made(MultiplexedConnection),
}

type Making = Shared<BoxFuture<'static, RedisResult<(u64, MultiplexedConnection)>>>;

/// What is sent to a server as one.
pub(crate) enum Request<'c> {
    One(&'c Cmd),
    /// Several commands, and which of the answers counts.
    Many(Pipeline, usize),
}

/// What a command is sent together with.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around {
    /// Its keys are just being moved to the server.
    pub(crate) asking: bool,
    /// How many replicas have to have what it did, and how long they are waited for.
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
            // Nought would be for ever.
            let millis = patience.as_millis().max(1);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            pipeline.cmd("WAIT").arg(replicas).arg(millis);
        }
        Self::Many(pipeline, around.asking.into())
    }

    /// Whether its connection answers nobody else until replicas have answered.
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

/// What a server said: the answer, and where that was asked for, how many replicas have it.
pub(crate) struct Said {
    pub(crate) answer: Value,
    pub(crate) replicas: Option<i64>,
}

impl Node {
    /// One at the address of `info`, over so many connections.
    pub(crate) fn new(info: ConnectionInfo, links: usize, patience: Duration) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(info)?,
            patience,
            state: Mutex::new(State {
                epoch: 0,
                links: vec![Link::None; links],
            }),
            next: AtomicUsize::new(0),
        })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Sends it, once, and returns what is answered by `deadline`.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Said, Failure> {
        let (epoch, mut connection) = match self.connection(request.waits()) {
            Ok(connected) => connected,
            Err(making) => {
                // Nothing was sent, also where time is over.
                let made = timeout_at(deadline, making).await;
                made.unwrap_or_else(|_| Err(late()))
                    .map_err(Failure::Unconnected)?
            }
        };
        let Ok(answered) = timeout_at(deadline, request.send(&mut connection)).await else {
            // It may never answer, and nor would it whoever comes next.
            self.give_up(epoch);
            return Err(Failure::TimedOut);
        };
        answered.map_err(|error| {
            if error.is_io_error() || is_demoted(&error) {
                self.give_up(epoch);
            }
            Failure::Redis(error)
        })
    }

    /// A connection that is nobody else's.
    pub(crate) async fn own_connection(&self) -> RedisResult<MultiplexedConnection> {
        connect(&self.client, self.patience).await
    }

    /// A connection that is there, or one that is being made. The first is for those who do not wait for replicas: nobody
    /// is to be told late what is revoked because others wait.
    fn connection(self: &Arc<Self>, waits: bool) -> Result<(u64, MultiplexedConnection), Making> {
        let mut state = self.state();
        let epoch = state.epoch;
        let index = match state.links.len() {
            links @ 2.. if waits => 1 + self.next.fetch_add(1, Ordering::Relaxed) % (links - 1),
            _ => 0,
        };
        match state.links.get_mut(index) {
            Some(Link::Made(connection)) => Ok((epoch, connection.clone())),
            Some(Link::Making(making)) => Err(making.clone()),
            Some(link) => {
                let making = self.make(epoch, index);
                *link = Link::Making(making.clone());
                Err(making)
            }
            None => Err(async { Err(late()) }.boxed().shared()),
        }
    }

    /// Makes a connection in a task of its own: whoever wants it first may have left by then.
    fn make(self: &Arc<Self>, epoch: u64, index: usize) -> Making {
        let node = Arc::clone(self);
        let made = tokio::spawn(async move {
            let made = connect(&node.client, node.patience).await;
            let mut state = node.state();
            if state.epoch == epoch
                && let Some(link) = state.links.get_mut(index)
            {
                *link = made.clone().map_or(Link::None, Link::Made);
            }
            drop(state);
            made
        });
        let made = async move {
            let made = made.await.unwrap_or_else(|_| Err(late()));
            made.map(|made| (epoch, made))
        };
        made.boxed().shared()
    }

    /// Makes new connections for whoever comes next, unless somebody has since `epoch`.
    fn give_up(&self, epoch: u64) {
        let mut state = self.state();
        if state.epoch == epoch {
            state.epoch += 1;
            state.links.fill(Link::None);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects in bounded time. What is sent over the connection is bounded by whoever sends it.
async fn connect(client: &Client, patience: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(patience, connecting)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The answer of the command that counts, and the number behind it.
fn extract(answers: Vec<Value>, main: usize) -> RedisResult<Said> {
    let mut answers = answers.into_iter().skip(main);
    let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
    let replicas = match answers.next().map(Value::extract_error).transpose()? {
        Some(Value::Int(replicas)) => Some(replicas),
        _ => None,
    };
    Ok(Said { answer, replicas })
}

/// Whether the server has become a replica: its name may lead to another by now.
fn is_demoted(error: &RedisError) -> bool {
    error.code() == Some("READONLY")
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
