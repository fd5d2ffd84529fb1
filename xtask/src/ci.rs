//! `cargo xtask ci`: runs everything, the fastest checks first.

use xshell::Shell;

use crate::{counts, lint, scenarios, setup, test};

/// The checks come before the tests, because they need no built test. `ci` installs the tools of
/// the checks before them.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    setup::install(sh)?;
    lint::run(sh)?;
    test::run(sh, &[])?;
    // After the tests: it uses their build of AWS-LC.
    counts::check(sh, false)?;
    scenarios::demo(sh)
}
