//! `cargo xtask advisories`: checks the dependencies for known vulnerabilities.

use std::path::Path;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{program::Missing, progress::step, tools};

const DATABASE: &str = "the database of RustSec on github.com";

/// Fetches the database and checks the dependencies against it. An old database lacks new
/// advisories, so the command fails without the network.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let deny = tools::CARGO_DENY.ready(sh, Missing::Reported)?;
    step("advisories", &format!("fetch {DATABASE}"));
    fetch(sh, &deny)?;
    step("advisories", "dependencies");
    cmd!(sh, "{deny} --log-level warn check advisories")
        .quiet()
        .run()
        .context("a dependency has an advisory: see above")
}

/// Fetches the newest version of the database.
pub(crate) fn fetch(sh: &Shell, deny: &Path) -> anyhow::Result<()> {
    let fetched = cmd!(sh, "{deny} --log-level error fetch db")
        .quiet()
        .ignore_status()
        .output()?;
    anyhow::ensure!(
        fetched.status.success(),
        "{DATABASE} cannot be fetched; is the network there?\n{}",
        String::from_utf8_lossy(&fetched.stderr).trim()
    );
    Ok(())
}
