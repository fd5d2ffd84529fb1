//! A guarded route against the bare one in axum, over loopback sockets that are kept alive.
//!
//! One thread serves, another is the client: one that writes the same bytes and reads an answer of
//! known length, since what it costs is counted to both routes alike, and a dear one would hide the
//! gate.

use std::{net::SocketAddr, thread, time::Duration};

use axum::{Router, routing::get};
use gatepass::SystemClock;
use gatepass_axum::{Auth, GateLayer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
    task::JoinSet,
};

use crate::{
    measure::{Quartiles, rounds_of},
    table::{Goal, Table},
    token::Key,
};

const CONNECTIONS: usize = 16;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let client = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let key = Key::hs256()?;
    let tokens = client.block_on(key.tokens(CONNECTIONS, SystemClock))?;
    let address = serve(key)?;

    let mut clients = [Vec::new(), Vec::new()];
    for (path, clients) in ["/bare", "/guarded"].into_iter().zip(&mut clients) {
        for token in &tokens {
            clients.push(client.block_on(Client::connect(address, path, token))?);
        }
    }
    let client = &client;
    let [bare, guarded] = clients.map(|mut clients| -> crate::measure::Contender<'_> {
        Box::new(move |times| client.block_on(requests(&mut clients, times)))
    });
    let measured = rounds_of(Duration::from_millis(10), 400, [bare, guarded])?;
    let ratio = Quartiles::of(&measured, |[bare, guarded]| bare / guarded);
    let what = "requests/s, guarded of bare, axum, HS256 uncached";
    table.ratio(what, ratio, Goal::AtLeast(0.72));
    Ok(())
}

async fn bare() -> &'static str {
    "hello"
}

async fn guarded(Auth(_): Auth) -> &'static str {
    "hello"
}

/// Serves both routes from a thread of its own, until the process ends.
fn serve(key: Key) -> anyhow::Result<SocketAddr> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let verifier = runtime.block_on(key.verifier(Vec::new()))?;
    let app = Router::new()
        .route("/guarded", get(guarded))
        .route_layer(GateLayer::new(verifier))
        .route("/bare", get(bare));
    thread::spawn(move || runtime.block_on(async { axum::serve(listener, app).await }));
    Ok(address)
}

/// Makes `times` requests on each connection, all connections at once.
async fn requests(clients: &mut Vec<Client>, times: u32) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for mut client in clients.drain(..) {
        running.spawn(async move {
            for _ in 0..times {
                client.request().await?;
            }
            anyhow::Ok(client)
        });
    }
    while let Some(done) = running.join_next().await {
        clients.push(done??);
    }
    Ok(())
}

struct Client {
    stream: TcpStream,
    request: String,
    response: Vec<u8>,
}

impl Client {
    /// Connects and learns by a first request how long the answers are.
    async fn connect(address: SocketAddr, path: &str, token: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Both routes get the same headers, so that both have them parsed.
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: gatepass-benches\r\n\
             accept: */*\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\nhello") {
            anyhow::ensure!(stream.read_buf(&mut response).await? > 0, "no answer");
        }
        anyhow::ensure!(response.starts_with(b"HTTP/1.1 200"), "refused");
        Ok(Self {
            stream,
            request,
            response,
        })
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.stream.read_exact(&mut self.response).await?;
        anyhow::ensure!(self.response.ends_with(b"\r\n\r\nhello"), "another answer");
        Ok(())
    }
}
