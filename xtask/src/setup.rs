//! `cargo xtask setup`: what the other commands need.

use xshell::Shell;

use crate::{
    browser, counts, interop,
    program::{Missing, answers},
    progress::step,
    semver, servers, tools,
};

/// The programs that must be there, how to ask for each, and how to get it.
const NEEDED: &[(&str, &[&str], &str)] = &[
    (
        "rustfmt",
        &["cargo", "fmt", "--version"],
        "run `rustup component add rustfmt`",
    ),
    (
        "clippy",
        &["cargo", "clippy", "--version"],
        "run `rustup component add clippy`",
    ),
    (
        "git",
        &["git", "--version"],
        "install it, on Debian with `apt-get install git`",
    ),
];

/// Checks, and installs what the project needs of its own.
pub(crate) fn install(sh: &Shell) -> anyhow::Result<()> {
    run(sh)?;
    interop::ready(sh, Missing::Installed)?;
    servers::ready(sh, Missing::Installed)?;
    browser::ready(sh, Missing::Installed)?;
    // The counts on record are of such a machine, and valgrind runs on few others.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        counts::ready(sh, Missing::Installed)?;
    }
    for tool in [
        tools::TYPOS,
        tools::CARGO_HACK,
        tools::CARGO_DENY,
        tools::CARGO_SHEAR,
    ] {
        tool.ready(sh, Missing::Installed)?;
    }
    // It takes longest to compile, and has nothing to do before that.
    if semver::last_release(sh)?.is_some() {
        tools::CARGO_SEMVER_CHECKS.ready(sh, Missing::Installed)?;
    }
    Ok(())
}

/// Fails with one line for each thing that is missing.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    step("setup", "rustfmt, clippy, git");
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(_, ask, _)| !answers(sh, ask))
        .map(|(name, _, how)| format!("{name} is missing: {how}"))
        .collect();
    anyhow::ensure!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}
