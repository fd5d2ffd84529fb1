//! A network that breaks on command.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// A TCP proxy before a server, for tests of what happens when the network between breaks.
///
/// It knows no protocol. A command holds for all its connections from then on, until
/// [`heal`](Self::heal) or another command. To break something for some clients only, give each a
/// proxy of its own. When it is dropped, its connections are reset and its port is closed.
///
/// ```
/// use gatepass_testkit::Proxy;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let server = TcpListener::bind("127.0.0.1:0").await?;
/// let proxy = Proxy::before(server.local_addr()?).await?;
///
/// let mut client = TcpStream::connect(proxy.address()).await?;
/// let (mut connection, _) = server.accept().await?;
/// client.write_all(b"hello").await?;
/// let mut heard = [0; 5];
/// connection.read_exact(&mut heard).await?;
/// assert_eq!(&heard, b"hello");
///
/// proxy.cut();
/// assert!(client.read_u8().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

/// The commands that are in force at the moment.
#[derive(Clone, Copy, Debug)]
struct State {
    server: SocketAddr,
    fault: Option<Fault>,
    /// How often all connections were reset, and abandoned.
    cuts: u64,
    abandoned: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Refuse,
    Hang,
    Delay(Duration),
    HalfClose,
    LoseAnswers,
    ResetAtRandom { seed: u64, bytes: u64 },
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// How much is handed on at a time.
const PIECE: usize = 16 * 1024;

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and hands everything on to `server`.
    ///
    /// # Errors
    ///
    /// That there is no port to listen on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled, as all of tokio does.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State {
            server,
            fault: None,
            cuts: 0,
            abandoned: 0,
        });
        let accepting = tokio::spawn(accept(listener, state.subscribe()));
        Ok(Self {
            address,
            state: Arc::new(state),
            accepting,
        })
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets everything through again. Traffic that hung or was late goes on as if the network had
    /// been slow. A connection that was reset, half-closed or [abandoned](Self::abandon) stays as
    /// it is.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.fault = None);
    }

    /// Resets all connections, and lets new ones through.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets all connections, and new ones as soon as they are made.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.fault = Some(Fault::Refuse);
        });
    }

    /// Falls silent: connections stay, new ones are accepted, and nothing gets through, not even
    /// that one side has closed. Data that is sent meanwhile arrives after [`heal`](Self::heal).
    pub fn hang(&self) {
        self.fail(Fault::Hang);
    }

    /// Hands on each piece so much later, both ways. A round trip takes twice that.
    pub fn delay(&self, delay: Duration) {
        self.fail(Fault::Delay(delay));
    }

    /// Closes all connections, and new ones, towards the client alone: it reads the end of the
    /// stream, while what it sends still arrives and the server knows of nothing.
    pub fn half_close(&self) {
        self.fail(Fault::HalfClose);
    }

    /// Hands on what clients send, and drops what the server answers. This is the worst fault: the
    /// server does everything, and no client knows. A connection that has lost an answer is silent
    /// for good.
    pub fn lose_answers(&self) {
        self.fail(Fault::LoseAnswers);
    }

    /// Drops, from now on, all that is sent over the connections there are, and tells neither side,
    /// as a firewall does that has forgotten them. They stay silent after [`heal`](Self::heal); new
    /// ones get through.
    pub fn abandon(&self) {
        self.state.send_modify(|state| state.abandoned += 1);
    }

    /// Resets each connection that is made from now on after it has carried some bytes, at random
    /// up to twice `bytes`: in the middle of a question or of an answer. The same `seed` gives the
    /// same sequence of limits.
    pub fn reset_at_random(&self, seed: u64, bytes: u64) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.fault = Some(Fault::ResetAtRandom { seed, bytes });
        });
    }

    /// Leads to `server` from now on, and resets what led elsewhere: a failover.
    pub fn redirect(&self, server: SocketAddr) {
        self.state.send_modify(|state| {
            state.server = server;
            state.cuts += 1;
        });
    }

    fn fail(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = Some(fault));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    for number in 0.. {
        // That a client is gone again is no reason to serve no other.
        let Ok((client, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(serve(client, number, state.clone()));
    }
}

async fn serve(client: TcpStream, number: u64, mut state: watch::Receiver<State>) {
    let (begun, passable) = (*state.borrow(), state.clone());
    linger(&client, Some(Duration::ZERO));
    if begun.fault == Some(Fault::Refuse) {
        return;
    }
    let cut = async {
        // An error says that there is no proxy any more.
        drop(state.wait_for(|state| state.cuts > begun.cuts).await);
    };
    let limit = match begun.fault {
        Some(Fault::ResetAtRandom { seed, bytes }) => drawn(seed, number) % (2 * bytes).max(1),
        _ => u64::MAX,
    };
    let served = connect_and_pump(client, begun, limit, passable);
    // Either branch drops the sockets.
    tokio::select! {
        () = cut => {}
        () = served => {}
    }
}

async fn connect_and_pump(
    mut client: TcpStream,
    begun: State,
    limit: u64,
    mut state: watch::Receiver<State>,
) {
    // As a first packet that is sent again and again.
    if passable(&mut state).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(begun.server).await else {
        return;
    };
    linger(&server, Some(Duration::ZERO));
    // Questions and answers are small, and wait for each other.
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let carried = AtomicU64::new(0);
    let there = Pump {
        from: from_client,
        to: to_server,
        way: Way::ToServer,
        state: state.clone(),
        abandoned: begun.abandoned,
        carried: &carried,
        limit,
    };
    let back = Pump {
        from: from_server,
        to: to_client,
        way: Way::ToClient,
        state,
        abandoned: begun.abandoned,
        carried: &carried,
        limit,
    };
    // One way may be closed long before the other; a failure ends both.
    if tokio::try_join!(there.run(), back.run()).is_ok() {
        // The last data may still be on its way.
        linger(&client, None);
        linger(&server, None);
    }
}

/// One way of a connection.
struct Pump<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    way: Way,
    state: watch::Receiver<State>,
    /// How often connections had been abandoned when this one began.
    abandoned: u64,
    carried: &'a AtomicU64,
    limit: u64,
}

