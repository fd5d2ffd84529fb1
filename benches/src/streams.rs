//! Open WebSockets on two nodes, whose users are all logged out at once: the time to the last
//! close, and the memory of a connection.
//!
//! The nodes are separate processes that follow the log of one SQLite file. This process begins and
//! ends the sessions, as a third node.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{
    Router,
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use futures_util::StreamExt;
use gatepass::{Authority, Device, Identity, MasterSecret, Subject};
use gatepass_axum::{Connection, GateLayer};
use gatepass_sqlite::SqliteStore;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::{
    Message, client::IntoClientRequest, http::header::AUTHORIZATION,
};

use crate::{
    child::resident,
    measure::quantile,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER},
};

/// The argument that makes this program a node.
pub(crate) const FLAG: &str = "--streams-node";

const QUICK: usize = 1_000;
const FULL: usize = 10_000;
/// Connections of each user, half of them on each node.
const OF_USER: usize = 10;
/// Tasks that open connections or log users out at once.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(60);
/// Only the two sides of this benchmark know it.
const SECRET: [u8; 32] = [7; 32];

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let directory = servers::directory()?;
    let file = directory.path().join("sessions.db");
    let (runtime, many) = (Runtime::new()?, table.size.pick(QUICK, FULL));
    let authority = runtime.block_on(authority(&file))?;
    let nodes = [Node::start(&file)?, Node::start(&file)?];
    let before = nodes
        .iter()
        .map(Node::memory)
        .sum::<anyhow::Result<f64>>()?;
    println!("   opening {many} WebSockets");
    let closing = runtime.block_on(open(&authority, &nodes, many))?;
    let after = nodes
        .iter()
        .map(Node::memory)
        .sum::<anyhow::Result<f64>>()?;
    println!("   logging {} users out", many / OF_USER);
    let (logged_out, mut waits) = runtime.block_on(log_out(&authority, closing, many))?;

    let what = |what: &str| format!("{many} WebSockets on 2 nodes, their users logged out: {what}");
    table.figure(&what("logouts"), logged_out, " s", Goal::Known);
    waits.sort_by(f64::total_cmp);
    for (part, name, goal) in [
        (0.5, "median", Goal::Known),
        (0.99, "p99", Goal::Known),
        (1.0, "the last", Goal::AtMost(2.0)),
    ] {
        let close = what(&format!("close after the last logout, {name}"));
        table.figure(&close, quantile(&waits, part), " s", goal);
    }
    let memory = (after - before) / many as f64 / 1024.0;
    table.figure(
        "memory of a node for an open WebSocket",
        memory,
        " KiB",
        Goal::Known,
    );
    Ok(())
}

async fn authority(file: &Path) -> anyhow::Result<Authority> {
    let store = SqliteStore::builder(file).busy_timeout(PATIENCE).open()?;
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::from_bytes(&SECRET)?, store);
    Ok(builder.store_timeout(PATIENCE).build().await?)
}

/// A node in its own process, which ends with this one.
struct Node {
    process: Child,
    address: String,
}

impl Node {
    fn start(file: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(FLAG)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let said = process.stdout.take().context("stdout")?;
        BufReader::new(said).read_line(&mut address)?;
        Ok(Self {
            process,
            address: address.trim().to_owned(),
        })
    }

    fn memory(&self) -> anyhow::Result<f64> {
        resident(&self.process.id().to_string(), "VmRSS:")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The main function of a node's process.
pub(crate) fn node(file: &str) -> anyhow::Result<()> {
    async fn wait(connection: Connection, upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async move |socket| {
            let read =
                async |socket: &mut WebSocket| while let Some(Ok(_)) = socket.recv().await {};
            connection.websocket(socket, read).await;
        })
    }

    Runtime::new()?.block_on(async {
        let authority = authority(Path::new(file)).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", listener.local_addr()?)?;
        stdout.flush()?;
        let gate = GateLayer::new(&authority);
        let app = Router::new().route("/ws", get(wait).route_layer(gate));
        Ok(axum::serve(listener, app).await?)
    })
}

/// Opens the WebSockets. Each task returns the time at which its WebSocket was closed.
async fn open(
    authority: &Authority,
    nodes: &[Node; 2],
    many: usize,
) -> anyhow::Result<JoinSet<anyhow::Result<Instant>>> {
    let mut opening = JoinSet::new();
    for opener in 0..AT_ONCE {
        let authority = authority.clone();
        let addresses = nodes.each_ref().map(|node| node.address.clone());
        opening.spawn(async move {
            let mut opened = Vec::new();
            for user in (opener..many / OF_USER).step_by(AT_ONCE) {
                let identity = Identity::new(format!("user {user}"))?;
                let issued = authority.issue(identity, Device::default()).await?;
                for address in addresses.iter().cycle().take(OF_USER) {
                    let mut request = format!("ws://{address}/ws").into_client_request()?;
                    let bearer = format!("Bearer {}", issued.access_token.as_str());
                    request.headers_mut().insert(AUTHORIZATION, bearer.parse()?);
                    let stream = TcpStream::connect(address).await?;
                    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
                    opened.push(socket);
                }
            }
            anyhow::Ok(opened)
        });
    }
    let mut closing = JoinSet::new();
    while let Some(opened) = opening.join_next().await {
        for mut socket in opened?? {
            closing.spawn(async move {
                loop {
                    match socket.next().await.context("a close")?? {
                        Message::Close(Some(frame)) if u16::from(frame.code) == 4401 => {
                            return Ok(Instant::now());
                        }
                        Message::Close(frame) => anyhow::bail!("closed by {frame:?}"),
                        _ => {}
                    }
                }
            });
        }
    }
    ensure!(closing.len() == many, "{} were opened", closing.len());
    Ok(closing)
}

/// Logs all users out. Returns the seconds of the logouts, and the seconds from their end to each
/// close.
async fn log_out(
    authority: &Authority,
    mut closing: JoinSet<anyhow::Result<Instant>>,
    many: usize,
) -> anyhow::Result<(f64, Vec<f64>)> {
    let start = Instant::now();
    let mut logouts = JoinSet::new();
    for first in 0..AT_ONCE {
        let authority = authority.clone();
        logouts.spawn(async move {
            for user in (first..many / OF_USER).step_by(AT_ONCE) {
                let subject = Subject::new(format!("user {user}"))?;
                authority.logout_all(&subject).await?;
            }
            anyhow::Ok(())
        });
    }
    for logout in logouts.join_all().await {
        logout?;
    }
    let ended = Instant::now();
    let mut waits = Vec::new();
    while let Some(closed) = tokio::time::timeout(PATIENCE, closing.join_next()).await? {
        waits.push(closed??.saturating_duration_since(ended).as_secs_f64());
    }
    Ok((ended.duration_since(start).as_secs_f64(), waits))
}
