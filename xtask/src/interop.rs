//! `cargo xtask interop`: other libraries read our tokens, and we read theirs.
//!
//! Both sides are real. The command line tool makes the keys. An `Authority` and the servers of the
//! examples issue and verify the tokens. The other libraries are in pinned versions.

mod clients;
mod install;
mod tokens;

use std::path::Path;

use xshell::{Shell, cmd};

use crate::{built, program::Missing, progress::step};

pub(crate) use self::install::{interpreters, ready};

/// Runs each library's part, and fails at the first mistake.
pub(crate) fn run(sh: &Shell, missing: Missing) -> anyhow::Result<()> {
    let installed = ready(sh, missing)?;
    step("interop", "build our side");
    let tool = built::executable(sh, "gatepass-cli", "gatepass")?;
    tokens::run(sh, &installed, &tool)?;
    clients::run(sh, &installed, &tool)
}

/// Makes a key with the command line tool, in the directory of the shell.
fn keygen(sh: &Shell, tool: &Path, kind: &[&str]) -> anyhow::Result<()> {
    let output = cmd!(sh, "{tool} keygen {kind...}")
        .quiet()
        .ignore_status()
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "gatepass keygen {}: {}",
        kind.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
