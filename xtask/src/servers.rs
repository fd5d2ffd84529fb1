//! The servers that the tests talk to: real ones, private to one run, and gone with it.

mod account;
mod directory;
mod pgbouncer;
mod postgres;
mod process;

use xshell::Shell;

use self::{directory::Directory, pgbouncer::PgBouncer, postgres::Postgres};
use crate::progress::step;

/// All of them, until this is dropped.
pub(crate) struct Servers {
    // Dropped in this order: what asks another server ends before it, and the directory last.
    pgbouncer: PgBouncer,
    replica: Postgres,
    postgres: Postgres,
    _directory: Directory,
}

/// Makes sure that there is something to start, installing it where it can.
pub(crate) fn install(sh: &Shell) -> anyhow::Result<()> {
    postgres::install(sh)?;
    pgbouncer::install(sh)
}

impl Servers {
    /// Starts them on free ports, and waits until they answer.
    pub(crate) fn start(sh: &Shell) -> anyhow::Result<Self> {
        install(sh)?;
        step(
            "servers",
            "PostgreSQL, a replica of it, and PgBouncer before it",
        );
        let directory = Directory::make(sh)?;
        let postgres = Postgres::start(sh, &directory)?;
        let replica = postgres.replica(sh, &directory)?;
        let pgbouncer = PgBouncer::start(sh, &directory, &postgres)?;
        Ok(Self {
            pgbouncer,
            replica,
            postgres,
            _directory: directory,
        })
    }

    /// How the tests find them: names and values of environment variables.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("GATEPASS_TEST_POSTGRES", self.postgres.url()),
            ("GATEPASS_TEST_POSTGRES_REPLICA", self.replica.url()),
            (
                "GATEPASS_TEST_PGBOUNCER",
                self.pgbouncer.url(&self.postgres),
            ),
        ]
    }
}

/// `cargo xtask servers`: starts them, says how to use them, and waits until it is interrupted.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let mut servers = Servers::start(sh)?;
    for (name, value) in servers.environment() {
        println!("export {name}='{value}'");
    }
    step("servers", "running; Ctrl-C ends them");
    servers.postgres.wait()
}
