//! The process of an example: started, stopped, and never left behind.

use std::{
    fs::File,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::process::Process;

/// How long a start or a stop may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server over one set of files, whether it runs or not.
pub(crate) struct Server {
    binary: PathBuf,
    directory: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
    store: String,
    flags: Vec<String>,
}

impl Server {
    /// Writes the users' file and chooses a port. Every start takes these flags.
    pub(crate) fn prepare(
        binary: PathBuf,
        directory: &Path,
        users: &Value,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        write_users(directory, users)?;
        // The system names a free port; in the moment until the server takes it, none other is
        // likely to.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            binary,
            directory: directory.to_owned(),
            address: free.local_addr()?,
            process: None,
            store: "sqlite:gatepass.db".to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        })
    }

    /// Has it keep its sessions elsewhere than in a file of its own.
    pub(crate) fn over(mut self, store: &str) -> Self {
        self.store = store.to_owned();
        self
    }

    /// Has every start take these further flags.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts on the same files as before, and waits until it `answers`.
    pub(crate) fn start(&mut self, answers: impl Fn() -> bool) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        // Settings of the developer's own are not on trial.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GATEPASS_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.directory)
            .args(["--listen", &self.address.to_string()])
            // All users of the machine can see arguments.
            .env("GATEPASS_STORE", &self.store)
            .args(["--users", "users.json"])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = self.process.insert(Process::start(&mut command)?);
        match process.wait(PATIENCE, answers) {
            Ok(None) => Ok(()),
            Ok(Some(status)) => anyhow::bail!("the server ended as it started: {status}"),
            Err(error) => Err(error.context("the server does not answer")),
        }
    }

    /// Stops it without asking (SIGKILL), as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// All that it printed, over every start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
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
