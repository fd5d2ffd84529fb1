//! `cargo xtask conformance`: every scenario in every framework, and their replies compared.

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::progress::step;

/// Plays the scenarios that have `filter` in their names, or all, and fails unless all that was
/// answered is the same.
pub(crate) fn run(sh: &Shell, filter: Option<&str>) -> anyhow::Result<()> {
    step("conformance", "build the examples' programs");
    // All of them, since the one that plays starts the others.
    cmd!(sh, "cargo build --quiet --package gatepass-tests --bins")
        .quiet()
        .run()?;

    let run = [
        "run",
        "--quiet",
        "--package",
        "gatepass-tests",
        "--bin",
        "conformance",
    ];
    let filter = filter.as_slice();
    cmd!(sh, "cargo {run...} -- {filter...}")
        .quiet()
        .run()
        .context("the frameworks differ, or nothing was compared: see above")
}
