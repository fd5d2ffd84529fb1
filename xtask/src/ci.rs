//! `cargo xtask ci`: everything, what fails fastest first.

use xshell::Shell;

use crate::{counts, lint, scenarios, setup, test};

/// The checks come before the tests, since they need no built test. The tools that the checks need
/// are installed before them.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    setup::install(sh)?;
    lint::run(sh)?;
    test::run(sh, &[])?;
    // After the tests, whose build of AWS-LC it uses.
    counts::check(sh, false)?;
    scenarios::demo(sh)
}
