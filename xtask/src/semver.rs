//! `cargo xtask semver`: finds changes to the API of the published crates that need another
//! version.

use std::path::Path;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    metadata::{Metadata, Package},
    program::{Missing, answers},
    progress::step,
    tools,
};

/// Compares with `baseline`, or with the last release.
pub(crate) fn run(sh: &Shell, baseline: Option<&str>) -> anyhow::Result<()> {
    let metadata = Metadata::read(sh)?;
    let baseline = match baseline {
        Some(given) => {
            let commit = format!("{given}^{{commit}}");
            let known = answers(sh, &["git", "rev-parse", "--quiet", "--verify", &commit]);
            anyhow::ensure!(known, "git knows no revision {given}");
            given.to_owned()
        }
        None => match last_release(sh) {
            Some(tag) => tag,
            None => {
                anyhow::ensure!(!is_shallow(sh), "{SHALLOW}");
                return no_release("semver", &metadata);
            }
        },
    };
    let checks = tools::CARGO_SEMVER_CHECKS.ready(sh, Missing::Reported)?;
    compare(sh, &checks, "semver", &baseline, &metadata)
}

/// As [`run`], for `lint`. Says NOT CHECKED if the tool is missing.
pub(crate) fn check(sh: &Shell, metadata: &Metadata) -> anyhow::Result<()> {
    let what = "changes to the published crates' API";
    let Some(release) = last_release(sh) else {
        if is_shallow(sh) {
            step("lint", &format!("NOT CHECKED: {what}: {SHALLOW}"));
            return Ok(());
        }
        return no_release("lint", metadata);
    };
    match tools::CARGO_SEMVER_CHECKS.installed_for(sh, what)? {
        Some(checks) => compare(sh, &checks, "lint", &release, metadata),
        None => Ok(()),
    }
}

/// The tag of the last release before this commit, such as `v0.1.0`. A tag of this commit is that
/// of the release that is being checked.
pub(crate) fn last_release(sh: &Shell) -> Option<String> {
    let described = cmd!(sh, "git describe --tags --abbrev=0 --match v[0-9]* HEAD^");
    described.quiet().ignore_stderr().read().ok()
}

const SHALLOW: &str =
    "this clone is shallow, and may lack the last release: run `git fetch --unshallow --tags`";

fn is_shallow(sh: &Shell) -> bool {
    let asked = cmd!(sh, "git rev-parse --is-shallow-repository");
    asked
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|answer| answer == "true")
}

fn no_release(command: &str, metadata: &Metadata) -> anyhow::Result<()> {
    let version = metadata
        .published()
        .next()
        .map_or("", |package| &package.version);
    step(
        command,
        &format!(
            "NOT CHECKED: changes to the published crates' API, since there is no release yet. The \
             tag v{version} of the first one will be the baseline; `cargo xtask semver --baseline REV` \
             compares with any other commit"
        ),
    );
    Ok(())
}

fn compare(
    sh: &Shell,
    checks: &Path,
    command: &str,
    baseline: &str,
    metadata: &Metadata,
) -> anyhow::Result<()> {
    step(
        command,
        &format!("changes to the published crates' API since {baseline}"),
    );
    // A program has no API.
    let libraries = metadata.published().filter(|one| Package::has_library(one));
    let selected = libraries.flat_map(|one| ["--package", &one.name]);
    cmd!(
        sh,
        "{checks} semver-checks {selected...} --baseline-rev {baseline}"
    )
    .quiet()
    .run()
    .context("the API needs another version: see above")
}
