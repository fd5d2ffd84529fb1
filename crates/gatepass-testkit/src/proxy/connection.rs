//! The connections of a proxy, each with a pump per direction.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::tap::{Action, Chunk, Direction, Tap};

/// The commands that are in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) server: SocketAddr,
    pub(super) fault: Option<Fault>,
    /// These count the commands that apply to all connections of that time.
    pub(super) heals: u64,
    pub(super) cuts: u64,
    pub(super) half_closings: u64,
    pub(super) abandoned: u64,
}

impl State {
    pub(super) fn of(server: SocketAddr) -> Self {
        Self {
            server,
            fault: None,
            heals: 0,
            cuts: 0,
            half_closings: 0,
            abandoned: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Refuse,
    Hang,
    Delay(Duration),
    HalfClose,
    LoseAnswers,
    ResetAtRandom { seed: u64, bytes: u64 },
}

/// The proxy hands on at most this many bytes at a time.
const CHUNK: usize = 16 * 1024;

pub(super) async fn accept(listener: TcpListener, state: watch::Receiver<State>, tap: Tap) {
    for number in 0.. {
        // A client that has gone must not stop the proxy from serving others.
        let Ok((client, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(serve(client, number, state.clone(), tap.clone()));
    }
}

async fn serve(client: TcpStream, number: u64, mut state: watch::Receiver<State>, tap: Tap) {
    let begun = *state.borrow();
    linger(&client, Some(Duration::ZERO));
    if begun.fault == Some(Fault::Refuse) {
        return;
    }
    let limit = match begun.fault {
        Some(Fault::ResetAtRandom { seed, bytes }) => drawn(seed, number) % (2 * bytes).max(1),
        _ => u64::MAX,
    };
    let connection = Connection {
        number,
        begun,
        tap,
        carried: AtomicU64::new(0),
        limit,
    };
    let served = connection.connect_and_pump(client, state.clone());
    let cut = async {
        // An error means that the proxy is gone.
        drop(state.wait_for(|state| state.cuts > begun.cuts).await);
    };
    // Either branch drops the sockets.
    tokio::select! {
        () = cut => {}
        () = served => {}
    }
}

/// The state that both directions of a connection share.
struct Connection {
    number: u64,
    /// The commands that were in force when it began.
    begun: State,
    tap: Tap,
    carried: AtomicU64,
    /// The proxy resets it when it has carried this many bytes.
    limit: u64,
}

impl Connection {
    async fn connect_and_pump(&self, mut client: TcpStream, mut state: watch::Receiver<State>) {
        // A system does the same: it sends a first packet again and again.
        if passable(&mut state).await.is_err() {
            return;
        }
        let Ok(mut server) = TcpStream::connect(self.begun.server).await else {
            return;
        };
        linger(&server, Some(Duration::ZERO));
        // Questions and answers are small and wait for each other, so don't collect them.
        drop(client.set_nodelay(true));
        drop(server.set_nodelay(true));
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = Pump {
            connection: self,
            from: from_client,
            to: to_server,
            direction: Direction::ToServer,
            state: state.clone(),
        };
        let back = Pump {
            connection: self,
            from: from_server,
            to: to_client,
            direction: Direction::ToClient,
            state,
        };
        // One direction may close long before the other. A failure ends both.
        if tokio::try_join!(there.run(), back.run()).is_ok() {
            // The last data may still be on its way.
            linger(&client, None);
            linger(&server, None);
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    connection: &'a Connection,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    direction: Direction,
    state: watch::Receiver<State>,
}

impl Pump<'_> {
    async fn run(mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let (mut closed, mut lost) = (false, false);
        loop {
            let half_close = self.direction == Direction::ToClient && !closed;
            let read = tokio::select! {
                biased;
                told = half_closed(&mut self.state, self.connection.begun), if half_close => {
                    told?;
                    self.to.shutdown().await?;
                    closed = true;
                    continue;
                }
                read = self.from.read(&mut chunk) => read?,
            };
            let state = passable(&mut self.state).await?;
            if let Some(Fault::Delay(delay)) = state.fault {
                tokio::time::sleep(delay).await;
            }
            let deaf =
                self.direction == Direction::ToClient && state.fault == Some(Fault::LoseAnswers);
            // Half an answer makes no sense without the other half.
            lost |= deaf || state.abandoned > self.connection.begun.abandoned;
            if lost && read == 0 {
                std::future::pending::<()>().await;
            }
            if read == 0 {
                return match closed {
                    true => Ok(()),
                    false => self.to.shutdown().await,
                };
            }
            if lost || closed {
                continue;
            }
            let chunk = chunk.get(..read).unwrap_or_default();
            lost = self.hand_on(chunk).await? == Fate::Lost;
        }
    }

    async fn hand_on(&mut self, chunk: &[u8]) -> io::Result<Fate> {
        let Connection { carried, limit, .. } = self.connection;
        let length = chunk.len() as u64;
        let left = limit.saturating_sub(carried.fetch_add(length, Ordering::Relaxed));
        let passing = usize::try_from(left).unwrap_or(usize::MAX);
        let passing = chunk.get(..passing).unwrap_or(chunk);
        if !passing.is_empty() && self.tapped(passing).await? == Fate::Lost {
            return Ok(Fate::Lost);
        }
        self.to.write_all(passing).await?;
        match left >= length {
            true => Ok(Fate::Passed),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Asks the tap, and waits as long as it says.
    async fn tapped(&mut self, bytes: &[u8]) -> io::Result<Fate> {
        // A test may heal the network as soon as its tap has been asked.
        let heals = self.state.borrow().heals;
        let action = self.connection.tap.decide(Chunk {
            connection: self.connection.number,
            direction: self.direction,
            bytes,
        });
        match action {
            Action::Pass => {}
            Action::Delay(delay) => tokio::time::sleep(delay).await,
            Action::Hold => {
                waited(&mut self.state, |state| state.heals > heals).await?;
            }
            Action::Drop => return Ok(Fate::Lost),
            Action::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        let abandoned = self.state.borrow().abandoned > self.connection.begun.abandoned;
        Ok(match abandoned {
            true => Fate::Lost,
            false => Fate::Passed,
        })
    }
}

/// The end of a chunk. If one is lost, all later ones are lost as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Lost,
}

/// Waits while the proxy hangs.
async fn passable(state: &mut watch::Receiver<State>) -> io::Result<State> {
    waited(state, |state| state.fault != Some(Fault::Hang)).await
}

async fn half_closed(state: &mut watch::Receiver<State>, begun: State) -> io::Result<State> {
    waited(state, |state| {
        state.half_closings > begun.half_closings || state.fault == Some(Fault::HalfClose)
    })
    .await
}

/// Waits until `is_so`. Fails if the proxy is gone.
async fn waited(
    state: &mut watch::Receiver<State>,
    is_so: impl FnMut(&State) -> bool,
) -> io::Result<State> {
    let state = state.wait_for(is_so).await;
    Ok(*state.map_err(|_| io::ErrorKind::ConnectionReset)?)
}

/// A limit of zero resets a socket when it is dropped. `None` closes it in good order.
#[allow(
    deprecated,
    reason = "a limit of zero, which never blocks, has another name in newer releases of tokio alone"
)]
fn linger(socket: &TcpStream, limit: Option<Duration>) {
    drop(socket.set_linger(limit));
}

/// The limit that `seed` gives this connection (splitmix64).
fn drawn(seed: u64, number: u64) -> u64 {
    let step = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mixed = seed.wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
