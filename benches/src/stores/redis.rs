//! The smallest store in Redis: one script on a string that is a number, through one connection to
//! each server.

use std::sync::Arc;

use anyhow::Context;
use gatepass_redis::RedisStore;
use redis::{Client, Script, aio::MultiplexedConnection};
use tokio::runtime::Runtime;

use super::{Bare, compare, sessions};
use crate::{servers, table::Table};

/// Like the store's script: it compares, advances, and makes the key expire.
const SCRIPT: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
    return 1";
/// Seconds until the rows of a benchmark expire.
const TTL: u32 = 3600;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    measure(table, "Redis", &servers::redis()?)
}

pub(crate) fn run_cluster(table: &mut Table) -> anyhow::Result<()> {
    measure(table, "Redis Cluster", &servers::redis_cluster()?)
}

fn measure(table: &mut Table, name: &str, server: &servers::Server) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    // Its own namespace, since others use the server.
    let namespace = servers::unique("bench")?;
    let store = RedisStore::at(server.url()).namespace(&namespace).open();
    let store = runtime.block_on(store)?;
    let (raw, rows) = runtime.block_on(Raw::open(server.url(), &namespace, sessions(table)))?;
    let fsync = runtime.block_on(raw.fsync())?;
    let name = format!("{name} (appendfsync {fsync})");
    compare(table, &runtime, (&name, [0.85, 0.8]), store, &raw, rows)
}

struct Row {
    key: String,
    node: usize,
    generation: i64,
}

#[derive(Clone)]
struct Raw {
    nodes: Vec<MultiplexedConnection>,
    script: Arc<Script>,
}

impl Raw {
    async fn open(
        urls: &str,
        namespace: &str,
        sessions: usize,
    ) -> anyhow::Result<(Self, Vec<Row>)> {
        let mut nodes = Vec::new();
        for url in urls.split(',') {
            nodes.push(
                Client::open(url)?
                    .get_multiplexed_async_connection()
                    .await?,
            );
        }
        let script = Arc::new(Script::new(SCRIPT));
        for node in &mut nodes {
            script.prepare_invoke().load_async(node).await?;
        }
        let mut raw = Self { nodes, script };
        let mut rows = Vec::new();
        for number in 0..sessions {
            rows.push(raw.make(format!("{namespace}-raw:{number}")).await?);
        }
        Ok((raw, rows))
    }

    /// Makes a row on the first server that takes it.
    async fn make(&mut self, key: String) -> anyhow::Result<Row> {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let mut set = redis::cmd("SET");
            let set = set.arg(&key).arg(0).arg("EX").arg(TTL);
            if set.query_async::<()>(node).await.is_ok() {
                return Ok(Row {
                    key,
                    node: number,
                    generation: 0,
                });
            }
        }
        anyhow::bail!("no server takes {key}")
    }

    /// When the servers write to the disk.
    async fn fsync(&self) -> anyhow::Result<String> {
        let mut node = self.nodes.first().context("no server")?.clone();
        let mut said = Vec::new();
        for name in ["appendonly", "appendfsync"] {
            let mut get = redis::cmd("CONFIG");
            let (_, value): (String, String) =
                get.arg("GET").arg(name).query_async(&mut node).await?;
            said.push(value);
        }
        Ok(match said.as_slice() {
            [on, fsync] if on == "yes" => fsync.clone(),
            _ => "never".to_owned(),
        })
    }
}

impl Bare for Raw {
    type Row = Row;

    async fn advance(&self, row: &mut Row) -> anyhow::Result<()> {
        let node = self.nodes.get(row.node).context("no such server")?;
        let mut advance = self.script.key(&row.key);
        let advance = advance.arg(row.generation).arg(row.generation + 1);
        let fitted: bool = advance.invoke_async(&mut node.clone()).await?;
        anyhow::ensure!(fitted, "an advance that did not fit");
        row.generation += 1;
        Ok(())
    }
}
