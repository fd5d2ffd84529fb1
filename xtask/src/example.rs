//! Starts and stops the process of an example. It never outlives this program.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::process::Process;

/// How long a start may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with its own files, which stops when this is dropped.
pub(crate) struct Server {
    directory: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
}

impl Server {
    /// Chooses a port. The server's files go to `directory`.
    pub(crate) fn prepare(directory: &Path) -> anyhow::Result<Self> {
        // The system picks a free port. Another process is unlikely to take it before the server
        // does.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            directory: directory.to_owned(),
            address: free.local_addr()?,
            process: None,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the program with these users and flags, and waits until it `answers`.
    pub(crate) fn start(
        &mut self,
        binary: &Path,
        users: &Value,
        flags: &[&str],
        answers: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        fs::write(self.directory.join("users.json"), users.to_string())?;
        let log = File::create(self.log_path())?;
        let mut command = Command::new(binary);
        // The developer's own settings must not change the example.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GATEPASS_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.directory)
            .args(["--listen", &self.address.to_string()])
            .args(["--users", "users.json"])
            .args(flags)
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

    /// Everything that the server printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}
