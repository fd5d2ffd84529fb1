//! `cargo xtask advisories`: checks the dependencies for known vulnerabilities.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::{program::Missing, progress::step, tools};

/// The manifest beside each `Cargo.lock`.
const MANIFESTS: &[&str] = &["Cargo.toml", "benches/peers/Cargo.toml"];

const DATABASE: &str = "the database of RustSec on github.com";

/// Fetches the database and checks the dependencies against it. An old database lacks new
/// advisories, so the command fails without the network.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let deny = tools::CARGO_DENY.ready(sh, Missing::Reported)?;
    step("advisories", &format!("fetch {DATABASE}"));
    fetch(sh, &deny)?;
    let mut failed = Vec::new();
    for manifest in MANIFESTS {
        step("advisories", &format!("dependencies of {manifest}"));
        let options = ["--config", "deny.toml", "--log-level", "warn"];
        let checked = cmd!(
            sh,
            "{deny} --manifest-path {manifest} {options...} check advisories"
        );
        if checked.quiet().run().is_err() {
            failed.push(*manifest);
        }
    }
    anyhow::ensure!(
        failed.is_empty(),
        "a dependency of {} has an advisory, or can't be checked: see above",
        failed.join(" and of ")
    );
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata;

    #[test]
    fn every_lock_file_of_cargo_is_checked() {
        let sh = Shell::new().unwrap();
        sh.change_dir(metadata::workspace_root());
        let tracked = cmd!(sh, "git ls-files Cargo.lock */Cargo.lock");
        let tracked = tracked.quiet().read().unwrap();
        let tracked = tracked.lines().map(|lock| lock.replace(".lock", ".toml"));
        assert_eq!(Vec::from_iter(tracked), MANIFESTS);
    }
}
