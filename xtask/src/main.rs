//! The project's own commands: `cargo xtask --help` lists them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool says what it does, and what went wrong"
)]

mod advisories;
mod apt;
mod bench;
mod browser;
mod built;
mod ci;
mod counts;
mod docs;
mod example;
mod flags;
mod interop;
mod lint;
mod metadata;
mod minimal;
mod msrv;
mod npm;
mod process;
mod program;
mod progress;
mod release;
mod scenarios;
mod semver;
mod servers;
mod setup;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use xshell::Shell;

use crate::{
    flags::{Xtask, XtaskCmd},
    program::Missing,
};

fn main() -> ExitCode {
    if docs::is_rustdoc() {
        return docs::as_rustdoc();
    }
    match run(Xtask::from_env_or_exit()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Only the message: a reader doesn't need to know where in xtask the error arose.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Xtask) -> anyhow::Result<()> {
    let sh = Shell::new()?;
    sh.change_dir(metadata::workspace_root());

    match flags.subcommand {
        XtaskCmd::Setup(flags) => setup::run(&sh, flags.command),
        XtaskCmd::Test(flags) => test::run(&sh, &flags.args),
        XtaskCmd::Servers(_) => servers::run(&sh),
        XtaskCmd::Demo(_) => scenarios::demo(&sh),
        XtaskCmd::Conformance(flags) => scenarios::conformance(&sh, flags.filter.as_deref()),
        XtaskCmd::Interop(_) => interop::run(&sh, Missing::Reported),
        XtaskCmd::Browser(flags) => browser::run(&sh, flags.filter.as_deref()),
        XtaskCmd::Bench(flags) if flags.check || flags.update => {
            anyhow::ensure!(flags.check, "--update needs --check");
            anyhow::ensure!(
                flags.part.is_empty(),
                "--check counts all operations: name no part"
            );
            counts::check(&sh, flags.update)
        }
        XtaskCmd::Bench(flags) => bench::run(&sh, &flags.part, flags.quick),
        XtaskCmd::Lint(_) => lint::run(&sh),
        XtaskCmd::Advisories(_) => advisories::run(&sh),
        XtaskCmd::Semver(flags) => semver::run(&sh, flags.baseline.as_deref()),
        XtaskCmd::Release(flags) => release::run(&sh, flags.dry_run),
        XtaskCmd::Docs(_) => docs::run(&sh),
        XtaskCmd::Minimal(_) => minimal::run(&sh),
        XtaskCmd::Msrv(_) => msrv::run(&sh),
        XtaskCmd::Tidy(_) => tidy::run(&sh),
        XtaskCmd::Ci(_) => ci::run(&sh),
    }
}
