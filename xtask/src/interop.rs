//! `cargo xtask interop`: what we issue, in other people's libraries, and what they issue, in ours.
//!
//! Neither side is a stand-in: keys are made by the command line tool, tokens are issued and
//! verified by an `Authority` and by the servers of the examples, and the libraries are the ones
//! that people use, in pinned versions.

mod clients;
mod install;
mod tokens;

use std::path::Path;

use xshell::{Shell, cmd};

use crate::{built, program::Missing, progress::step};

pub(crate) use self::install::{interpreters, ready};

/// Has each library do its part, and fails at the first thing that went wrong.
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
