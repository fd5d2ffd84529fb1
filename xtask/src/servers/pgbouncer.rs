//! PgBouncer in transaction mode: the proxy that a store must work through.

use std::path::PathBuf;

use xshell::Shell;

use super::{
    directory::Directory,
    postgres::Postgres,
    process::{Process, free_port},
};
use crate::{apt, setup::answers};

/// Fewer connections than callers, so that one connection serves many.
const CONNECTIONS: u8 = 4;

pub(super) struct PgBouncer {
    _process: Process,
    port: u16,
}

/// Makes sure that there is one, installing it where it can.
pub(super) fn install(sh: &Shell) -> anyhow::Result<()> {
    if binary(sh).is_none() {
        apt::try_install(sh, &["pgbouncer"])?;
    }
    anyhow::ensure!(
        binary(sh).is_some(),
        "PgBouncer is missing: install it, on Debian with `apt-get install pgbouncer`"
    );
    Ok(())
}

fn binary(sh: &Shell) -> Option<PathBuf> {
    ["pgbouncer", "/usr/sbin/pgbouncer"]
        .into_iter()
        .find(|program| answers(sh, &[program, "--version"]))
        .map(PathBuf::from)
}

impl PgBouncer {
    pub(super) fn start(
        sh: &Shell,
        directory: &Directory,
        postgres: &Postgres,
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let (user, password) = postgres.credentials();
        let users = directory.write(
            sh,
            "pgbouncer.users",
            &format!("\"{user}\" \"{password}\"\n"),
        )?;
        let settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = plain\n\
             auth_file = {}\n\
             pool_mode = transaction\n\
             default_pool_size = {CONNECTIONS}\n\
             max_client_conn = 1000\n",
            postgres.port,
            users.display()
        );
        let settings = directory.write(sh, "pgbouncer.ini", &settings)?;
        let binary = binary(sh).unwrap_or_default();
        let mut command = directory.account.command(&binary);
        command.arg(&settings);
        let log = directory.path().join("pgbouncer.log");
        let mut process = Process::start("PgBouncer", command, &log)?;
        process.wait_for_port(port)?;
        Ok(Self {
            _process: process,
            port,
        })
    }

    pub(super) fn url(&self, postgres: &Postgres) -> String {
        let (user, password) = postgres.credentials();
        let port = self.port;
        format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres")
    }
}
