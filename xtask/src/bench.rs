//! `cargo xtask bench`: measures the library and the libraries that it is compared with.

use xshell::{Shell, cmd};

use crate::progress::Steps;

/// Measures these parts, or all of them. The program that measures says which part it is at.
pub(crate) fn run(sh: &Shell, parts: &[String], quick: bool) -> anyhow::Result<()> {
    let mut steps = Steps::new("bench", 2);
    steps.next("build with optimisation");
    let program = [
        "--quiet",
        "--profile",
        "bench",
        "--package",
        "gatepass-benches",
    ];
    cmd!(sh, "cargo build {program...}").quiet().run()?;
    steps.next("measure");
    let quick = quick.then_some("--quick");
    cmd!(sh, "cargo run {program...} -- {parts...} {quick...}")
        .quiet()
        .run()?;
    steps.done();
    Ok(())
}
