//! Checks the manifests, and the dependencies between the crates.

use std::collections::BTreeSet;

use xshell::{Shell, cmd};

use super::{File, Finding};
use crate::metadata::{Metadata, Package};

const CORE: &str = "gatepass";
const TOWER: &str = "gatepass-tower";
const TEST_KIT: &str = "gatepass-testkit";
const CLI: &str = "gatepass-cli";

/// The crates that neither the core nor its dependencies may be. A `*` matches any ending.
const NOT_IN_THE_CORE: &[&str] = &[
    "http",
    "http-body",
    "hyper",
    "axum",
    "axum-core",
    "tower",
    "tower-*",
    "actix*",
    "warp",
    "tonic",
    "rusqlite",
    "sqlx",
    "redis",
];

/// Optional dependencies of the core. They may bring in any crate.
const OPTIONAL_IN_THE_CORE: &[&str] = &["reqwest"];

/// The fields that each manifest takes from `[workspace.package]`.
const INHERITED: &[&str] = &["version", "edition", "license"];

/// Maximum number of crates in a build of the named packages, including themselves, with their
/// default features, for this platform.
const SIZES: &[(&[&str], usize)] = &[
    (&["gatepass"], 74),
    (&["gatepass-axum", "gatepass-sqlite"], 108),
];

const SMALL: &str = "Users compile, trust and update each crate that we pull in: have less instead, or raise the limit on purpose.";
const PURE_CORE: &str = "The core knows no HTTP framework, no HTTP crate and no database: adapters and stores depend on it.";
const ONE_DIRECTION: &str = "One direction: core, then gatepass-tower, then adapters and stores; what two of them share belongs in the core.";
const ONLY_PUBLISHED: &str =
    "A published crate is built from published crates alone, never from examples, tests or xtask.";
const SAID_ONCE: &str = "Version, edition, license and lints are said once, in the workspace; so is the Rust that unpublished crates need.";
const OWN_MSRV: &str = "A published crate says itself which Rust it needs: one with a demanding dependency doesn't raise that of the others.";
const DESCRIBED: &str = "A published crate says in one line what it is.";

pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let mut findings = pure_core(metadata);
    findings.extend(directions(metadata));
    for member in metadata.members() {
        let path = format!("{}/Cargo.toml", metadata.directory(member));
        match files.iter().find(|file| file.path == path) {
            Some(manifest) if member.is_published() => {
                findings.extend(inherits(manifest));
                findings.extend(says_its_rust(manifest));
            }
            Some(manifest) => {
                findings.extend(inherits(manifest));
                findings.extend(inherits_rust(manifest));
            }
            None => findings.push(finding(&path, "git does not track it", SAID_ONCE)),
        }
        if member.is_published() && member.description.is_none() {
            findings.push(finding(&path, "no description", DESCRIBED));
        }
    }
    findings
}

/// Asks cargo again, because a build for users has neither every feature nor the crates of every
/// platform.
pub(super) fn sizes(sh: &Shell) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (roots, most) in SIZES {
        let packages = roots.iter().flat_map(|root| ["--package", root]);
        let tree = cmd!(sh, "cargo tree --edges normal --prefix none {packages...}");
        let count = count(&tree.quiet().read()?);
        if count > *most {
            let what = format!("{count} crates in a build, {most} at most");
            findings.push(finding(&roots.join(" and "), what, SMALL));
        }
    }
    Ok(findings)
}

/// The number of packages in the output of `cargo tree` without indentation.
fn count(tree: &str) -> usize {
    let packages = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    });
    packages.collect::<BTreeSet<_>>().len()
}

fn pure_core(metadata: &Metadata) -> Vec<Finding> {
    let Some(core) = metadata.members().find(|member| member.name == CORE) else {
        return vec![finding(CORE, "there is no such crate", PURE_CORE)];
    };
    metadata
        .tree(core, OPTIONAL_IN_THE_CORE)
        .into_iter()
        .map(|path| Vec::from_iter(path.into_iter().map(|package| package.name.as_str())))
        .filter(|path| path.last().is_some_and(|name| is_refused_in_the_core(name)))
        .map(|path| {
            let what = format!("depends on {}", path.join(" -> "));
            finding(&manifest(metadata, core), what, PURE_CORE)
        })
        .collect()
}

