//! `cargo xtask bench`: what the library is compared with, measured.

use xshell::{Shell, cmd};

/// Runs the benchmarks whose name contains `filter`, or all.
pub(crate) fn run(sh: &Shell, filter: Option<&str>) -> anyhow::Result<()> {
    cmd!(
        sh,
        "cargo run --quiet --profile bench --package gatepass-benches -- {filter...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
