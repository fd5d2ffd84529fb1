//! `cargo xtask msrv`: checks the oldest Rust that each published crate promises.

use std::{collections::BTreeMap, fmt};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    metadata::{self, Metadata, OTHER_BACKEND, Package},
    program::is_ci,
    progress::step,
};

/// The page that tells users which Rust they need.
const PAGE: &str = "crates/gatepass/docs/versions.md";

/// Checks, and fails in continuous integration if a toolchain is missing, because developers don't
/// notice a skipped check there.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let missing = check(sh)?;
    anyhow::ensure!(
        missing.is_empty() || !is_ci(),
        "a toolchain is missing: run `rustup toolchain install --profile minimal {}`",
        missing.join(" ")
    );
    Ok(())
}

/// Compares the manifests with the page, and compiles with each of the named toolchains that is
/// installed. Returns the missing toolchains.
pub(crate) fn check(sh: &Shell) -> anyhow::Result<Vec<String>> {
    let metadata = Metadata::read(sh)?;
    let page = sh.read_file(PAGE)?;
    let mut findings = Vec::new();
    let mut crates = BTreeMap::<Version, Vec<&Package>>::new();
    for package in metadata.published() {
        let said = package.rust_version.as_deref().and_then(Version::parse);
        let said = said.with_context(|| format!("{} has no rust-version", package.name))?;
        crates.entry(said).or_default().push(package);
        findings.extend(demanding(package, said, &metadata.tree(package, &[])));
        findings.extend(untold(&package.name, said, &page));
    }
    anyhow::ensure!(findings.is_empty(), "{}", findings.join("\n"));

    let installed = cmd!(sh, "rustup toolchain list").quiet().ignore_stderr();
    let installed = installed.read().unwrap_or_default();
    let mut missing = Vec::new();
    for (version, packages) in crates {
        let names = Vec::from_iter(packages.iter().map(|package| package.name.as_str()));
        let which = format!("Rust {version}: {}", names.join(", "));
        let Some(toolchain) = version.toolchain(&installed) else {
            step(
                "msrv",
                &format!("NOT CHECKED: {which}; `rustup toolchain install {version}` installs it"),
            );
            missing.push(version.to_string());
            continue;
        };
        step("msrv", &which);
        for (selected, how) in builds(&packages) {
            cmd!(
                sh,
                "rustup run {toolchain} cargo check --quiet --locked {selected...}"
            )
            .quiet()
            .run()
            .with_context(|| format!("a crate doesn't compile with Rust {version} and {how}"))?;
        }
    }
    Ok(missing)
}

/// The arguments of each build of the packages, and the features that it has. With all features,
/// both backends are on. That hides code that compiles only with the default one.
fn builds(packages: &[&Package]) -> Vec<(Vec<String>, String)> {
    let names = packages.iter().map(|package| package.name.as_str());
    let selected = names.flat_map(|name| ["--package", name]);
    let all = ["--all-features"].into_iter().chain(selected);
    let all = Vec::from_iter(all.map(str::to_owned));
    let mut builds = vec![(all, "all features".to_owned())];
    let other = metadata::with_other_backend(packages.iter().copied());
    builds.extend(other.map(|other| (other, format!("{OTHER_BACKEND} alone"))));
    builds
}

/// The dependency of `package` that needs the newest Rust, if it needs a newer one than `package`.
fn demanding(package: &Package, said: Version, tree: &[Vec<&Package>]) -> Option<String> {
    let wants = |path: &&Vec<&Package>| {
        let version = path.last()?.rust_version.as_deref();
        version.and_then(Version::parse)
    };
    let most = tree.iter().max_by_key(wants)?;
    let wanted = wants(&most).filter(|wanted| *wanted > said)?;
    let path: Vec<&str> = most.iter().map(|package| package.name.as_str()).collect();
    Some(format!(
        "{} says that it compiles with Rust {said}, and {} needs {wanted}: raise `rust-version`, \
         or choose an older version of that crate",
        package.name,
        path.join(" -> ")
    ))
}

/// The finding that the page has no row for this crate with this version.
fn untold(name: &str, said: Version, page: &str) -> Option<String> {
    let (name, cell) = (format!("`{name}`"), format!("| {said} |"));
    let is_told = page
        .lines()
        .any(|line| line.starts_with('|') && line.contains(&name) && line.contains(&cell));
    (!is_told).then(|| format!("{PAGE} has no row that says that {name} needs Rust {said}"))
}