fn is_refused_in_the_core(name: &str) -> bool {
    NOT_IN_THE_CORE
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

fn directions(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.published() {
        let allowed: &[&str] = match package.name.as_str() {
            CORE => &[],
            TOWER | TEST_KIT => &[CORE],
            // The command `doctor` examines each store.
            CLI => &[
                CORE,
                "gatepass-postgres",
                "gatepass-redis",
                "gatepass-sqlite",
            ],
            _ => &[CORE, TOWER],
        };
        for name in package.built_with() {
            let Some(other) = metadata.members().find(|member| member.name == name) else {
                continue;
            };
            let what = format!("{} depends on {name}", package.name);
            if !other.is_published() {
                findings.push(finding(&manifest(metadata, package), what, ONLY_PUBLISHED));
            } else if !allowed.contains(&name) {
                findings.push(finding(&manifest(metadata, package), what, ONE_DIRECTION));
            }
        }
    }
    findings
}

fn inherits(manifest: &File) -> Vec<Finding> {
    let inherited = inherited(manifest);
    let mut findings = Vec::new();
    for key in INHERITED {
        if !inherited.contains(&format!("package.{key}")) {
            findings.push(finding(&manifest.path, format!("its own {key}"), SAID_ONCE));
        }
    }
    if !inherited.iter().any(|key| key == "lints.workspace") {
        findings.push(finding(&manifest.path, "its own lints", SAID_ONCE));
    }
    findings
}

/// Checks the `rust-version` of a published crate.
fn says_its_rust(manifest: &File) -> Vec<Finding> {
    let is_own = manifest
        .text
        .lines()
        .any(|line| line.starts_with("rust-version = \""));
    let missing = || finding(&manifest.path, "no rust-version of its own", OWN_MSRV);
    (!is_own).then(missing).into_iter().collect()
}

/// Checks the `rust-version` of an unpublished crate.
fn inherits_rust(manifest: &File) -> Vec<Finding> {
    let is_inherited = inherited(manifest).contains(&"package.rust-version".to_owned());
    let own = || finding(&manifest.path, "its own rust-version", SAID_ONCE);
    (!is_inherited).then(own).into_iter().collect()
}

/// The keys that a manifest takes from the workspace, with their sections. Read from the text,
/// because cargo's own answer no longer shows what was inherited.
fn inherited(manifest: &File) -> Vec<String> {
    let mut inherited = Vec::new();
    let mut section = "";
    for line in manifest.text.lines() {
        let line: &str = line.split('#').next().unwrap_or(line).trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once('=') {
            let value: String = value.split_whitespace().collect();
            let key = match (key.trim().strip_suffix(".workspace"), value.as_str()) {
                (Some(key), "true") => key,
                (None, "{workspace=true}" | "true") => key.trim(),
                _ => continue,
            };
            inherited.push(format!("{section}.{key}"));
        }
    }
    inherited
}

fn manifest(metadata: &Metadata, package: &Package) -> String {
    format!("{}/Cargo.toml", metadata.directory(package))
}

fn finding(place: &str, what: impl Into<String>, invariant: &'static str) -> Finding {
    Finding {
        place: place.to_owned(),
        what: what.into(),
        invariant,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::testing::{check, file},
        *,
    };

    /// `(name, published, [(dependency, kind)])`. The members are the crates named `gatepass…` and
    /// `xtask`.
    type Crate<'a> = (&'a str, bool, &'a [(&'a str, Option<&'a str>)]);

    fn workspace(crates: &[Crate<'_>]) -> Metadata {
        let is_member = |name: &str| name.starts_with("gatepass") || name == "xtask";
        let packages: Vec<Value> = crates
            .iter()
            .map(|(name, published, dependencies)| {
                let dependencies: Vec<Value> = dependencies
                    .iter()
                    .map(|(name, kind)| json!({"name": name, "kind": kind}))
                    .collect();
                json!({
                    "id": name, "name": name, "manifest_path": format!("/w/crates/{name}/Cargo.toml"),
                    "publish": if *published { Value::Null } else { json!([]) },
                    "dependencies": dependencies,
                })
            })
            .collect();
        let nodes: Vec<Value> = crates
            .iter()
            .map(|(name, _, dependencies)| {
                let deps: Vec<Value> = dependencies
                    .iter()
                    .map(|(name, kind)| json!({"pkg": name, "dep_kinds": [{"kind": kind}]}))
                    .collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        let members: Vec<&str> = crates
            .iter()
            .map(|(name, ..)| *name)
            .filter(|name| is_member(name))
            .collect();
        let metadata = json!({
            "packages": packages, "workspace_members": members, "workspace_root": "/w",
            "resolve": {"nodes": nodes},
        });
        Metadata::parse(&metadata.to_string()).unwrap()
    }

    fn whats(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_crate_counts_once_for_each_version_of_it() {
        let tree = "gatepass v0.1.0 (/w/crates/gatepass)\nsyn v2.0.1\nserde v1.0.0\nsyn v3.0.0 (*)\n\n\
                    gatepass-sqlite v0.1.0 (/w/crates/gatepass-sqlite)\nserde v1.0.0 (*)\n";
        assert_eq!(count(tree), 5);
    }

    #[test]
    fn the_core_may_test_with_what_it_must_not_depend_on() {
        let metadata = workspace(&[
            ("gatepass", true, &[("moka", None), ("axum", Some("dev"))]),
            ("moka", true, &[]),
            ("axum", true, &[]),
        ]);
        assert_eq!(whats(pure_core(&metadata)), [""; 0]);
    }

    #[test]
    fn the_core_may_have_http_by_an_optional_client_and_not_otherwise() {
        let metadata = workspace(&[
            ("gatepass", true, &[("reqwest", None), ("moka", None)]),
            ("reqwest", true, &[("http", None), ("hyper", None)]),
            ("moka", true, &[("http", None)]),
            ("http", true, &[]),
            ("hyper", true, &[]),
        ]);
        let found = pure_core(&metadata);
        assert_eq!(whats(found), ["depends on moka -> http"]);
    }

    #[test]
    fn http_in_the_core_is_refused_however_deep() {
        let metadata = workspace(&[
            ("gatepass", true, &[("moka", None)]),
            ("moka", true, &[("tower-service", None), ("httparse", None)]),
            ("tower-service", true, &[]),
            ("httparse", true, &[]),
        ]);
        let found = pure_core(&metadata);
        assert_eq!(whats(found), ["depends on moka -> tower-service"]);
    }

    #[test]
    fn adapters_and_stores_depend_on_the_core_and_tower_alone() {
        let good = workspace(&[
            ("gatepass", true, &[("gatepass-testkit", Some("dev"))]),
            ("gatepass-tower", true, &[("gatepass", None)]),
            (
                "gatepass-axum",
                true,
                &[("gatepass", None), ("gatepass-tower", None)],
            ),
            ("gatepass-testkit", true, &[("gatepass", None)]),
            ("gatepass-cli", true, &[("gatepass", None)]),
        ]);
        assert_eq!(whats(directions(&good)), [""; 0]);

        let bad = workspace(&[
            ("gatepass", true, &[("gatepass-tower", Some("build"))]),
            ("gatepass-tower", true, &[("gatepass-axum", None)]),
            (
                "gatepass-axum",
                true,
                &[("gatepass-testkit", None), ("xtask", None)],
            ),
            ("gatepass-testkit", true, &[("gatepass-tower", None)]),
            ("gatepass-cli", true, &[("gatepass-tower", None)]),
            ("xtask", false, &[]),
        ]);
        assert_eq!(
            whats(directions(&bad)),
            [
                "gatepass depends on gatepass-tower",
                "gatepass-tower depends on gatepass-axum",
                "gatepass-axum depends on gatepass-testkit",
                "gatepass-axum depends on xtask",
                "gatepass-testkit depends on gatepass-tower",
                "gatepass-cli depends on gatepass-tower",
            ]
        );
    }

    #[test]
    fn a_manifest_that_says_again_what_the_workspace_says_is_refused() {
        let good = file(
            "a/Cargo.toml",
            "[package]\nversion.workspace = true\nedition = { workspace = true } # all\nlicense.workspace=true\n[lints]\nworkspace = true\n",
        );
        let bad = file(
            "a/Cargo.toml",
            "[package]\nversion = \"1.0.0\"\nedition.workspace = true\nlicense.workspace = true\n[lints.rust]\nunsafe_code = \"forbid\"\n",
        );
        check(inherits, &good, &bad, &["a/Cargo.toml", "a/Cargo.toml"]);
        assert_eq!(whats(inherits(&bad)), ["its own version", "its own lints"]);
    }

    #[test]
    fn only_a_published_crate_says_which_rust_it_needs() {
        let own = file("a/Cargo.toml", "[package]\nrust-version = \"1.89\"\n");
        let inherited = file("b/Cargo.toml", "[package]\nrust-version.workspace = true\n");
        check(says_its_rust, &own, &inherited, &["b/Cargo.toml"]);
        check(inherits_rust, &inherited, &own, &["a/Cargo.toml"]);
    }

    #[test]
    fn a_published_crate_without_a_description_is_refused() {
        let metadata = workspace(&[("gatepass", true, &[]), ("xtask", false, &[])]);
        let found: Vec<String> = super::check(&metadata, &[])
            .into_iter()
            .filter(|finding| finding.invariant == DESCRIBED)
            .map(|finding| finding.place)
            .collect();
        assert_eq!(found, ["crates/gatepass/Cargo.toml"]);
    }
}
