//! The stream of revocations between PostgreSQL and its nodes, through a proxy that counts bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gatepass::{
    KeySet, SessionId, Verifier,
    store::{Cursor, PullResult, RevocationLog},
};
use gatepass_postgres::{PostgresLog, PostgresStore};
use gatepass_servers::{Durability, Postgres};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::model::{Costs, pulls};
use crate::{
    counted::Counted,
    following::postgres as following,
    load::servers_seconds,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, Key},
};

/// Entries whose bytes it counts.
const ENTRIES: usize = 2000;

/// The costs of the stream. The costs of a node's memory are zero here.
pub(super) fn costs(table: &mut Table) -> anyhow::Result<Costs> {
    let empty = table.size.pick(500_u32, 4000);
    with_server(async |server: &Server| {
        let ids = following::begin(&server.store, ENTRIES).await?;
        for id in ids {
            following::end(&server.store, id).await?;
        }
        let log = server.log().await?;
        let start = server.bytes();
        let cursor = read(&log, None).await?;
        let full = server.bytes() - start;
        let (start, busy) = (server.bytes(), servers_seconds());
        for _ in 0..empty {
            read(&log, Some(&cursor)).await?;
        }
        let pull = (server.bytes() - start) / f64::from(empty);
        let busy = (servers_seconds() - busy) / f64::from(empty);
        Ok(Costs {
            bytes: 0.0,
            load: 0.0,
            entry: (full - pull) / ENTRIES as f64,
            pull,
            busy,
        })
    })
}

/// Compares the model with real nodes.
pub(super) fn check(table: &mut Table, costs: &Costs) -> anyhow::Result<()> {
    for (nodes, rate) in CASES {
        println!("   {nodes} nodes at {rate} revocations/s");
        let (alone, followed) = with_server(async |server: &Server| {
            let alone = watch(server, 0, rate).await?;
            Ok((alone, watch(server, nodes, rate).await?))
        })?;
        let revocations = f64::from(rate);
        let each = f64::from(nodes) * f64::from(SECONDS);
        for (what, model, measured) in [
            (
                "pulls/s of a node",
                pulls(revocations),
                followed.pulls / each,
            ),
            (
                "bytes/s to and from a node",
                costs.stream(revocations),
                followed.bytes / each,
            ),
            (
                "CPU of the store for a node",
                costs.store(revocations),
                (followed.busy - alone.busy) / each,
            ),
        ] {
            let what = format!(
                "model: {what}, of the measured, PostgreSQL, {nodes} nodes, {rate} revocations/s"
            );
            table.figure(&what, model / measured, "", Goal::Known);
        }
    }
    Ok(())
}

/// How long it watches the nodes.
const SECONDS: u32 = 15;
/// Nodes, and revocations per second.
const CASES: [(u32, u32); 4] = [(10, 1), (10, 10), (10, 100), (30, 100)];

/// The work of nodes.
struct Watched {
    pulls: f64,
    bytes: f64,
    busy: f64,
}

async fn watch(server: &Server, nodes: u32, rate: u32) -> anyhow::Result<Watched> {
    let count = Arc::new(AtomicU64::new(0));
    let mut following = Vec::new();
    for _ in 0..nodes {
        let log = Counted {
            log: server.log().await?,
            pulls: Arc::clone(&count),
        };
        let keys = KeySet::verifying([Key::hs256()?.ours.verifying_key().clone()]);
        following.push(
            Verifier::builder(ISSUER, AUDIENCE, keys, log)
                .build()
                .await?,
        );
    }
    let ids = following::begin(&server.store, (rate * SECONDS) as usize).await?;
    sleep(Duration::from_secs(1)).await;
    count.store(0, Ordering::Relaxed);
    let (bytes, busy) = (server.bytes(), servers_seconds());
    end(&server.store, ids, rate).await?;
    Ok(Watched {
        pulls: count.load(Ordering::Relaxed) as f64,
        bytes: server.bytes() - bytes,
        busy: servers_seconds() - busy,
    })
}

/// Ends this many sessions per second.
async fn end(store: &PostgresStore, ids: Vec<SessionId>, rate: u32) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks.tick().await;
    let mut ending = JoinSet::new();
    for id in ids {
        let store = store.clone();
        ending.spawn(async move { following::end(&store, id).await });
        ticks.tick().await;
    }
    ending.join_all().await.into_iter().collect()
}

/// The cursor behind all entries after `cursor`.
async fn read(log: &PostgresLog, cursor: Option<&Cursor>) -> anyhow::Result<Cursor> {
    let mut cursor = cursor.cloned();
    loop {
        match log.pull(cursor.as_ref()).await? {
            PullResult::Entries { next, more, .. } if more => cursor = Some(next),
            PullResult::Entries { next, .. } => return Ok(next),
            PullResult::Reset => anyhow::bail!("another log"),
        }
    }
}

/// A PostgreSQL server with a store on it.
struct Server {
    store: PostgresStore,
    /// Leads through the proxy.
    url: String,
    counted: Arc<AtomicU64>,
}

fn with_server<T>(act: impl AsyncFnOnce(&Server) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = Runtime::new()?;
    let directory = servers::servers()?;
    let postgres = Postgres::start(&directory, Durability::Crash)?;
    runtime.block_on(async {
        let counted = Arc::new(AtomicU64::new(0));
        let to = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
        let proxy = TcpListener::bind("127.0.0.1:0").await?;
        let from = proxy.local_addr()?;
        tokio::spawn(forward(proxy, to, Arc::clone(&counted)));
        let url = postgres.url();
        let server = Server {
            store: following::open(&postgres).await?,
            url: url.replace(&to.to_string(), &from.to_string()),
            counted,
        };
        act(&server).await
    })
}

impl Server {
    async fn log(&self) -> anyhow::Result<PostgresLog> {
        Ok(PostgresLog::at(self.url.as_str()).open().await?)
    }

    fn bytes(&self) -> f64 {
        self.counted.load(Ordering::Relaxed) as f64
    }
}

/// Forwards connections, and counts their bytes in both directions.
async fn forward(
    proxy: TcpListener,
    to: SocketAddr,
    counted: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    loop {
        let (client, _) = proxy.accept().await?;
        let server = TcpStream::connect(to).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(copy(from_client, to_server, Arc::clone(&counted)));
        tokio::spawn(copy(from_server, to_client, Arc::clone(&counted)));
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    counted: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(to.shutdown().await?);
        };
        to.write_all(bytes).await?;
        counted.fetch_add(read as u64, Ordering::Relaxed);
    }
}
