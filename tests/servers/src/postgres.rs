//! PostgreSQL, from the path or from Debian's package.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    directory::Directory,
    process::{Process, free_port, on_free_ports},
    program::{Durability, Requirement, answers, password, succeeds},
};

/// The settings of every server.
const SETTINGS: &[&str] = &[
    "hot_standby=on",
    "max_connections=300",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "timezone=UTC",
];

const SUPERUSER: &str = "gatepass";

pub(crate) const REQUIREMENT: Requirement = Requirement {
    name: "PostgreSQL (initdb and postgres, 13 or newer)",
    package: "postgresql",
    is_there: || binaries().is_some(),
};

/// A server, which stops when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    bin: PathBuf,
    data: PathBuf,
    durability: Durability,
    account: crate::account::Account,
    port: u16,
    password: String,
}

/// The directory of the programs: empty if they are on the path, else of the newest release.
fn binaries() -> Option<PathBuf> {
    if answers("initdb", "--version") && answers("postgres", "--version") {
        return Some(PathBuf::new());
    }
    // Debian installs the administrator's programs here.
    let releases = fs::read_dir("/usr/lib/postgresql").ok()?;
    releases
        .filter_map(|release| {
            let release = release.ok()?;
            let version: u32 = release.file_name().to_str()?.parse().ok()?;
            let bin = release.path().join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .max()
        .map(|(_, bin)| bin)
}

impl Postgres {
    /// Makes a database cluster, starts a server on it, and waits until it answers.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn start(directory: &Directory, durability: Durability) -> anyhow::Result<Self> {
        let bin = binaries().ok_or_else(|| REQUIREMENT.missing())?;
        let (data, password) = (directory.place("postgres"), password()?);
        let file = data.with_extension("password");
        directory.write(&file, &password)?;
        let mut command = directory.account.command(&bin.join("initdb"));
        command
            .arg("-D")
            .arg(&data)
            .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .arg("--pwfile")
            .arg(&file);
        succeeds("initdb", &mut command)?;
        fs::remove_file(&file)?;
        Self::serve(directory, bin, data, durability, password)
    }

    /// Starts a replica of this server. It accepts only transactions that read.
    ///
    /// # Errors
    ///
    /// An error with the replica's output, if it doesn't start.
    pub fn replica(&self, directory: &Directory) -> anyhow::Result<Self> {
        let (bin, data) = (self.bin.clone(), directory.place("replica"));
        let mut command = directory.account.command(&bin.join("pg_basebackup"));
        command
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", SUPERUSER, "--checkpoint", "fast"])
            // Other users of the machine can see arguments.
            .env("PGPASSWORD", &self.password)
            .args(["--no-sync", "--write-recovery-conf", "--pgdata"])
            .arg(&data);
        succeeds("pg_basebackup", &mut command)?;
        Self::serve(directory, bin, data, self.durability, self.password.clone())
    }

    fn serve(
        directory: &Directory,
        bin: PathBuf,
        data: PathBuf,
        durability: Durability,
        password: String,
    ) -> anyhow::Result<Self> {
        let account = directory.account.clone();
        let (process, port) = on_free_ports(|| {
            let port = free_port()?;
            Ok((serve(&account, &bin, &data, durability, port)?, port))
        })?;
        Ok(Self {
            process,
            bin,
            data,
            durability,
            account,
            port,
            password,
        })
    }

    /// The URL for a superuser.
    #[must_use]
    pub fn url(&self) -> String {
        let (user, password) = self.credentials();
        let port = self.port;
        format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres")
    }

    /// The server's port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn credentials(&self) -> (&'static str, &str) {
        (SUPERUSER, &self.password)
    }

    /// Kills all processes of the server (SIGKILL).
    ///
    /// # Errors
    ///
    /// An error if it can't signal them.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Stops all processes of the server (SIGSTOP). Connections stay open, and get no answer.
    ///
    /// # Errors
    ///
    /// An error if it can't signal them.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Continues all processes of the server (SIGCONT).
    ///
    /// # Errors
    ///
    /// An error if it can't signal them.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }

    /// Restarts a killed server with its data, on the same port.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let (account, port) = (&self.account, self.port);
        self.process = serve(account, &self.bin, &self.data, self.durability, port)?;
        Ok(())
    }

    /// Makes a replica the primary, and waits for that.
    ///
    /// # Errors
    ///
    /// An error with the output, if the replica doesn't become the primary.
    pub fn promote(&mut self) -> anyhow::Result<()> {
        let mut command = self.account.command(&self.bin.join("pg_ctl"));
        command.args(["promote", "--wait", "--silent", "-D"]);
        succeeds("pg_ctl promote", command.arg(&self.data))?;
        Ok(())
    }

    /// Turns this server into a replica without a primary: kills it, and starts it in standby mode.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn demote(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let mut command = self.account.command(Path::new("touch"));
        succeeds("touch", command.arg(self.data.join("standby.signal")))?;
        self.restart()
    }

    /// Copies the database to `other`, as `pg_dump | psql` does.
    ///
    /// # Errors
    ///
    /// An error with the output, if the copy fails.
    pub fn dump_into(&self, other: &Self, directory: &Directory) -> anyhow::Result<()> {
        let file = directory.place("dump");
        let client = |server: &Self, program: &str, option: &str| {
            let mut command = server.account.command(&server.bin.join(program));
            command
                .args(["--host", "127.0.0.1", "--port", &server.port.to_string()])
                .args(["--username", SUPERUSER, "--dbname", "postgres"])
                // Other users of the machine can see arguments.
                .env("PGPASSWORD", &server.password)
                .arg(option)
                .arg(&file);
            command
        };
        succeeds("pg_dump", &mut client(self, "pg_dump", "--file"))?;
        let mut restore = client(other, "psql", "--file");
        succeeds("psql", restore.args(["--set", "ON_ERROR_STOP=1"]))?;
        fs::remove_file(&file)?;
        Ok(())
    }

    /// Waits until the server ends.
    ///
    /// # Errors
    ///
    /// An error if it can't wait.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        self.process.wait()
    }
}

