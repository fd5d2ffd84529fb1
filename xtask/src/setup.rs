//! `cargo xtask setup`: installs or names what the other commands need.

use xshell::Shell;

use crate::{
    browser, counts, interop,
    program::{Missing, answers},
    progress::{Steps, step},
    semver, servers,
    tools::{self, ToolsOf},
};

/// The required programs, each with a command that tests for it, and advice on how to install it.
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

/// Installs what all commands need that have no tools of their own, or only the tools of one
/// command.
pub(crate) fn run(sh: &Shell, only: Option<ToolsOf>) -> anyhow::Result<()> {
    let Some(only) = only else {
        return install(sh);
    };
    let mut steps = Steps::new("setup", only.tools.len());
    for tool in only.tools {
        steps.next(tool.name());
        tool.ready(sh, Missing::Installed)?;
    }
    steps.done();
    Ok(())
}

/// Checks the required programs, and installs what `test`, `lint` and the like need.
pub(crate) fn install(sh: &Shell) -> anyhow::Result<()> {
    // The counts on record are of such a machine, and valgrind runs on few others.
    let can_count = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let mut tools = tools::OF_LINT.to_vec();
    check(sh)?;
    // It takes longest to compile, and `lint` has no use for it before that. An archive of the
    // source has no releases either.
    if semver::last_release(sh).is_ok_and(|release| release.is_some()) {
        tools.push(&tools::CARGO_SEMVER_CHECKS);
    }

    let mut steps = Steps::new("setup", 3 + usize::from(can_count) + tools.len());
    steps.next("Python, Node and the libraries of `interop`");
    interop::ready(sh, Missing::Installed)?;
    steps.next("PostgreSQL, PgBouncer and Redis");
    servers::ready(sh, Missing::Installed)?;
    steps.next("Chromium and the libraries of `browser`");
    browser::ready(sh, Missing::Installed)?;
    if can_count {
        steps.next("valgrind");
        counts::ready(sh, Missing::Installed)?;
    }
    for tool in tools {
        steps.next(tool.name());
        tool.ready(sh, Missing::Installed)?;
    }
    steps.done();
    Ok(())
}

const PROGRAMS: &str = "rustfmt, clippy, git";

/// Checks the required programs alone, for the other commands.
pub(crate) fn programs(sh: &Shell) -> anyhow::Result<()> {
    step("setup", PROGRAMS);
    check(sh)
}

/// Fails with one line for each thing that is missing.
fn check(sh: &Shell) -> anyhow::Result<()> {
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(_, ask, _)| !answers(sh, ask))
        .map(|(name, _, how)| format!("{name} is missing: {how}"))
        .collect();
    anyhow::ensure!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}
