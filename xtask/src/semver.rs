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
        None => match last_release(sh)? {
            Some(tag) => tag,
            None => {
                anyhow::ensure!(!is_shallow(sh)?, "{SHALLOW}");
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
    let Some(release) = last_release(sh)? else {
        if is_shallow(sh)? {
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
///
/// # Errors
///
/// An error if git fails, for example since another user owns the work tree. Without it, every
/// change would pass as one before the first release.
pub(crate) fn last_release(sh: &Shell) -> anyhow::Result<Option<String>> {
    // A shallow clone has no HEAD^ to begin from, so this asks for the commits in between. Without
    // the setting, a `v0.2.0-rc.1` is newer than `v0.2.0`.
    let order = ["-c", "versionsort.suffix=-"];
    let before = ["--merged", "HEAD", "--no-contains", "HEAD"];
    let tags = cmd!(
        sh,
        "git {order...} tag --list v[0-9]* --sort=-version:refname {before...}"
    );
    let tags = tags.quiet().read();
    let tags = tags.context("git can't say which release was the last one")?;
    Ok(tags.lines().next().map(str::to_owned))
}

const SHALLOW: &str =
    "this clone is shallow, and may lack the last release: run `git fetch --unshallow --tags`";

fn is_shallow(sh: &Shell) -> anyhow::Result<bool> {
    let asked = cmd!(sh, "git rev-parse --is-shallow-repository");
    Ok(asked.quiet().read()? == "true")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell in a new repository with one commit.
    fn repository() -> (tempfile::TempDir, Shell) {
        let directory = tempfile::tempdir().unwrap();
        let sh = Shell::new().unwrap();
        sh.change_dir(directory.path());
        sh.set_var("GIT_CONFIG_GLOBAL", "/dev/null");
        sh.set_var("GIT_CONFIG_SYSTEM", "/dev/null");
        cmd!(sh, "git init --quiet").quiet().run().unwrap();
        commit(&sh);
        (directory, sh)
    }

    fn commit(sh: &Shell) {
        let author = ["-c", "user.name=a", "-c", "user.email=a@a.example"];
        let commit = cmd!(sh, "git {author...} commit --quiet --allow-empty -m a");
        commit.quiet().run().unwrap();
    }

    fn tag(sh: &Shell, name: &str) {
        cmd!(sh, "git tag {name}").quiet().run().unwrap();
    }

    #[test]
    fn the_last_release_is_the_newest_tag_before_this_commit() {
        let (_directory, sh) = repository();
        let last = || last_release(&sh).unwrap();
        assert_eq!(last(), None);
        tag(&sh, "v0.1.0");
        assert_eq!(last(), None, "the tag of the release that is being checked");
        commit(&sh);
        tag(&sh, "vendored");
        assert_eq!(last().unwrap(), "v0.1.0");
        for name in ["v0.2.0-rc.1", "v0.2.0", "v0.10.0-rc.1", "v0.10.0"] {
            tag(&sh, name);
            assert_eq!(last().unwrap(), "v0.1.0");
        }
        commit(&sh);
        assert_eq!(last().unwrap(), "v0.10.0");
        cmd!(sh, "git checkout --quiet --detach v0.1.0")
            .quiet()
            .run()
            .unwrap();
        commit(&sh);
        assert_eq!(last().unwrap(), "v0.1.0", "0.10.0 is on another branch");
    }

    #[test]
    fn a_shallow_clone_is_no_failure_of_git() {
        let (directory, sh) = repository();
        tag(&sh, "v0.1.0");
        commit(&sh);
        assert!(!is_shallow(&sh).unwrap());
        let (from, to) = (directory.path(), tempfile::tempdir().unwrap());
        let to = to.path();
        let clone = cmd!(sh, "git clone --quiet --depth 1 file://{from} {to}");
        clone.quiet().run().unwrap();
        sh.change_dir(to);
        assert_eq!(last_release(&sh).unwrap(), None);
        assert!(is_shallow(&sh).unwrap());
    }

    #[test]
    fn a_git_that_fails_is_an_error_and_not_a_missing_release() {
        let (_directory, sh) = repository();
        sh.set_var("GIT_DIR", "/nonexistent");
        assert!(last_release(&sh).is_err());
        assert!(is_shallow(&sh).is_err());
    }
}
