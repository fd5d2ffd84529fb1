//! `cargo xtask ci`: everything, what fails fastest first.

use xshell::Shell;

use crate::{demo, lint, test};

/// Checks first, since they need no built test; the demo last, since it waits for real time.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    lint::run(sh)?;
    test::run(sh, &[])?;
    demo::run(sh)
}
