//! Cargo's subcommands of other people, in pinned versions, below the target directory: if you have
//! other versions, you keep them.

use std::path::PathBuf;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{metadata, program::Missing, progress::step};

/// A subcommand, by the name of its crate, which is also the program's.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    /// The arguments that make the program say its version.
    ask: &'static [&'static str],
}

/// Checks sets of features.
pub(crate) const CARGO_HACK: Tool = Tool {
    name: "cargo-hack",
    version: "0.6.46",
    ask: &["hack", "--version"],
};

/// Checks advisories, licences, duplicates and sources of all dependencies.
pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    ask: &["--version"],
};

impl Tool {
    /// The program, if it is there in the right version.
    pub(crate) fn installed(&self, sh: &Shell) -> anyhow::Result<Option<PathBuf>> {
        let program = directory(sh)?.join("bin").join(self.name);
        let ask = self.ask;
        let answer = cmd!(sh, "{program} {ask...}")
            .quiet()
            .ignore_stderr()
            .read();
        let there = answer.is_ok_and(|answer| self.is_this(&answer));
        Ok(there.then_some(program))
    }

    /// The program, which is compiled first if it is not there and may be.
    pub(crate) fn ready(&self, sh: &Shell, missing: Missing) -> anyhow::Result<PathBuf> {
        if let Some(program) = self.installed(sh)? {
            return Ok(program);
        }
        let (name, root) = (self.name, directory(sh)?);
        let named = format!("{name}@{}", self.version);
        anyhow::ensure!(
            missing == Missing::Installed,
            "{named} is missing: run `cargo xtask setup`, which compiles it below {}",
            root.display()
        );
        let shown = root.display();
        step(
            "setup",
            &format!("install from crates.io, into {shown}: {named}, which is compiled once"),
        );
        cmd!(sh, "cargo install --quiet --locked --root {root} {named}")
            .quiet()
            .run()
            .with_context(|| {
                format!("cannot install {named} from crates.io; is the network there?")
            })?;
        let installed = self.installed(sh)?;
        installed.with_context(|| format!("{named} is installed, and does not run"))
    }

    fn is_this(&self, answer: &str) -> bool {
        answer.split_whitespace().eq([self.name, self.version])
    }
}

fn directory(sh: &Shell) -> anyhow::Result<PathBuf> {
    Ok(metadata::target_directory(sh)?.join("tools"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_another_tool() {
        assert!(CARGO_DENY.is_this(&format!("cargo-deny {}\n", CARGO_DENY.version)));
        for answer in ["cargo-deny 0.1.0", "cargo-hack 0.20.2", "", "cargo-deny"] {
            assert!(!CARGO_DENY.is_this(answer), "{answer}");
        }
    }
}
