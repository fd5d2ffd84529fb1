//! The servers that the tests use: real ones, only for one run.

use gatepass_servers::{
    Directory, Durability, PgBouncer, Postgres, REQUIREMENTS, Redis, RedisCluster,
};
use xshell::Shell;

use crate::{apt, metadata, program::Missing, progress::step};

/// All servers, until this is dropped.
pub(crate) struct Servers {
    // Rust drops the fields in this order: a server before the servers that it asks, and the
    // directory last.
    cluster: RedisCluster,
    redis: Redis,
    pgbouncer: PgBouncer,
    replica: Postgres,
    postgres: Postgres,
    _directory: Directory,
}

/// Makes sure that the servers' programs are installed.
pub(crate) fn ready(sh: &Shell, missing: Missing) -> anyhow::Result<()> {
    let absent = || REQUIREMENTS.iter().filter(|one| !(one.is_there)());
    let packages: Vec<_> = absent().map(|one| one.package).collect();
    if missing == Missing::Installed && !packages.is_empty() {
        apt::try_install(sh, &packages)?;
    }
    let lines: Vec<_> = absent().map(|one| one.missing().to_string()).collect();
    anyhow::ensure!(lines.is_empty(), "{}", lines.join("\n"));
    Ok(())
}

impl Servers {
    /// Starts the servers on free ports, and waits until they answer.
    pub(crate) fn start(sh: &Shell, missing: Missing) -> anyhow::Result<Self> {
        ready(sh, missing)?;
        step(
            "servers",
            "PostgreSQL, a replica of it, PgBouncer before it, Redis, a Redis Cluster",
        );
        let directory = Directory::make(metadata::target_directory(sh)?.join("servers"))?;
        let postgres = Postgres::start(&directory, Durability::None)?;
        let replica = postgres.replica(&directory)?;
        let pgbouncer = PgBouncer::start(&directory, &postgres)?;
        let redis = Redis::start(&directory, Durability::None)?;
        let cluster = RedisCluster::start(&directory, Durability::None, 0)?;
        Ok(Self {
            cluster,
            redis,
            pgbouncer,
            replica,
            postgres,
            _directory: directory,
        })
    }

    /// The environment variables by which the tests find the servers. A variable that is already
    /// set keeps its value, and names a server that you started yourself.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("GATEPASS_TEST_POSTGRES", self.postgres.url()),
            ("GATEPASS_TEST_POSTGRES_REPLICA", self.replica.url()),
            ("GATEPASS_TEST_PGBOUNCER", self.pgbouncer.url().to_owned()),
            ("GATEPASS_TEST_REDIS", self.redis.url()),
            ("GATEPASS_TEST_REDIS_CLUSTER", self.cluster.url()),
        ];
        let set = |(name, own): (&'static str, String)| (name, std::env::var(name).unwrap_or(own));
        own.map(set).into()
    }
}

/// `cargo xtask servers`: starts the servers, prints how to use them, and waits for Ctrl-C.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let mut servers = Servers::start(sh, Missing::Reported)?;
    for (name, value) in servers.environment() {
        println!("export {name}='{value}'");
    }
    step("servers", "running; Ctrl-C ends them");
    servers.postgres.wait()
}
