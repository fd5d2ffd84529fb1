//! The cost of nodes that follow the log of revocations, for the servers and for revoking clients.

pub(crate) mod postgres;

use std::time::{Duration, Instant};

use anyhow::Context;
use gatepass::{
    Authority, MasterSecret, SessionId,
    store::{EndReason, EndSessions, NewSession, SessionStore},
};
use gatepass_redis::RedisStore;
use redis::{Client, aio::MultiplexedConnection};
use tokio::runtime::Runtime;

pub(crate) use self::postgres::run as postgres;
use crate::{
    growth::new_session,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER},
};

/// Nodes that follow the log.
const NODES: usize = 10;
/// Revocations per second.
const RATE: u32 = 100;
/// How long it watches the server.
const SECONDS: u32 = 10;

pub(crate) fn redis(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let server = servers::own_redis()?;
    runtime.block_on(measure(table, "Redis", &[server.url()], server.url()))
}

pub(crate) fn redis_cluster(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let server = servers::own_redis_cluster()?;
    let nodes: Vec<_> = server.url().split(',').collect();
    runtime.block_on(measure(table, "Redis Cluster", &nodes, server.url()))
}

async fn measure(
    table: &mut Table,
    name: &str,
    servers: &[&str],
    urls: &str,
) -> anyhow::Result<()> {
    let alone = watched(servers, urls, 0).await?;
    let followed = watched(servers, urls, NODES).await?;
    let per_node =
        |of: fn(&Counts) -> f64| (of(&followed) - of(&alone)) / NODES as f64 / f64::from(SECONDS);
    for (what, count) in [
        ("scripts/s", per_node(|counts| counts.scripts)),
        ("XREAD/s", per_node(|counts| counts.waits)),
        (
            "commands/s, those in scripts included",
            per_node(|counts| counts.commands),
        ),
    ] {
        let what = format!("{what} of each of {NODES} nodes at {RATE} revocations/s, {name}");
        table.figure(&what, count, "", Goal::Known);
    }
    let what = format!("time of the servers for each node at {RATE} revocations/s, {name}");
    let busy = per_node(|counts| counts.busy) * 1000.0;
    table.figure(&what, busy, " ms/s", Goal::Known);
    Ok(())
}

/// The work of servers since their start.
#[derive(Default)]
struct Counts {
    scripts: f64,
    waits: f64,
    commands: f64,
    /// Seconds of processor time.
    busy: f64,
}

impl Counts {
    async fn of(servers: &[&str]) -> anyhow::Result<Self> {
        let mut counts = Self::default();
        for url in servers {
            let mut connection = Client::open(*url)?
                .get_multiplexed_async_connection()
                .await?;
            counts.add(&mut connection).await?;
        }
        Ok(counts)
    }

    async fn add(&mut self, connection: &mut MultiplexedConnection) -> anyhow::Result<()> {
        let info: String = redis::cmd("INFO")
            .arg("everything")
            .query_async(connection)
            .await?;
        for line in info.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if let Some(command) = name.strip_prefix("cmdstat_") {
                let calls = value.split(',').next().and_then(|v| v.split('=').nth(1));
                let calls: f64 = calls.context("a command without calls")?.parse()?;
                self.commands += calls;
                if command.starts_with("eval") {
                    self.scripts += calls;
                } else if command == "xread" {
                    self.waits += calls;
                }
            } else if name == "used_cpu_user" || name == "used_cpu_sys" {
                self.busy += value.trim().parse::<f64>()?;
            }
        }
        Ok(())
    }

    fn since(self, before: &Self) -> Self {
        Self {
            scripts: self.scripts - before.scripts,
            waits: self.waits - before.waits,
            commands: self.commands - before.commands,
            busy: self.busy - before.busy,
        }
    }
}

/// The work of the servers while this many nodes follow the log.
async fn watched(servers: &[&str], urls: &str, nodes: usize) -> anyhow::Result<Counts> {
    let store = RedisStore::connect(urls).await?;
    let mut sessions = Vec::new();
    for number in 0..usize::try_from(RATE * SECONDS)? {
        let new: NewSession = new_session(number)?;
        sessions.push(new.id);
        store.begin(new).await?;
    }
    let secret = MasterSecret::generate()?;
    let mut following = Vec::new();
    for _ in 0..nodes {
        let store = RedisStore::connect(urls).await?;
        let builder = Authority::builder(ISSUER, AUDIENCE, secret.clone(), store);
        following.push(builder.build().await?);
    }
    // By then, all nodes have sent their scripts to the servers and are waiting.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Counts::of(servers).await?;
    end(&store, sessions).await?;
    let counts = Counts::of(servers).await?.since(&before);
    drop(following);
    Ok(counts)
}

/// Ends the sessions at an even pace.
async fn end(store: &RedisStore, sessions: Vec<SessionId>) -> anyhow::Result<()> {
    let start = Instant::now();
    for (number, id) in (1..).zip(sessions) {
        store
            .end(EndSessions::Session(id), EndReason::Logout)
            .await?;
        let due = start + Duration::from_secs(1) / RATE * number;
        tokio::time::sleep_until(due.into()).await;
    }
    Ok(())
}
