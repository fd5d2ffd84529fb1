//! `cargo xtask tidy`: checks the rules of the architecture and of the prose.
//!
//! Each check is a function from the tracked files to [`Finding`]s. Its tests are a good input and
//! a bad one.

mod adapters;
mod code;
mod commands;
mod crates;
mod links;
mod markdown;
mod modules;
mod prose;
mod text;
mod tokens;

use std::fmt;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{metadata::Metadata, progress::step};

/// A file that git tracks.
#[derive(Debug)]
struct File {
    /// The path from the root, with forward slashes.
    path: String,
    text: String,
}

/// One violation of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The file or the crate, and the position in it.
    place: String,
    /// The fault.
    what: String,
    /// The rule, and its reason.
    invariant: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.invariant)
    }
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this file is code that users run. It may contain unit tests.
    fn is_crate_source(&self) -> bool {
        let mut parts = self.path.split('/');
        self.is_rust() && parts.next() == Some("crates") && parts.nth(1) == Some("src")
    }

    /// The finding at the byte `at`.
    fn finding(&self, at: usize, what: impl Into<String>, invariant: &'static str) -> Finding {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        Finding {
            place: format!("{}:{line}", self.path),
            what: what.into(),
            invariant,
        }
    }
}

/// Runs every check, and fails if any check has findings.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let metadata = Metadata::read(sh)?;
    let paths = cmd!(sh, "git ls-files -z").quiet().read()?;
    let paths: Vec<&str> = paths.split('\0').filter(|path| !path.is_empty()).collect();
    let files = texts(sh, &paths)?;
    let tree = links::Tree::new(paths, &files);
    step("tidy", &format!("{} tracked files", files.len()));

    let mut findings: Vec<Finding> = [crates::check, code::check, modules::check, text::check]
        .iter()
        .flat_map(|check| check(&metadata, &files))
        .collect();
    findings.extend(files.iter().flat_map(prose::check));
    findings.extend(files.iter().flat_map(adapters::check));
    findings.extend(files.iter().flat_map(|file| links::check(file, &tree)));
    findings.extend(
        files
            .iter()
            .flat_map(|file| commands::check(file, &metadata)),
    );
    findings.extend(crates::sizes(sh)?);
    for finding in &findings {
        println!("{finding}");
    }
    anyhow::ensure!(findings.is_empty(), "tidy: {} findings", findings.len());
    Ok(())
}

/// The tracked text files, as they are in the work tree.
fn texts(sh: &Shell, paths: &[&str]) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths {
        let absolute = sh.current_dir().join(path);
        // Deleted but not yet committed as such, or a link to a directory.
        if !absolute.is_file() {
            continue;
        }
        let bytes = std::fs::read(absolute).with_context(|| (*path).to_owned())?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            let path = (*path).to_owned();
            files.push(File { path, text });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod testing {
    use super::*;

    pub(super) fn file(path: &str, text: impl Into<String>) -> File {
        File {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    /// Asserts that `check` has these findings for the bad file, and none for the good one.
    #[track_caller]
    pub(super) fn check(
        check: fn(&File) -> Vec<Finding>,
        good: &File,
        bad: &File,
        places: &[&str],
    ) {
        assert_eq!(check(good), [], "good, but refused");
        let found: Vec<String> = check(bad)
            .into_iter()
            .map(|finding| finding.place)
            .collect();
        assert_eq!(found, places);
    }
}

#[cfg(test)]
mod tests {
    use super::testing::file;

    #[test]
    fn a_finding_names_its_file_line_and_rule() {
        let file = file("a.rs", "one\ntwo\n");
        let finding = file.finding(4, "a two", "There is no two: it is too many.");
        assert_eq!(
            finding.to_string(),
            "a.rs:2: a two\n    There is no two: it is too many."
        );
    }

    #[test]
    fn only_what_is_under_src_of_a_crate_is_its_source() {
        assert!(file("crates/gatepass/src/wire/head.rs", "").is_crate_source());
        assert!(!file("crates/gatepass/tests/head.rs", "").is_crate_source());
        assert!(!file("crates/gatepass/src/notes.md", "").is_crate_source());
        assert!(!file("xtask/src/main.rs", "").is_crate_source());
    }
}
