//! Builds the program that is counted.

use std::{collections::BTreeSet, path::PathBuf};

use xshell::{Shell, cmd};

use crate::built;

const PACKAGE: &str = "gatepass-instructions";

/// The crate that takes by far the longest to compile, because of its C code.
const AWS_LC: &str = "aws-lc-sys";

/// The settings of a release build. With one codegen unit for each crate, a change of one function
/// affects the inlining of others least.
const AS_RELEASED: &[&str] = &[
    "opt-level=3",
    "codegen-units=1",
    "debug-assertions=false",
    "overflow-checks=false",
];

/// Builds all Rust code as in a release build, and takes AWS-LC from the build of the tests.
///
/// A release build of AWS-LC would take longer than the rest of the check. The arithmetic of AWS-LC
/// is in assembly, so its count depends little on the build of its C code.
pub(super) fn build(sh: &Shell) -> anyhow::Result<PathBuf> {
    let runs = packages(
        sh,
        &["--package", PACKAGE, "--edges", "normal,no-proc-macro"],
    )?;
    // With other settings for one of these, cargo would compile AWS-LC again.
    let shared = packages(sh, &["--package", AWS_LC, "--edges", "normal,build"])?;
    let mut settings = Vec::new();
    for package in runs.difference(&shared) {
        for setting in AS_RELEASED {
            settings.push("--config".to_owned());
            settings.push(format!("profile.dev.package.{package}.{setting}"));
        }
    }
    // An incremental build splits crates in another way.
    let _incremental = sh.push_env("CARGO_INCREMENTAL", "0");
    built::executable_with(sh, PACKAGE, PACKAGE, &settings)
}

/// The names of the packages in a tree of dependencies, including its root.
fn packages(sh: &Shell, selected: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let tree = cmd!(sh, "cargo tree --prefix none --no-dedupe {selected...}");
    let tree = tree.quiet().read()?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(ToOwned::to_owned)
        .collect())
}
