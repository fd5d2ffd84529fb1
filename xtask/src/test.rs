//! `cargo xtask test`: runs every test.

use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::{
    browser, interop,
    program::{Missing, has_nextest, is_ci},
    progress::{Steps, step},
    servers::{self, Servers},
    setup,
};

/// Installs what the tests need, then runs the doc tests, the core's tests with its other backend,
/// other libraries, then all others, so that the runner's summary is what ends the output.
pub(crate) fn run(sh: &Shell, args: &[OsString]) -> anyhow::Result<()> {
    setup::programs(sh)?;
    // A recipe logs in at a provider that npm has.
    interop::ready(sh, Missing::Installed)?;
    let has_browser = has_browser(sh)?;
    servers::ready(sh, Missing::Installed)?;

    let before = if args.is_empty() { 4 } else { 0 };
    let mut steps = Steps::new("test", before + usize::from(has_browser) + 1);
    if args.is_empty() {
        steps.next("doc tests");
        cmd!(sh, "cargo test --workspace --doc").quiet().run()?;
        steps.next("the core with the other backend");
        cmd!(
            sh,
            "cargo test --quiet --package gatepass --no-default-features --features rust_crypto --tests"
        )
        .quiet()
        .run()?;
        steps.next("other people's libraries");
        interop::run(sh, Missing::Installed)?;
        steps.next("the JavaScript client in Node");
        client(sh)?;
    } else {
        step("test", "no doc tests: the arguments are the test runner's");
    }
    let excluded: &[&str] = if has_browser {
        steps.next("the pages' HTML");
        browser::validate(sh)?;
        &[]
    } else {
        &["--exclude", browser::PACKAGE]
    };

    let runner = if has_nextest(sh) {
        "cargo-nextest"
    } else {
        "cargo test"
    };
    steps.next(&format!("all others, with {runner}"));
    others(sh, args, excluded)?;
    if has_browser {
        browser::tell_of_pictures(sh)?;
    }
    steps.done();
    Ok(())
}

/// The tests that are neither doc tests nor scripts, with the servers that they need.
fn others(sh: &Shell, args: &[OsString], excluded: &[&str]) -> anyhow::Result<()> {
    let servers = Servers::start(sh, Missing::Installed)?;
    let environment = servers.environment();
    if has_nextest(sh) {
        let profile = if is_ci() { "ci" } else { "default" };
        cmd!(
            sh,
            "cargo nextest run --workspace {excluded...} --profile {profile} {args...}"
        )
        .envs(environment)
        .quiet()
        .run()?;
    } else {
        // Without this, one broken crate hides what is broken in the others.
        let go_on: &[&str] = if is_ci() { &["--no-fail-fast"] } else { &[] };
        cmd!(
            sh,
            "cargo test --workspace {excluded...} --all-targets {go_on...} {args...}"
        )
        .envs(environment)
        .quiet()
        .run()?;
    }
    Ok(())
}

/// Whether a browser is installed. If it can't be installed, says which tests are skipped. In
/// continuous integration, that is an error.
fn has_browser(sh: &Shell) -> anyhow::Result<bool> {
    match browser::ready(sh, Missing::Installed) {
        Ok(()) => Ok(true),
        Err(error) if is_ci() => Err(error),
        Err(error) => {
            step(
                "test",
                &format!("SKIPPED: the tests in a browser: {error:#}"),
            );
            Ok(false)
        }
    }
}

/// Runs the JavaScript client's own tests, against a server in the same process.
fn client(sh: &Shell) -> anyhow::Result<()> {
    let tested = cmd!(sh, "npm test --silent --prefix clients/js")
        .quiet()
        .ignore_status()
        .output()?;
    anyhow::ensure!(
        tested.status.success(),
        "{}{}",
        String::from_utf8_lossy(&tested.stdout),
        String::from_utf8_lossy(&tested.stderr)
    );
    Ok(())
}
