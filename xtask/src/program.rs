//! The programs that a command needs.

use xshell::{Shell, cmd};

/// The reaction of a command if a program or library is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It installs the program, and says so. Only `setup`, `test` and `ci` do this.
    Installed,
    /// It fails, and says how to install the program.
    Reported,
}

/// Whether `command` is installed and succeeds.
pub(crate) fn answers(sh: &Shell, command: &[&str]) -> bool {
    let Some((program, args)) = command.split_first() else {
        return false;
    };
    cmd!(sh, "{program} {args...}")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok()
}

/// cargo-nextest is optional: without it, `cargo test` runs the same tests.
pub(crate) fn has_nextest(sh: &Shell) -> bool {
    answers(sh, &["cargo", "nextest", "--version"])
}

/// Whether this is a run of continuous integration, which no developer watches.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