impl Pump<'_> {
    async fn run(mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let (mut closed, mut lost) = (false, false);
        loop {
            let half_close = self.way == Way::ToClient && !closed;
            let read = tokio::select! {
                biased;
                told = half_closed(&mut self.state), if half_close => {
                    told?;
                    self.to.shutdown().await?;
                    closed = true;
                    continue;
                }
                read = self.from.read(&mut piece) => read?,
            };
            let state = passable(&mut self.state).await?;
            if let Some(Fault::Delay(delay)) = state.fault {
                tokio::time::sleep(delay).await;
            }
            let deaf = self.way == Way::ToClient && state.fault == Some(Fault::LoseAnswers);
            // Half an answer makes no sense without the other half.
            lost |= deaf || state.abandoned > self.abandoned;
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
            let piece = piece.get(..read).unwrap_or_default();
            self.hand_on(piece).await?;
        }
    }

    async fn hand_on(&mut self, piece: &[u8]) -> io::Result<()> {
        let length = piece.len() as u64;
        let before = self.carried.fetch_add(length, Ordering::Relaxed);
        let left = self.limit.saturating_sub(before);
        if left >= length {
            return self.to.write_all(piece).await;
        }
        let left = usize::try_from(left).unwrap_or_default();
        self.to
            .write_all(piece.get(..left).unwrap_or_default())
            .await?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// Waits while the proxy hangs.
async fn passable(state: &mut watch::Receiver<State>) -> io::Result<State> {
    let passable = state.wait_for(|state| state.fault != Some(Fault::Hang));
    let state = passable.await.map_err(|_| io::ErrorKind::ConnectionReset)?;
    Ok(*state)
}

async fn half_closed(state: &mut watch::Receiver<State>) -> io::Result<()> {
    let told = state.wait_for(|state| state.fault == Some(Fault::HalfClose));
    told.await.map_err(|_| io::ErrorKind::ConnectionReset)?;
    Ok(())
}

/// With a limit of zero, a socket that is dropped is reset; without one it is closed in good order.
#[allow(
    deprecated,
    reason = "a limit of zero, which never blocks, has another name in newer releases of tokio alone"
)]
fn linger(socket: &TcpStream, limit: Option<Duration>) {
    drop(socket.set_linger(limit));
}

