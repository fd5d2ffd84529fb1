//! Starts and stops the process of a server. The process never outlives this program.

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

/// How long a start or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A process. Start it on a thread that lives as long as the process, because the process gets a
/// signal to end when that thread ends.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Ports below those that the kernel gives to connections. So no connection of another test takes a
/// port before the server does.
const PORTS: Range<u16> = 12_000..32_000;

/// Starts a server on free ports. Another program may take one of them just before the server does,
/// so this tries a few times.
pub(crate) fn on_free_ports<T>(mut start: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut attempts = 5;
    loop {
        attempts -= 1;
        match start() {
            Err(error) if attempts > 0 && is_taken(&error) => {}
            started => return started,
        }
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("address already in use")
}

/// A port on which no program listens. Each call begins its search at another port.
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

    /// Waits until `answers` succeeds. Its error is the reason why the server isn't ready yet.
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

    /// Waits until the process ends.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Ends the process as a crash does, with all its child processes.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let children = self.signal("KILL")?;
        self.wait()?;
        // PostgreSQL refuses to start while a child process still uses its shared memory.
        let begun = Instant::now();
        while children.iter().any(|child| runs(*child)) {
            let name = self.name;
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{name} is not to be killed");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Stops the process where it is. Connections stay open, and get no answer.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP").map(drop)
    }

    /// Continues a stopped process.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT").map(drop)
    }

    /// Signals the process and its child processes, and returns the child processes. For example,
    /// PostgreSQL has a process for each connection.
    fn signal(&self, signal: &str) -> anyhow::Result<Vec<u32>> {
        let own = self.child.id();
        // Listed first: when the process has ended, they are no longer its children.
        let children = children(own)?;
        send(signal, own)?;
        for child in &children {
            // The child may have ended meanwhile.
            drop(send(signal, *child));
        }
        Ok(children)
    }
}

/// With the shell's own `kill`, because a small machine may have no other.
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

/// The child processes, from Linux's process list.
fn children(of: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The name in parentheses, the state, the parent.
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
        // A paused process wouldn't get the next signal. All servers take SIGINT as a request to
        // end in good order.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_port_is_taken_tries_others_a_few_times() {
        let taken = || anyhow::anyhow!("bind: Address already in use");
        let mut attempts = 0;
        let started = on_free_ports(|| {
            attempts += 1;
            if attempts < 3 {
                Err(taken())
            } else {
                Ok(attempts)
            }
        });
        assert_eq!(started.unwrap(), 3);

        let mut attempts = 0;
        let started = on_free_ports(|| -> anyhow::Result<()> {
            attempts += 1;
            Err(taken())
        });
        assert!(started.is_err());
        assert_eq!(attempts, 5);

        let mut attempts = 0;
        let started = on_free_ports(|| -> anyhow::Result<()> {
            attempts += 1;
            anyhow::bail!("no such file")
        });
        assert!(started.is_err());
        assert_eq!(attempts, 1);
    }
}
