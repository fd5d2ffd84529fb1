//! A way to the server that counts what is sent, and that can fall silent as a broken network does.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
};

use sqlx::postgres::PgConnectOptions;
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
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<String>,
    state: watch::Sender<State>,
    /// The kinds of all messages that clients sent once their connection was made.
    sent: Mutex<Vec<u8>>,
}

fn address_of(options: &PgConnectOptions) -> String {
    format!("{}:{}", options.get_host(), options.get_port())
}

#[derive(Clone, Copy)]
struct State {
    /// Whether new connections get through.
    open: bool,
    /// How often it fell silent.
    silences: usize,
    /// How often all connections were closed.
    cuts: usize,
}

impl Proxy {
    /// One before the server of `options`.
    pub(crate) async fn before(options: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(address_of(options)),
            state: watch::Sender::new(State {
                open: true,
                silences: 0,
                cuts: 0,
            }),
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
        Self { address, shared }
    }

    /// The same options, through this.
    pub(crate) fn through(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.host("127.0.0.1").port(self.address.port())
    }

    /// From now on nothing gets through, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.shared.state.send_modify(|state| {
            state.open = false;
            state.silences += 1;
        });
    }

    /// New connections get through again; those that were there stay silent for ever.
    pub(crate) fn heal(&self) {
        self.shared.state.send_modify(|state| state.open = true);
    }

    /// Leads to the server of `options` instead, and closes what led to the other.
    pub(crate) fn redirect(&self, options: &PgConnectOptions) {
        *self.shared.server.lock().unwrap() = address_of(options);
        self.shared.state.send_modify(|state| state.cuts += 1);
    }

    /// The kinds of the messages that were sent since this was asked before, as the protocol names
    /// them.
    pub(crate) fn take_sent(&self) -> String {
        let sent = std::mem::take(&mut *self.shared.sent.lock().unwrap());
        String::from_utf8(sent).unwrap()
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    // One that comes while it is silent gets through later, as a first packet that is sent again
    // does.
    let begun = match state.wait_for(|state| state.open).await {
        Ok(state) => *state,
        Err(_) => return,
    };
    let server = shared.server.lock().unwrap().clone();
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut there = pin!(frames(from_client, to_server, &shared));
    let mut back = pin!(bytes(from_server, to_client));
    let mut cuts = state.clone();
    let silence = async {
        let changed = state.wait_for(|state| state.silences > begun.silences);
        let _ = changed.await;
    };
    let cut = async {
        let _ = cuts.wait_for(|state| state.cuts > begun.cuts).await;
    };
    tokio::select! {
        () = &mut there => {}
        () = &mut back => {}
        () = cut => {}
        () = silence => {
            // The sockets are still held, so that neither side notices.
            std::future::pending::<()>().await;
        }
    }
}

/// Hands on message by message, and notes their kinds.
async fn frames(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    // The first message of a connection has no kind.
    let mut first = true;
    loop {
        let kind = match first {
            true => None,
            false => match from.read_u8().await {
                Ok(kind) => Some(kind),
                Err(_) => return,
            },
        };
        let Ok(length) = from.read_u32().await else {
            return;
        };
        let mut head = Vec::from_iter(kind);
        head.extend(length.to_be_bytes());
        let mut body = vec![0; length as usize - 4];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        // Of its password and its end nobody wants to know.
        if let Some(kind) = kind.filter(|kind| !b"pX".contains(kind)) {
            shared.sent.lock().unwrap().push(kind);
        }
        // sqlx first asks for TLS, and has then a first message once more.
        first = kind.is_none() && length == 8;
        if to.write_all(&[head, body].concat()).await.is_err() {
            return;
        }
    }
}

async fn bytes(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    drop(tokio::io::copy(&mut from, &mut to).await);
}