/// A version of Rust: the parts that a promise names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().unwrap_or(Ok(0)).ok()?;
        Some(Self {
            major,
            minor,
            patch,
        })
    }

    /// The name of this version's toolchain in the list of rustup.
    fn toolchain(self, listed: &str) -> Option<&str> {
        let names = listed.lines().filter_map(|line| line.split(' ').next());
        let mut names = names.filter(|name| {
            let (version, _) = name.split_once('-').unwrap_or((name, ""));
            Self::parse(version) == Some(self)
        });
        names.next()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(version("1.89"), version("1.89.0"));
        assert!(version("1.9") < version("1.89") && version("1.89") < version("1.89.1"));
        for (text, shown) in [("1.89.0", "1.89"), ("1.89.2", "1.89.2")] {
            assert_eq!(version(text).to_string(), shown);
        }
        for text in ["", "1", "stable", "1.x", "1.89.0-beta"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_toolchain_is_found_by_its_version() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\n\
            1.89.1-x86_64-unknown-linux-gnu\n1.94-x86_64-unknown-linux-gnu\n";
        let found = version("1.94").toolchain(listed);
        assert_eq!(found, Some("1.94-x86_64-unknown-linux-gnu"));
        assert_eq!(version("1.89").toolchain(listed), None);
        assert_eq!(version("1.89").toolchain(""), None);
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_found_however_deep() {
        let package = |id: &str, rust: Option<&str>| json!({"id": id, "name": id, "manifest_path": "/w/Cargo.toml", "rust_version": rust});
        let needs =
            |id: &str, kind: Option<&str>| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [
                package("gatepass", Some("1.89")), package("moka", Some("1.71")),
                package("uuid", Some("1.90.0")), package("cc", Some("1.88")), package("tests", Some("1.95")),
                package("old", None),
            ],
            "workspace_members": ["gatepass"], "workspace_root": "/w",
            "resolve": {"nodes": [
                {"id": "gatepass", "deps": [
                    needs("moka", None), needs("cc", Some("build")), needs("tests", Some("dev")), needs("old", None),
                ]},
                {"id": "moka", "deps": [needs("uuid", None)]},
            ]},
        });
        let metadata = Metadata::parse(&metadata.to_string()).unwrap();
        let package = metadata.published().next().unwrap();
        let tree = metadata.tree(package, &[]);
        let found = demanding(package, version("1.89"), &tree).unwrap();
        assert!(found.contains("moka -> uuid needs 1.90:"), "{found}");
        assert_eq!(demanding(package, version("1.90"), &tree), None);
        let found = demanding(package, version("1.70"), &tree).unwrap();
        assert!(found.contains("uuid"), "{found}");
    }

    #[test]
    fn crates_are_built_with_all_features_and_with_the_other_backend_alone() {
        let package = |name: &str, features: Value| -> Package {
            let package = json!({
                "id": name, "name": name, "manifest_path": "/w/Cargo.toml", "features": features,
            });
            serde_json::from_value(package).unwrap()
        };
        let postgres = package("gatepass-postgres", json!({"rust_crypto": []}));
        let cli = package("gatepass-cli", json!({}));
        let args = |packages: &[&Package]| {
            let builds = builds(packages).into_iter();
            Vec::from_iter(builds.map(|(args, _)| args.join(" ")))
        };
        assert_eq!(
            args(&[&postgres, &cli]),
            [
                "--all-features --package gatepass-postgres --package gatepass-cli",
                "--package gatepass-postgres --no-default-features --features \
                 gatepass-postgres/rust_crypto",
            ]
        );
        assert_eq!(args(&[&cli]), ["--all-features --package gatepass-cli"]);
    }

    #[test]
    fn a_version_that_the_page_does_not_tell_is_found() {
        let page = "`gatepass` has 1.88.\n| `gatepass`, `gatepass-axum` | 1.89 |\n";
        assert_eq!(untold("gatepass", version("1.89"), page), None);
        for (name, told) in [("gatepass", "1.88"), ("gatepass-cli", "1.89")] {
            assert!(untold(name, version(told), page).is_some(), "{name}");
        }
    }
}
