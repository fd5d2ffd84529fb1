//! The example's process: started, stopped in two ways, and never left behind.

use std::{
    fs::File,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use super::client::Client;

/// How long a start or a stop may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// How long after its use a refresh token still gets the same answer.
pub(super) const OVERLAP: Duration = Duration::from_secs(1);

/// One server over one set of files, whether it runs or not.
pub(super) struct Server {
    binary: PathBuf,
    directory: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
    more: Vec<String>,
}

impl Server {
    /// Writes the users' file and chooses a port.
    pub(super) fn prepare(
        binary: PathBuf,
        directory: &Path,
        users: &Value,
    ) -> anyhow::Result<Self> {
        write_users(directory, users)?;
        // The system names a free port; in the moment until the server takes it, none other is likely to.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            binary,
            directory: directory.to_owned(),
            address: free.local_addr()?,
            child: None,
            more: Vec::new(),
        })
    }

    /// Has the next start take these further flags and these users, whoever is not among them being gone.
    pub(super) fn configure(&mut self, flags: &[&str], users: &Value) -> anyhow::Result<()> {
        self.more = flags.iter().map(|flag| (*flag).to_owned()).collect();
        write_users(&self.directory, users)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts on the same files as before, and waits until it answers.
    pub(super) fn start(&mut self, client: &Client) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let overlap = format!("{}s", OVERLAP.as_secs());
        let mut command = Command::new(&self.binary);
        // Settings of the developer's own are not on trial.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GATEPASS_") {
                command.env_remove(name);
            }
        }
        let child = command
            .current_dir(&self.directory)
            .args(["--listen", &self.address.to_string()])
            .args(["--store", "sqlite:gatepass.db"])
            .args(["--users", "users.json"])
            .args(["--overlap", &overlap, "--recovery", "0s"])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let child = self.child.insert(child);

        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the server ended as it started: {status}");
            }
            if client.is_healthy() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        anyhow::bail!("GET /health is not answered after {PATIENCE:?}")
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(super) fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        let mut child = self.child.take().context("no server runs")?;
        let ended = terminate(&mut child);
        if ended.is_err() {
            end(child);
        }
        ended
    }

    /// Stops it without asking (SIGKILL), as a power failure would.
    pub(super) fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }

    /// All that it printed, over every start.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_users(directory: &Path, users: &Value) -> anyhow::Result<()> {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(directory.join("users.json"))?;
    file.write_all(users.to_string().as_bytes())?;
    Ok(())
}

fn terminate(child: &mut Child) -> anyhow::Result<ExitStatus> {
    // The shell's own `kill`, since a small machine may have no other.
    let sent = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &child.id().to_string()])
        .status()?;
    anyhow::ensure!(sent.success(), "SIGTERM could not be sent: {sent}");

    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
    anyhow::bail!("the server still runs {PATIENCE:?} after SIGTERM")
}

/// Both fail only for a process that is no more.
fn end(mut child: Child) {
    drop(child.kill());
    drop(child.wait());
}
