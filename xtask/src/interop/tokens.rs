//! Exchanges tokens and key sets of every algorithm with the other libraries.

use std::path::Path;

use xshell::{Shell, cmd};

use super::{install::Installed, keygen};
use crate::{built, progress::step};

/// The arguments that make the key files of our side.
const KEYS: &[&[&str]] = &[
    &["secret", "--out", "secret"],
    &["ed25519"],
    &["es256"],
    &["es384"],
    &["rsa", "--bits", "2048"],
];

const SCRIPTS: &[&str] = &["pyjwt.py", "jose.mjs"];

/// Exchanges tokens with each library, and fails at the first token that a side reads wrongly.
pub(super) fn run(sh: &Shell, installed: &Installed, tool: &Path) -> anyhow::Result<()> {
    let ours = built::executable(sh, "gatepass-tests", "interop")?;
    // Removed when dropped.
    let directory = sh.create_temp_dir()?;
    let (keys, strangers) = (
        directory.path().join("keys"),
        directory.path().join("strangers"),
    );
    for keys in [&keys, &strangers] {
        sh.create_dir(keys)?;
        let _there = sh.push_dir(keys);
        for kind in KEYS.iter().copied() {
            keygen(sh, tool, kind)?;
        }
    }
    for script in SCRIPTS {
        let (program, script) = installed.script(script);
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
