//! A network that breaks on command: the [`Proxy`], and its tap for tests that look at the bytes.

mod connection;
mod tap;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use self::tap::{Action, Chunk, Direction};
use self::{
    connection::{Fault, State, accept},
    tap::Tap,
};

/// A TCP proxy in front of a server, for tests of a network that breaks.
///
/// A command, for example [`cut`](Self::cut), holds for all connections of the proxy from then on,
/// until [`heal`](Self::heal) or another command. If you want to break something for some clients
/// only, give each a proxy of its own, or [`tap`](Self::tap) the connections. The proxy itself
/// knows no protocol. When you drop it, it resets its connections and closes its port.
///
/// ```
/// use gatepass_testkit::proxy::Proxy;
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
    state: watch::Sender<State>,
    tap: Tap,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and hands everything on to `server`.
    ///
    /// # Errors
    ///
    /// An error if the system has no free port.
    ///
    /// # Panics
    ///
    /// If you call it outside of a tokio runtime with I/O and time enabled, as all of tokio does.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::of(server));
        let tap = Tap::default();
        let accepting = tokio::spawn(accept(listener, state.subscribe(), tap.clone()));
        Ok(Self {
            address,
            state,
            tap,
            accepting,
        })
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows `decide` each chunk from now on, both ways and of all connections, just before the
    /// proxy hands it on. The proxy then does with it as `decide` says.
    ///
    /// A test taps a proxy to count or compare what its store sends, and to break the network at
    /// one certain message. `decide` sees no chunk that a command drops, and a chunk that hangs or
    /// is late only when that is over. It sees one chunk at a time. If it panics, the proxy resets
    /// the connection of that chunk. A proxy has one tap: a second call replaces the first, and
    /// [`heal`](Self::heal) leaves it.
    ///
    /// Don't call `tap` from within `decide`, which would wait for itself for ever. Let `decide`
    /// keep a state instead.
    ///
    /// Here the server commits, and its client never knows:
    ///
    /// ```
    /// use std::collections::HashSet;
    ///
    /// use gatepass_testkit::proxy::{Proxy, Action, Direction};
    /// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// let server = TcpListener::bind("127.0.0.1:0").await?;
    /// let proxy = Proxy::before(server.local_addr()?).await?;
    /// let mut committing = HashSet::new();
    /// proxy.tap(move |chunk| match chunk.direction {
    ///     Direction::ToServer if chunk.bytes == b"COMMIT\n" => {
    ///         committing.insert(chunk.connection);
    ///         Action::Pass
    ///     }
    ///     Direction::ToClient if committing.contains(&chunk.connection) => Action::Cut,
    ///     _ => Action::Pass,
    /// });
    ///
    /// let mut client = TcpStream::connect(proxy.address()).await?;
    /// let (mut connection, _) = server.accept().await?;
    /// client.write_all(b"COMMIT\n").await?;
    /// let mut heard = [0; 7];
    /// connection.read_exact(&mut heard).await?;
    /// connection.write_all(b"done\n").await?;
    /// assert!(client.read_u8().await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn tap(&self, decide: impl FnMut(Chunk<'_>) -> Action + Send + 'static) {
        self.tap.set(Box::new(decide));
    }

    /// Lets everything through again. Traffic that hung, was held or was late goes on as if the
    /// network had been slow. A connection that was reset, half-closed or
    /// [abandoned](Self::abandon) stays as it is.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.heals += 1;
            state.fault = None;
        });
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

    /// Hands on each chunk so much later, both ways. A round trip takes twice that.
    pub fn delay(&self, delay: Duration) {
        self.fail(Fault::Delay(delay));
    }

    /// Closes all connections, and new ones until [`heal`](Self::heal), towards the client alone:
    /// it reads the end of the stream, while what it sends still arrives and the server notices
    /// nothing.
    pub fn half_close(&self) {
        self.state.send_modify(|state| {
            state.half_closings += 1;
            state.fault = Some(Fault::HalfClose);
        });
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

    /// Resets each connection that is made from now on after it has carried a random number of
    /// bytes below twice `bytes`: in the middle of a question or of an answer. The same `seed`
    /// gives the same sequence of limits.
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