/// The number that `seed` has for this connection (splitmix64).
fn drawn(seed: u64, number: u64) -> u64 {
    let step = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mixed = seed.wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// How long nothing must happen for a test to believe that nothing will.
    const A_WHILE: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server, its proxy, and a connection through it.
    struct Given {
        server: TcpListener,
        proxy: Proxy,
    }

    impl Given {
        async fn new() -> Self {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = Proxy::before(server.local_addr().unwrap()).await.unwrap();
            Self { server, proxy }
        }

        async fn connect(&self) -> (TcpStream, TcpStream) {
            let client = TcpStream::connect(self.proxy.address()).await.unwrap();
            let (connection, _) = self.server.accept().await.unwrap();
            (client, connection)
        }
    }

    async fn passes(from: &mut TcpStream, to: &mut TcpStream) {
        from.write_all(b"?").await.unwrap();
        let byte = timeout(PATIENCE, to.read_u8()).await.unwrap();
        assert_eq!(byte.unwrap(), b'?');
    }

    async fn is_silent(to: &mut TcpStream) {
        assert!(timeout(A_WHILE, to.read_u8()).await.is_err());
    }

    async fn is_reset(socket: &mut TcpStream) {
        let read = timeout(PATIENCE, socket.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    async fn is_closed(socket: &mut TcpStream) {
        let read = timeout(PATIENCE, socket.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn without_a_command_everything_passes_and_so_does_each_end() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
        passes(&mut server, &mut client).await;
        client.shutdown().await.unwrap();
        is_closed(&mut server).await;
        passes(&mut server, &mut client).await;
        server.shutdown().await.unwrap();
        is_closed(&mut client).await;
    }

    #[tokio::test]
    async fn a_cut_resets_both_sides_and_lets_new_ones_through() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
        given.proxy.cut();
        is_reset(&mut client).await;
        is_reset(&mut server).await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
    }

    #[tokio::test]
    async fn who_is_refused_reaches_nobody_until_it_is_healed() {
        let given = Given::new().await;
        let (mut client, _server) = given.connect().await;
        given.proxy.refuse();
        is_reset(&mut client).await;
        let mut client = TcpStream::connect(given.proxy.address()).await.unwrap();
        is_reset(&mut client).await;
        given.proxy.heal();
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
    }

    #[tokio::test]
    async fn what_is_sent_while_it_hangs_arrives_once_it_is_healed() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
        given.proxy.hang();
        client.write_all(b"?").await.unwrap();
        client.shutdown().await.unwrap();
        is_silent(&mut server).await;
        server.write_all(b"!").await.unwrap();
        is_silent(&mut client).await;
        let _waiting = TcpStream::connect(given.proxy.address()).await.unwrap();
        assert!(timeout(A_WHILE, given.server.accept()).await.is_err());
        given.proxy.heal();
        assert_eq!(server.read_u8().await.unwrap(), b'?');
        is_closed(&mut server).await;
        assert_eq!(client.read_u8().await.unwrap(), b'!');
        timeout(PATIENCE, given.server.accept())
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_delay_is_added_to_each_way() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        given.proxy.delay(A_WHILE);
        let begun = Instant::now();
        passes(&mut client, &mut server).await;
        passes(&mut server, &mut client).await;
        assert!(begun.elapsed() >= 2 * A_WHILE);
    }

    #[tokio::test]
    async fn a_half_closed_connection_still_carries_what_the_client_sends() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
        given.proxy.half_close();
        is_closed(&mut client).await;
        passes(&mut client, &mut server).await;
        server.write_all(b"!").await.unwrap();
        is_silent(&mut server).await;
    }

    #[tokio::test]
    async fn lost_answers_are_of_questions_that_arrived() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        given.proxy.lose_answers();
        passes(&mut client, &mut server).await;
        server.write_all(b"!").await.unwrap();
        is_silent(&mut client).await;
        given.proxy.heal();
        server.write_all(b"!").await.unwrap();
        is_silent(&mut client).await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut server, &mut client).await;
    }

    #[tokio::test]
    async fn an_abandoned_connection_is_silent_for_ever_and_another_is_not() {
        let given = Given::new().await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
        given.proxy.abandon();
        given.proxy.heal();
        client.write_all(b"?").await.unwrap();
        client.shutdown().await.unwrap();
        is_silent(&mut server).await;
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
    }

    #[tokio::test]
    async fn resets_at_random_are_those_of_their_seed() {
        async fn carried(seed: u64) -> Vec<usize> {
            let given = Given::new().await;
            given.proxy.reset_at_random(seed, 100);
            let mut all = Vec::new();
            for _ in 0..5 {
                let (mut client, mut server) = given.connect().await;
                let mut carried = 0;
                while client.write_all(b"?").await.is_ok() && server.read_u8().await.is_ok() {
                    carried += 1;
                }
                all.push(carried);
            }
            all
        }
        let first = carried(1).await;
        assert!(first.iter().all(|carried| *carried < 200), "{first:?}");
        assert_eq!(first, carried(1).await);
        assert_ne!(first, carried(2).await);
    }

    #[tokio::test]
    async fn a_redirected_one_leads_to_the_other_server() {
        let (mut given, other) = (Given::new().await, Given::new().await);
        let (mut client, _server) = given.connect().await;
        given.proxy.redirect(other.server.local_addr().unwrap());
        is_reset(&mut client).await;
        std::mem::swap(&mut given.server, &mut { other }.server);
        let (mut client, mut server) = given.connect().await;
        passes(&mut client, &mut server).await;
    }

    #[tokio::test]
    async fn a_dropped_one_resets_its_connections_and_closes_its_port() {
        let given = Given::new().await;
        let (mut client, _server) = given.connect().await;
        let address = given.proxy.address();
        drop(given);
        is_reset(&mut client).await;
        while TcpStream::connect(address).await.is_ok() {}
    }
}