/// Starts a server with the data in `data`, and waits until it answers.
fn serve(
    account: &crate::account::Account,
    bin: &Path,
    data: &Path,
    durability: Durability,
    port: u16,
) -> anyhow::Result<Process> {
    let mut command = account.command(&bin.join("postgres"));
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    let durability: &[&str] = match durability {
        Durability::None => &["fsync=off", "full_page_writes=off"],
        Durability::Crash => &[],
        Durability::AllButTheLastSecond => &["synchronous_commit=off"],
    };
    for setting in SETTINGS.iter().chain(durability) {
        command.args(["-c", setting]);
    }
    // The server listens before it is ready. It then reports that in this file. A killed server has
    // left its old file.
    let status = data.join("postmaster.pid");
    drop(fs::remove_file(&status));
    let mut process = Process::start("PostgreSQL", command, &data.with_extension("log"))?;
    process.wait_until(|| {
        let status = fs::read_to_string(&status)?;
        let last = status.lines().last().unwrap_or_default().trim();
        anyhow::ensure!(last == "ready", "it is {last:?}");
        Ok(())
    })?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_killed_comes_back_and_its_replica_takes_its_place() {
        let directory = Directory::make(std::env::temp_dir().join("gatepass-servers")).unwrap();
        let mut postgres = Postgres::start(&directory, Durability::Crash).unwrap();
        postgres.pause().unwrap();
        postgres.resume().unwrap();
        let mut replica = postgres.replica(&directory).unwrap();
        postgres.kill().unwrap();
        replica.promote().unwrap();
        assert!(!replica.data.join("standby.signal").exists());
        postgres.restart().unwrap();
        replica.dump_into(&postgres, &directory).unwrap();
        replica.demote().unwrap();
    }
}
