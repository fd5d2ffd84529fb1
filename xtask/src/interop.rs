//! `cargo xtask interop`: what we issue, in other people's libraries, and what they issue, in ours.
//!
//! Neither side is a stand-in: keys are made by the command line tool, tokens are issued and verified
//! by an `Authority`, and the libraries are the ones that people use, in pinned versions.

mod install;

use std::path::Path;

use xshell::{Shell, cmd};

use crate::{built, progress::step};

pub(crate) use self::install::install;

/// What a key directory of our side has in it, by the arguments that make it.
const KEYS: &[&[&str]] = &[
    &["secret", "--out", "secret"],
    &["ed25519"],
    &["es256"],
    &["es384"],
    &["rsa", "--bits", "2048"],
];

/// Exchanges tokens with each library, and fails at the first one that was read wrongly.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let installed = install(sh)?;

    step("interop", "build our side");
    let tool = built::executable(sh, "gatepass-cli", "gatepass")?;
    let ours = built::executable(sh, "gatepass-tests", "interop")?;

    // Removed when dropped.
    let directory = sh.create_temp_dir()?;
    let (keys, strangers) = (
        directory.path().join("keys"),
        directory.path().join("strangers"),
    );
    for keys in [&keys, &strangers] {
        make_keys(sh, &tool, keys)?;
    }
    for (program, script) in [
        (&installed.python, "tests/interop/pyjwt.py".into()),
        (&installed.node, installed.jose),
    ] {
        let exchanged = cmd!(sh, "{ours} {keys} {strangers} {program} {script}");
        let output = exchanged.quiet().ignore_status().output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.trim_end();
        anyhow::ensure!(
            output.status.success(),
            "interop: {}{}",
            said.strip_prefix("error: ").unwrap_or(said),
            String::from_utf8_lossy(&output.stderr)
        );
        step("interop", said);
    }
    Ok(())
}

fn make_keys(sh: &Shell, tool: &Path, directory: &Path) -> anyhow::Result<()> {
    sh.create_dir(directory)?;
    let _there = sh.push_dir(directory);
    for kind in KEYS.iter().copied() {
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
    }
    Ok(())
}
