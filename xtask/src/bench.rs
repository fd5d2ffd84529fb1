//! `cargo xtask bench`: what the library is compared with, measured.

use xshell::{Shell, cmd};

/// Measures these parts, or all of them.
pub(crate) fn run(sh: &Shell, parts: &[String], quick: bool) -> anyhow::Result<()> {
    let quick = quick.then_some("--quick");
    cmd!(
        sh,
        "cargo run --quiet --profile bench --package gatepass-benches -- {parts...} {quick...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
