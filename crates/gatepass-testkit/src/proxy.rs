//! A network that breaks on command: the [`Proxy`], and a tap for tests that look at the bytes.

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
/// A command, for example [`cut`](Self::cut), applies to all connections of the proxy until
/// [`heal`](Self::heal) or another command. To break something for some clients only, give each
/// client its own proxy, or [`tap`](Self::tap) the connections. The proxy itself knows no protocol.
/// When you drop it, it resets its connections and closes its port.
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
    /// Listens on a free port of 127.0.0.1 and forwards everything to `server`.
    ///
    /// # Errors
    ///
    /// An error if the system has no free port.
    ///
    /// # Panics
    ///
    /// If you call it outside of a tokio runtime with I/O and time enabled.
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

    /// Shows each later chunk to `decide` just before the proxy hands it on, and does as `decide`
    /// says. It shows the chunks of all connections, in both directions.
    ///
    /// A test taps a proxy to count or compare the bytes of its store, or to break the network at
    /// one message. `decide` doesn't see a chunk that a command drops. It sees a chunk that hangs
    /// or is late only when that is over. It sees one chunk at a time. If it panics, the proxy
    /// resets the connection of that chunk. A proxy has one tap: a second call replaces the first,
    /// and [`heal`](Self::heal) keeps it.
    ///
    /// Don't call `tap` from within `decide`: the call would wait for itself forever. Let `decide`
    /// keep a state instead.
    ///
    /// In this example, the server commits, and its client never learns of it:
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

    /// Lets everything through again. Traffic that hung, was held or was late continues as on a
    /// slow network. A connection that was reset, half-closed or [abandoned](Self::abandon) stays
    /// as it is.
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

    /// Resets all connections, and each new one at once.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.fault = Some(Fault::Refuse);
        });
    }

    /// Falls silent. Connections stay, and the proxy accepts new ones, but it hands nothing on, not
    /// even that one side has closed. Data that is sent meanwhile arrives after
    /// [`heal`](Self::heal).
    pub fn hang(&self) {
        self.fail(Fault::Hang);
    }

    /// Hands each chunk on after this delay, in both directions. A round trip takes twice as long.
    pub fn delay(&self, delay: Duration) {
        self.fail(Fault::Delay(delay));
    }

    /// Closes the client's side of all connections, and of new ones until [`heal`](Self::heal). The
    /// client reads the end of the stream. Its data still arrives, and the server notices nothing.
    pub fn half_close(&self) {
        self.state.send_modify(|state| {
            state.half_closings += 1;
            state.fault = Some(Fault::HalfClose);
        });
    }

    /// Forwards the clients' data, and drops the server's answers. This is the worst fault: the
    /// server does everything, and no client learns of it. A connection that has lost an answer
    /// stays silent.
    pub fn lose_answers(&self) {
        self.fail(Fault::LoseAnswers);
    }

    /// Drops all later data on the existing connections, and tells neither side. A firewall does
    /// this when it has forgotten a connection. These connections stay silent after
    /// [`heal`](Self::heal). New ones work.
    pub fn abandon(&self) {
        self.state.send_modify(|state| state.abandoned += 1);
    }

    /// Resets each new connection after it has carried a random number of bytes below twice
    /// `bytes`, so often in the middle of a question or an answer. The same `seed` gives the same
    /// sequence of limits.
    pub fn reset_at_random(&self, seed: u64, bytes: u64) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.fault = Some(Fault::ResetAtRandom { seed, bytes });
        });
    }

    /// Connects to `server` from now on, and resets connections to another server: a failover.
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
