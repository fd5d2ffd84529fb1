//! PostgreSQL, as Debian has it or as it is on the path.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use xshell::{Shell, cmd};

use super::{
    directory::Directory,
    process::{Process, free_port},
};
use crate::{apt, setup::answers};

/// What each test may take for granted. Nothing here has to survive a loss of power.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "hot_standby=on",
    "max_connections=300",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "timezone=UTC",
];

const SUPERUSER: &str = "gatepass";

pub(super) struct Postgres {
    process: Process,
    pub(super) port: u16,
    password: String,
}

/// Makes sure that there is one, installing it where it can.
pub(super) fn install(sh: &Shell) -> anyhow::Result<()> {
    if binaries(sh).is_none() {
        apt::try_install(sh, &["postgresql"])?;
    }
    anyhow::ensure!(
        binaries(sh).is_some(),
        "PostgreSQL (initdb and postgres, 13 or newer) is missing: install it, on Debian with `apt-get install postgresql`"
    );
    Ok(())
}

/// The directory of the newest release, or that on the path.
fn binaries(sh: &Shell) -> Option<PathBuf> {
    if answers(sh, &["initdb", "--version"]) && answers(sh, &["postgres", "--version"]) {
        return Some(PathBuf::new());
    }
    // Where Debian has those that the administrator alone calls.
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
    pub(super) fn start(sh: &Shell, directory: &Directory) -> anyhow::Result<Self> {
        let bin = binaries(sh).context("PostgreSQL is gone")?;
        let password = password()?;
        let data = directory.path().join("postgres");
        initdb(sh, &bin, directory, &data, &password)?;
        let (process, port) = serve(&bin, directory, &data)?;
        Ok(Self {
            process,
            port,
            password,
        })
    }

    /// Starts a replica of this one, which takes reading transactions alone.
    pub(super) fn replica(&self, sh: &Shell, directory: &Directory) -> anyhow::Result<Self> {
        let bin = binaries(sh).context("PostgreSQL is gone")?;
        let data = directory.path().join("replica");
        let mut command = directory.account.command(&bin.join("pg_basebackup"));
        command
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", SUPERUSER, "--checkpoint", "fast"])
            // Arguments can be seen by everybody.
            .env("PGPASSWORD", &self.password)
            .args(["--no-sync", "--write-recovery-conf", "--pgdata"])
            .arg(&data);
        succeeds("pg_basebackup", &mut command)?;
        let (process, port) = serve(&bin, directory, &data)?;
        Ok(Self {
            process,
            port,
            password: self.password.clone(),
        })
    }

    /// As whom the tests connect, and with what.
    pub(super) fn credentials(&self) -> (&'static str, &str) {
        (SUPERUSER, &self.password)
    }

    pub(super) fn url(&self) -> String {
        let (user, password) = self.credentials();
        let port = self.port;
        format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres")
    }

    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        self.process.wait()
    }
}

fn initdb(
    sh: &Shell,
    bin: &Path,
    directory: &Directory,
    data: &Path,
    password: &str,
) -> anyhow::Result<()> {
    let file = directory.write(sh, "password", password)?;
    let mut command = directory.account.command(&bin.join("initdb"));
    command
        .arg("-D")
        .arg(data)
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
        .arg("--pwfile")
        .arg(&file);
    succeeds("initdb", &mut command)?;
    cmd!(sh, "rm {file}").quiet().run()?;
    Ok(())
}

fn succeeds(name: &str, command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{name}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Starts a server on what is in `data`, and waits until it answers.
fn serve(bin: &Path, directory: &Directory, data: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = directory.account.command(&bin.join("postgres"));
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    let mut process = Process::start("PostgreSQL", command, &data.with_extension("log"))?;
    // It listens before it is ready, and says here when it is.
    let status = data.join("postmaster.pid");
    process.wait_until(|| {
        let status = fs::read_to_string(&status)?;
        let last = status.lines().last().unwrap_or_default().trim();
        anyhow::ensure!(last == "ready", "it is {last:?}");
        Ok(())
    })?;
    Ok((process, port))
}

/// Other users of the machine can reach the port.
fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
