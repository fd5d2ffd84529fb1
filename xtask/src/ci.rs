//! `cargo xtask ci`: everything, what fails fastest first.

use xshell::Shell;

use crate::{demo, lint, setup, test};

/// The checks come before the tests, since they need no built test, and the demo comes last, since
/// it waits for real time. The tool that the checks need is installed before them.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    setup::install(sh)?;
    lint::run(sh)?;
    test::run(sh, &[])?;
    demo::run(sh)
}
