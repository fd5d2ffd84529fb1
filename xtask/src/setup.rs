//! `cargo xtask setup`: what the other commands need.

use xshell::{Shell, cmd};

use crate::{interop, progress::step, servers, tools};

/// How a command treats a program or library that it needs, and that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It says what it installs, and does so. For `setup` and `test` alone.
    Installed,
    /// It fails, and says how to get it.
    Reported,
}

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
    tools::CARGO_HACK.ready(sh, Missing::Installed)?;
    tools::CARGO_DENY.ready(sh, Missing::Installed)?;
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

/// cargo-nextest is a comfort: without it `cargo test` runs the same tests.
pub(crate) fn has_nextest(sh: &Shell) -> bool {
    answers(sh, &["cargo", "nextest", "--version"])
}

/// Whether `command` is there and succeeds.
pub(crate) fn answers(sh: &Shell, command: &[&str]) -> bool {
    let Some((program, args)) = command.split_first() else {
        return false;
    };
    cmd!(sh, "{program} {args...}")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok()
}
