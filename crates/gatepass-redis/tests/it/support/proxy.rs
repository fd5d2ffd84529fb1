//! A way to a server that notes what is sent, and that can fail as a network does.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub(crate) struct Proxy {
    address: SocketAddr,
    /// What the URL of the server has before and behind its address.
    url: (String, String),
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<String>,
    state: watch::Sender<State>,
    sent: Mutex<Vec<u8>>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Whether new connections are held up.
    closed: bool,
    /// How often it fell silent.
    silences: usize,
    /// How often all connections were cut.
    cuts: usize,
    /// How often the way back was closed on all connections, and nothing else.
    half_closings: usize,
}

/// The host and port in a URL of one server, and what is around them.
fn split(url: &str) -> (String, String, String) {
    let (before, host) = url.rsplit_once('@').unwrap();
    let (host, after) = match host.split_once('/') {
        Some((host, path)) => (host.to_owned(), format!("/{path}")),
        None => (host.to_owned(), String::new()),
    };
    (format!("{before}@"), host, after)
}

impl Proxy {
    /// One before the server at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (before, host, after) = split(url);
        let shared = Arc::new(Shared {
            server: Mutex::new(host),
            state: watch::Sender::default(),
            sent: Mutex::default(),
        });
        tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(serve(client, Arc::clone(&shared)));
                }
            }
        });
        Self {
            address,
            url: (before, after),
            shared,
        }
    }

    /// The server's URL, through this.
    pub(crate) fn url(&self) -> String {
        format!("{}{}{}", self.url.0, self.address, self.url.1)
    }

    /// From now on nothing gets through, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.shared.state.send_modify(|state| {
            state.closed = true;
            state.silences += 1;
        });
    }

    /// New connections get through again; those that were there stay silent for ever.
    pub(crate) fn heal(&self) {
        self.shared.state.send_modify(|state| state.closed = false);
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.shared.state.send_modify(|state| state.cuts += 1);
    }

    /// Tells all clients that nothing more comes, and goes on taking what they send.
    pub(crate) fn half_close(&self) {
        self.shared
            .state
            .send_modify(|state| state.half_closings += 1);
    }

    /// Leads to the server at `url` instead, and closes what led to the other.
    pub(crate) fn redirect(&self, url: &str) {
        *self.shared.server.lock().unwrap() = split(url).1;
        self.cut();
    }

    /// What was sent since this was asked before.
    pub(crate) fn take_sent(&self) -> String {
        let sent = std::mem::take(&mut *self.shared.sent.lock().unwrap());
        String::from_utf8_lossy(&sent).into_owned()
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    // One that comes while it is silent gets through later, as a first packet that is sent again
    // does.
    let begun = match state.wait_for(|state| !state.closed).await {
        Ok(state) => *state,
        Err(_) => return,
    };
    let server = shared.server.lock().unwrap().clone();
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut there = pin!(pass(from_client, to_server, Some(&shared)));
    let mut back = Box::pin(pass(from_server, to_client, None));
    let happened = |happened: fn(&State) -> usize| {
        let mut state = state.clone();
        async move {
            let _ = state.wait_for(|now| happened(now) > happened(&begun)).await;
        }
    };
    let mut cut = pin!(happened(|state| state.cuts));
    tokio::select! {
        () = &mut there => {}
        () = &mut back => {}
        () = &mut cut => {}
        () = happened(|state| state.silences) => {
            // The sockets are still held, so that neither side notices.
            std::future::pending::<()>().await;
        }
        () = happened(|state| state.half_closings) => {
            drop(back);
            tokio::select! {
                () = there => {}
                () = cut => {}
            }
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, note: Option<&Shared>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let read = buffer.get(..read).unwrap();
        if let Some(shared) = note {
            shared.sent.lock().unwrap().extend(read);
        }
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}
