//! PgBouncer in transaction mode: the proxy that a store must work through.

use std::path::{Path, PathBuf};

use crate::{
    directory::Directory,
    postgres::Postgres,
    process::{Process, free_port, on_free_ports},
    program::{Requirement, answers},
};

/// Fewer connections than callers, so that several callers share a connection.
const CONNECTIONS: u8 = 4;

pub(crate) const REQUIREMENT: Requirement = Requirement {
    name: "PgBouncer",
    package: "pgbouncer",
    is_there: || binary().is_some(),
};

/// A proxy in front of a [`Postgres`]. It stops when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    url: String,
}

fn binary() -> Option<PathBuf> {
    ["pgbouncer", "/usr/sbin/pgbouncer"]
        .into_iter()
        .find(|program| answers(program, "--version"))
        .map(PathBuf::from)
}

impl PgBouncer {
    /// Starts a proxy, and waits until it answers.
    ///
    /// # Errors
    ///
    /// An error with the proxy's output, if it doesn't start.
    pub fn start(directory: &Directory, postgres: &Postgres) -> anyhow::Result<Self> {
        let binary = binary().ok_or_else(|| REQUIREMENT.missing())?;
        on_free_ports(|| Self::serve(directory, postgres, &binary))
    }

    fn serve(directory: &Directory, postgres: &Postgres, binary: &Path) -> anyhow::Result<Self> {
        let (port, place) = (free_port()?, directory.place("pgbouncer"));
        let (user, password) = postgres.credentials();
        let users = place.with_extension("users");
        directory.write(&users, &format!("\"{user}\" \"{password}\"\n"))?;
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
            postgres.port(),
            users.display()
        );
        let file = place.with_extension("ini");
        directory.write(&file, &settings)?;
        let mut command = directory.account.command(binary);
        command.arg(&file);
        let mut process = Process::start("PgBouncer", command, &place.with_extension("log"))?;
        process.wait_for_port(port)?;
        Ok(Self {
            _process: process,
            url: format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres"),
        })
    }

    /// The URL of PostgreSQL through the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}
