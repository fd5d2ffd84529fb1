//! The programs that servers are, and what each must do.

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
    /// Nothing that tests do to it: the fastest.
    None,
    /// A crash, and as far as its settings go, a loss of power: what is acknowledged is written
    /// before.
    Crash,
    /// A crash but for the last second: Redis's `appendfsync everysec`. PostgreSQL's
    /// `synchronous_commit = off`.
    AllButTheLastSecond,
}

/// A program that must be there.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "for the tests of this workspace alone"
)]
pub struct Requirement {
    /// Its name, for those who have to install it.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// Whether it is there.
    pub is_there: fn() -> bool,
}

impl Requirement {
    /// That it is missing, and how to get it.
    #[must_use]
    pub fn missing(&self) -> anyhow::Error {
        let Self { name, package, .. } = self;
        anyhow::anyhow!(
            "{name} is missing: install it, on Debian with `apt-get install {package}`, or have \
             `cargo xtask setup` do so where you are root"
        )
    }
}

/// Whether `command` is there and succeeds.
pub(crate) fn answers(program: impl AsRef<std::ffi::OsStr>, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs `command` to its end and returns what it printed.
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

/// Other users of the machine can reach the port.
pub(crate) fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open(Path::new("/dev/urandom"))?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
