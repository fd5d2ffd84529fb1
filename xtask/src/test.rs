//! `cargo xtask test`: every test there is, with one command.

use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::{interop, program::Missing, progress::step, servers::Servers, setup};

/// Runs the doc tests, the core's tests with its other backend, other libraries, then all others,
/// so that the runner's summary is what ends the output.
pub(crate) fn run(sh: &Shell, args: &[OsString]) -> anyhow::Result<()> {
    setup::run(sh)?;

    if args.is_empty() {
        step("test", "doc tests");
        cmd!(sh, "cargo test --workspace --doc").quiet().run()?;
        step("test", "the core with the other backend");
        cmd!(
            sh,
            "cargo test --quiet --package gatepass --no-default-features --features rust_crypto --tests"
        )
        .quiet()
        .run()?;
        interop::run(sh, Missing::Installed)?;
    } else {
        step("test", "no doc tests: the arguments are the test runner's");
    }

    let servers = Servers::start(sh, Missing::Installed)?;
    let environment = servers.environment();
    if setup::has_nextest(sh) {
        step("test", "all others, with cargo-nextest");
        let profile = if ci() { "ci" } else { "default" };
        cmd!(
            sh,
            "cargo nextest run --workspace --profile {profile} {args...}"
        )
        .envs(environment)
        .quiet()
        .run()?;
    } else {
        step("test", "all others, with cargo test");
        // Without this, one broken crate hides what is broken in the others.
        let go_on: &[&str] = if ci() { &["--no-fail-fast"] } else { &[] };
        cmd!(
            sh,
            "cargo test --workspace --all-targets {go_on...} {args...}"
        )
        .envs(environment)
        .quiet()
        .run()?;
    }
    Ok(())
}

/// Whether this is a machine that runs it unattended.
fn ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
