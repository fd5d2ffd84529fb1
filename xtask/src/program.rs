//! Programs that a command needs.

use xshell::{Shell, cmd};

/// How a command treats a program or library that it needs, and that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It says what it installs, and does so. For `setup` and `test` alone.
    Installed,
    /// It fails, and says how to get it.
    Reported,
}

/// Whether `command` is there and succeeds.
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

/// cargo-nextest is a comfort: without it `cargo test` runs the same tests.
pub(crate) fn has_nextest(sh: &Shell) -> bool {
    answers(sh, &["cargo", "nextest", "--version"])
}

/// Whether this is a machine that runs it unattended.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
