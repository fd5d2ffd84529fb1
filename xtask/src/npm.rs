//! Installs npm libraries, in pinned versions, only below the target directory.

use std::{fs, path::Path};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{program::Missing, progress::step};

/// Makes sure that `directory` has the modules of the `package-lock.json` in `source`.
pub(crate) fn ready(
    sh: &Shell,
    directory: &Path,
    source: &str,
    missing: Missing,
) -> anyhow::Result<()> {
    let files = ["package.json", "package-lock.json"].map(|file| format!("{source}/{file}"));
    let [package, lock] = &files;
    once(sh, directory, &[package, lock], missing, || {
        let shown = directory.display();
        step(
            "setup",
            &format!("install from the npm registry, into {shown}: what {lock} lists"),
        );
        sh.create_dir(directory)?;
        for file in [package, lock] {
            sh.copy_file(file, directory)?;
        }
        cmd!(
            sh,
            "npm ci --prefix {directory} --ignore-scripts --no-audit --no-fund --loglevel error"
        )
        .quiet()
        .ignore_stdout()
        .run()
        .context("cannot install from the npm registry; is the network there?")
    })
}

/// Runs `install` unless it has already succeeded in `directory` with the same `files`.
pub(crate) fn once(
    sh: &Shell,
    directory: &Path,
    files: &[&str],
    missing: Missing,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut wanted = String::new();
    for file in files {
        wanted.push_str(&sh.read_file(file)?);
    }
    let done = directory.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    anyhow::ensure!(
        missing == Missing::Installed,
        "the libraries of {} are missing or have other versions: run `cargo xtask setup`",
        files.join(" and ")
    );
    // Remove another version, or an installation that failed halfway.
    sh.remove_path(directory)?;
    install()?;
    sh.write_file(&done, wanted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_installed_is_installed_again_only_when_its_list_changes() {
        let sh = Shell::new().unwrap();
        let root = sh.create_temp_dir().unwrap();
        let (list, directory) = (root.path().join("list"), root.path().join("installed"));
        let list = list.to_str().unwrap();
        let installs = |fails: bool| {
            let mut called = false;
            let done = once(&sh, &directory, &[list], Missing::Installed, || {
                called = true;
                anyhow::ensure!(!fails, "no network");
                Ok(())
            });
            assert_eq!(done.is_err(), fails);
            called
        };
        sh.write_file(list, "a==1").unwrap();
        assert!(installs(true));
        assert!(installs(false), "one that failed is no installation");
        assert!(!installs(false));
        sh.write_file(list, "a==2").unwrap();
        assert!(installs(false));
    }

    #[test]
    fn libraries_that_are_missing_are_reported_and_not_installed_unasked() {
        let sh = Shell::new().unwrap();
        let root = sh.create_temp_dir().unwrap();
        let (list, directory) = (root.path().join("list"), root.path().join("installed"));
        sh.write_file(&list, "a==1").unwrap();
        let files = [list.to_str().unwrap()];
        let unasked = || {
            once(&sh, &directory, &files, Missing::Reported, || {
                panic!("it installs")
            })
        };
        let error = unasked().unwrap_err().to_string();
        assert!(error.contains("cargo xtask setup"), "{error}");
        assert!(!directory.exists());

        once(&sh, &directory, &files, Missing::Installed, || Ok(())).unwrap();
        unasked().unwrap();
    }
}
