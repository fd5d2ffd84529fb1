//! The servers and directories of stores. A server keeps what it has acknowledged.

use std::{env, path::PathBuf};

use anyhow::Context;
use gatepass::store::{Random, SystemRandom};
use gatepass_servers::{Directory, Durability, Postgres, Redis, RedisCluster};
use tempfile::TempDir;

/// A server: one that this started and stops when it is dropped, or a given one.
pub(crate) struct Server {
    url: String,
    own: Option<Own>,
}

/// A server that this started, and its directory, which is dropped after it.
#[expect(dead_code, reason = "held until it is dropped")]
enum Own {
    Postgres(Postgres, Directory),
    Redis(Redis, Directory),
    Cluster(RedisCluster, Directory),
}

impl Server {
    /// The URL for connections.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the benchmarks started it.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn given(variable: &str) -> Option<Self> {
        let url = env::var(variable).ok()?;
        Some(Self { url, own: None })
    }
}

/// The server of `GATEPASS_TEST_POSTGRES`, or a new one.
pub(crate) fn postgres() -> anyhow::Result<Server> {
    Server::given("GATEPASS_TEST_POSTGRES").map_or_else(own_postgres, Ok)
}

/// The server of `GATEPASS_TEST_REDIS`, or a new one.
pub(crate) fn redis() -> anyhow::Result<Server> {
    Server::given("GATEPASS_TEST_REDIS").map_or_else(own_redis, Ok)
}

/// The cluster of `GATEPASS_TEST_REDIS_CLUSTER`, or a new one.
pub(crate) fn redis_cluster() -> anyhow::Result<Server> {
    Server::given("GATEPASS_TEST_REDIS_CLUSTER").map_or_else(own_redis_cluster, Ok)
}

/// A new PostgreSQL server.
pub(crate) fn own_postgres() -> anyhow::Result<Server> {
    let directory = servers()?;
    let postgres = Postgres::start(&directory, Durability::Crash)?;
    Ok(Server {
        url: postgres.url(),
        own: Some(Own::Postgres(postgres, directory)),
    })
}

/// A new Redis server.
pub(crate) fn own_redis() -> anyhow::Result<Server> {
    let directory = servers()?;
    let redis = Redis::start(&directory, Durability::Crash)?;
    Ok(Server {
        url: redis.url(),
        own: Some(Own::Redis(redis, directory)),
    })
}

/// A new Redis cluster.
pub(crate) fn own_redis_cluster() -> anyhow::Result<Server> {
    let directory = servers()?;
    let cluster = RedisCluster::start(&directory, Durability::Crash, 0)?;
    Ok(Server {
        url: cluster.url(),
        own: Some(Own::Cluster(cluster, directory)),
    })
}

/// A directory for the files of a store.
pub(crate) fn directory() -> anyhow::Result<TempDir> {
    Ok(TempDir::new_in(build()?)?)
}

/// A name that is used nowhere else.
pub(crate) fn unique(what: &str) -> anyhow::Result<String> {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random)?;
    Ok(format!("{what}_{:016x}", u64::from_be_bytes(random)))
}

/// A directory for servers that a benchmark starts itself.
pub(crate) fn servers() -> anyhow::Result<Directory> {
    Directory::make(build()?.join("servers"))
}

/// The disk of the build. A directory for temporary files may be in memory.
fn build() -> anyhow::Result<PathBuf> {
    let program: PathBuf = env::current_exe()?;
    let build = program.parent().context("a program without a directory")?;
    Ok(build.to_owned())
}
