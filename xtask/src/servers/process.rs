//! A server's process: started, waited for, and never left behind.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// How long a start or a stop may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// A port that nobody listens on. In the moment until the server takes it, none other is likely to.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(free.local_addr()?.port())
}

impl Process {
    /// Starts `command`, whose output goes to `log`.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until `answers`, which says why not yet.
    pub(super) fn wait_until(
        &mut self,
        mut answers: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let Err(error) = answers() else { return Ok(()) };
            let name = self.name;
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{name} ended as it started ({status}):\n{}", log());
            }
            if begun.elapsed() > PATIENCE {
                let log = log();
                return Err(error.context(format!("{name} does not answer:\n{log}")));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until something listens on `port`.
    pub(super) fn wait_for_port(&mut self, port: u16) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.wait_until(|| {
            TcpStream::connect_timeout(&address, POLL)?;
            Ok(())
        })
    }

    /// Waits until it ends.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The shell's own `kill`, since a small machine may have no other. Both servers take the signal
        // for: end now, in good order.
        let id = self.child.id().to_string();
        drop(
            Command::new("sh")
                .args(["-c", "kill -INT \"$0\"", &id])
                .status(),
        );
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
