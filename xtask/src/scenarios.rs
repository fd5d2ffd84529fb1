//! `cargo xtask demo` and `cargo xtask conformance`: run programs of the crate `tests` that play
//! the scenarios.

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::progress::step;

/// Plays some scenarios against the axum example, and describes each exchange. Fails if an answer
/// was wrong.
pub(crate) fn demo(sh: &Shell) -> anyhow::Result<()> {
    let started = "example-axum-under-test";
    play(sh, "demo", &["--bin", "demo", "--bin", started], None)?
        .context("an exchange was not answered as it must be: see above")
}

/// Plays the scenarios whose names contain `filter`, or all, in every framework. Fails unless all
/// frameworks give the same replies.
pub(crate) fn conformance(sh: &Shell, filter: Option<&str>) -> anyhow::Result<()> {
    play(sh, "conformance", &["--bins"], filter)?
        .context("the frameworks differ, or nothing was compared: see above")
}

/// Builds a program and the examples that it starts, and runs it. The inner result is the
/// program's.
fn play(
    sh: &Shell,
    name: &str,
    built: &[&str],
    argument: Option<&str>,
) -> anyhow::Result<xshell::Result<()>> {
    step(name, "build the examples' programs");
    let package = ["--quiet", "--package", "gatepass-tests"];
    cmd!(sh, "cargo build {package...} {built...}")
        .quiet()
        .run()?;
    let argument = argument.as_slice();
    Ok(
        cmd!(sh, "cargo run {package...} --bin {name} -- {argument...}")
            .quiet()
            .run(),
    )
}
