//! The programs of the servers, and the requirements of each.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;

/// The events that a server's data survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "for the tests of this workspace alone"
)]
pub enum Durability {
    /// None. This is the fastest.
    None,
    /// A crash, and a loss of power as far as the server's settings can ensure that. The server
    /// writes to disk before it acknowledges.
    Crash,
    /// A crash, except for the last second: Redis's `appendfsync everysec`, or PostgreSQL's
    /// `synchronous_commit = off`.
    AllButTheLastSecond,
}

/// A required program.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "for the tests of this workspace alone"
)]
pub struct Requirement {
    /// The name, for a person who must install it.
    pub name: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// Whether the program is installed.
    pub is_there: fn() -> bool,
}

impl Requirement {
    /// An error that says that the program is missing, and how to install it.
    #[must_use]
    pub fn missing(&self) -> anyhow::Error {
        let Self { name, package, .. } = self;
        anyhow::anyhow!(
            "{name} is missing: install it, on Debian with `apt-get install {package}`, or have \
             `cargo xtask setup` do so where you are root"
        )
    }
}

/// Whether `program` is installed and succeeds.
pub(crate) fn answers(program: impl AsRef<std::ffi::OsStr>, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs `command` to its end, and returns its output.
pub(crate) fn succeeds(name: &str, command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {name}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{name}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(printed)
}

/// A random password, because other users of the machine can reach the port.
pub(crate) fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open(Path::new("/dev/urandom"))?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
