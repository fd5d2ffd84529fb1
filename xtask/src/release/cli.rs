//! Builds the command line tool, and checks the list of dependencies that it carries.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::metadata;

const PACKAGE: &str = "gatepass-cli";
const PROGRAM: &str = "gatepass";

/// The list of packages that `cargo auditable` puts into a program.
#[derive(Deserialize)]
struct Listed {
    packages: Vec<ListedPackage>,
}

#[derive(Deserialize)]
struct ListedPackage {
    name: String,
    version: String,
    #[serde(default)]
    root: bool,
}

/// The name and the version of a package.
type Named<'a> = (&'a str, &'a str);

/// Builds the program as it is released. Fails if its list lacks a package.
pub(super) fn build(sh: &Shell, auditable: &Path) -> anyhow::Result<PathBuf> {
    cmd!(
        sh,
        "{auditable} auditable build --quiet --release --locked --package {PACKAGE}"
    )
    .quiet()
    .run()
    .with_context(|| format!("the program of {PACKAGE} can't be built"))?;
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let program = metadata::target_directory(sh)?.join("release").join(name);
    let listed = auditable_info::json_from_file(&program, auditable_info::Limits::default())
        .with_context(|| format!("{} has no list of its dependencies", program.display()))?;
    let listed: Listed = serde_json::from_str(&listed)?;
    let tree = cmd!(
        sh,
        "cargo tree --locked --package {PACKAGE} --edges normal --prefix none"
    );
    let findings = compare(&listed, &tree.quiet().read()?);
    anyhow::ensure!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(program)
}

/// The differences between a program's list and its dependencies, as `cargo tree` prints them.
///
/// The list may name more: packages that only the build needs, and optional dependencies that only
/// other members of the workspace turn on.
fn compare(listed: &Listed, tree: &str) -> Vec<String> {
    // The first line is the program's own.
    let own = tree.lines().next().and_then(named);
    let roots = listed.packages.iter().filter(|package| package.root);
    let roots = Vec::from_iter(roots.map(ListedPackage::named));
    let mut findings = Vec::new();
    if roots.as_slice() != own.as_slice() {
        findings.push(format!(
            "the program says that it is {}, and it is {}",
            shown(&roots),
            shown(own.as_slice())
        ));
    }
    let listed = BTreeSet::from_iter(listed.packages.iter().map(ListedPackage::named));
    let needed = BTreeSet::from_iter(tree.lines().filter_map(named));
    let missing = needed.difference(&listed);
    findings.extend(missing.map(|package| {
        let package = shown(&[*package]);
        format!("the list in the program of {PACKAGE} lacks {package}, which is in the program")
    }));
    findings
}

impl ListedPackage {
    fn named(&self) -> Named<'_> {
        (&self.name, &self.version)
    }
}

/// The package in a line such as `serde v1.0.228 (*)`.
fn named(line: &str) -> Option<Named<'_>> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn shown(packages: &[Named<'_>]) -> String {
    let packages = packages.iter();
    let packages = Vec::from_iter(packages.map(|(name, version)| format!("{name} {version}")));
    if packages.is_empty() {
        return "no package".to_owned();
    }
    packages.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TREE: &str = "gatepass-cli v0.2.0 (/w/crates/gatepass-cli)\n\
        gatepass v0.2.0 (/w/crates/gatepass)\nserde v1.0.9\nserde_derive v1.0.9 (proc-macro)\n\
        serde v1.0.9 (*)\n";

    fn listed(packages: &[(&str, &str)], root: &str) -> Listed {
        let packages = packages.iter();
        let packages = packages.map(
            |(name, version)| json!({"name": name, "version": version, "root": *name == root}),
        );
        serde_json::from_value(json!({"packages": Vec::from_iter(packages)})).unwrap()
    }

    const ALL: [(&str, &str); 5] = [
        ("gatepass-cli", "0.2.0"),
        ("gatepass", "0.2.0"),
        ("serde", "1.0.9"),
        ("serde_derive", "1.0.9"),
        ("cc", "1.2.0"),
    ];

    #[test]
    fn a_list_without_a_dependency_or_with_another_version_is_found() {
        assert_eq!(compare(&listed(&ALL, "gatepass-cli"), TREE), [""; 0]);
        let mut other = ALL;
        other[2].1 = "1.0.8";
        for short in [&ALL[..2], &other[..]] {
            let found = compare(&listed(short, "gatepass-cli"), TREE);
            let said = "the list in the program of gatepass-cli lacks serde 1.0.9, which";
            assert!(found.iter().any(|found| found.contains(said)), "{found:?}");
        }
    }

    #[test]
    fn a_list_of_another_program_is_found() {
        let said = "the program says that it is gatepass 0.2.0, and it is gatepass-cli 0.2.0";
        assert_eq!(compare(&listed(&ALL, "gatepass"), TREE), [said]);
        let said = "the program says that it is no package, and it is gatepass-cli 0.2.0";
        assert_eq!(compare(&listed(&ALL, ""), TREE), [said]);
        let said = "the program says that it is gatepass-cli 0.2.0, and it is no package";
        assert_eq!(compare(&listed(&ALL, "gatepass-cli"), ""), [said]);
    }
}
