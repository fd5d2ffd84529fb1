//! A server's process: started, waited for, and never left behind.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// How long a start or a stop may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Must be started by a thread that lives as long as it: the server is told to end with that.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// The ports below those that the kernel gives to connections, so that no connection of another
/// test takes a port in the moment until the server has it.
const PORTS: Range<u16> = 12_000..32_000;

/// A port that no program listens on. Each call begins its search in another place.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let ports = usize::from(PORTS.end - PORTS.start);
    let start = usize::try_from(RandomState::new().hash_one(std::process::id()) >> 33)? % ports;
    PORTS
        .cycle()
        .skip(start)
        .take(ports)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port is free")
}

impl Process {
    /// Starts `command`, whose output goes to `log`.
    pub(crate) fn start(
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
    pub(crate) fn wait_until(
        &mut self,
        mut answers: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let Err(error) = answers() else { return Ok(()) };
            let name = self.name;
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
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
    pub(crate) fn wait_for_port(&mut self, port: u16) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.wait_until(|| {
            TcpStream::connect_timeout(&address, POLL)?;
            Ok(())
        })
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a crash does, with all that it has started.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let children = self.signal("KILL")?;
        self.wait()?;
        // PostgreSQL refuses to start again while one of them still holds its memory.
        let begun = Instant::now();
        while children.iter().any(|child| runs(*child)) {
            let name = self.name;
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{name} is not to be killed");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Stops it where it is: connections stay, and nothing is answered.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP").map(drop)
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT").map(drop)
    }

    /// Signals it and all that it has started, and returns the latter: PostgreSQL has a process for
    /// each connection.
    fn signal(&self, signal: &str) -> anyhow::Result<Vec<u32>> {
        let own = self.child.id();
        // Looked for before: once it has ended, they are no longer its children.
        let children = children(own)?;
        send(signal, own)?;
        for child in &children {
            // It may have ended meanwhile.
            drop(send(signal, *child));
        }
        Ok(children)
    }
}

/// By the shell's own `kill`, since a small machine may have no other.
fn send(signal: &str, process: u32) -> anyhow::Result<()> {
    let script = format!("kill -{signal} {process} 2>&-");
    let status = Command::new("sh").args(["-c", &script]).status()?;
    anyhow::ensure!(status.success(), "process {process} cannot be signalled");
    Ok(())
}

/// Whether the process has not ended.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// As Linux lists them.
fn children(of: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Name in parentheses, state, parent.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1);
        if parent.and_then(|parent| parent.parse().ok()) == Some(of) {
            children.push(process);
        }
    }
    Ok(children)
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is paused would not hear the other signal. All servers take that for: end now,
        // in good order.
        drop(self.resume());
        drop(send("INT", self.child.id()));
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
