//! The workspace and its dependencies, as cargo describes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use xshell::{Shell, cmd};

/// The feature of the crypto backend that isn't the default.
pub(crate) const OTHER_BACKEND: &str = "rust_crypto";

/// The parts of `cargo metadata` that xtask uses.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    resolve: Resolve,
}

/// A package of the workspace or of another project.
#[derive(Clone, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    manifest_path: String,
    publish: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) homepage: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) repository: Option<String>,
    /// The oldest Rust that the package declares, such as `1.89` or `1.89.0`.
    pub(crate) rust_version: Option<String>,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    targets: Vec<Target>,
    /// The program that `cargo run` runs if there are several.
    default_run: Option<String>,
    /// The part of the manifest that is for other tools.
    #[serde(default)]
    pub(crate) metadata: Value,
}

/// A library, a program, an example or a test of a package.
#[derive(Clone, Deserialize)]
struct Target {
    kind: Vec<String>,
    #[serde(default)]
    name: String,
}

#[derive(Clone, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    /// The accepted versions. `*` means a path without a version.
    #[serde(default)]
    req: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl DependencyKind {
    /// Whether a build for users compiles it, for the crate itself or for its build script.
    fn is_built(&self) -> bool {
        self.kind.as_deref() != Some("dev")
    }
}

impl Package {
    /// Whether the registry gets this package.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|to| !to.is_empty())
    }

    pub(crate) fn has_library(&self) -> bool {
        self.of_kind("lib").next().is_some()
    }

    /// Whether the package has a program, an example or a test of this name.
    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        self.of_kind(kind).any(|target| target.name == name)
    }

    /// Whether `cargo run` knows which program to run.
    pub(crate) fn has_default_program(&self) -> bool {
        self.default_run.is_some() || self.of_kind("bin").count() == 1
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Target> {
        let is_kind = move |target: &&Target| target.kind.iter().any(|own| own == kind);
        self.targets.iter().filter(is_kind)
    }

    /// The crates that must be in a registry before this one, including those for its tests.
    pub(crate) fn needs_published(&self) -> impl Iterator<Item = &str> {
        self.wants()
            .filter(|(_, versions)| *versions != "*")
            .map(|(name, _)| name)
    }

    /// The crates that the package depends on, including those for tests, with the accepted
    /// versions.
    pub(crate) fn wants(&self) -> impl Iterator<Item = (&str, &str)> {
        let wanted = self.dependencies.iter();
        wanted.map(|dependency| (dependency.name.as_str(), dependency.req.as_str()))
    }

    /// The normal and build dependencies of the package, including the optional ones.
    pub(crate) fn built_with(&self) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name.as_str())
    }
}

impl Metadata {
    /// Asks cargo with every feature on, so that the answer includes optional dependencies.
    pub(crate) fn read(sh: &Shell) -> anyhow::Result<Self> {
        let json = cmd!(sh, "cargo metadata --format-version 1 --all-features")
            .quiet()
            .read()?;
        Self::parse(&json)
    }

    pub(crate) fn parse(json: &str) -> anyhow::Result<Self> {
        serde_json::from_str(json).context("cargo metadata has an unknown form")
    }

    /// The crates of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The published crates of this workspace.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members().filter(|package| package.is_published())
    }

    /// A member's directory, relative to the root.
    pub(crate) fn directory<'a>(&self, package: &'a Package) -> &'a str {
        package
            .manifest_path
            .strip_prefix(&self.workspace_root)
            .and_then(|path| path.strip_suffix("Cargo.toml"))
            .unwrap_or(&package.manifest_path)
            .trim_matches('/')
    }

    /// Each direct or indirect dependency of `root` in a build, with the path to it. Leaves out the
    /// direct dependencies named in `without`, and the packages that only those need.
    pub(crate) fn tree(&self, root: &Package, without: &[&str]) -> Vec<Vec<&Package>> {
        let nodes: BTreeMap<&str, &Node> = self
            .resolve
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), node))
            .collect();
        let packages: BTreeMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect();

        let mut seen = BTreeSet::from([root.id.as_str()]);
        let mut open = vec![(root.id.as_str(), Vec::new())];
        let mut found = Vec::new();
        while let Some((id, path)) = open.pop() {
            let built = nodes.get(id).into_iter().flat_map(|node| {
                node.deps
                    .iter()
                    .filter(|dependency| dependency.dep_kinds.iter().any(DependencyKind::is_built))
                    .filter_map(|dependency| packages.get(dependency.pkg.as_str()).copied())
            });
            for dependency in built {
                if path.is_empty() && without.contains(&dependency.name.as_str()) {
                    continue;
                }
                if seen.insert(&dependency.id) {
                    let mut path = path.clone();
                    path.push(dependency);
                    found.push(path.clone());
                    open.push((&dependency.id, path));
                }
            }
        }
        found
    }
}

/// The arguments of cargo that select the packages which have a choice of the backend, with the
/// other backend alone. `None` if there is no such package.
pub(crate) fn with_other_backend<'a>(
    packages: impl Iterator<Item = &'a Package>,
) -> Option<Vec<String>> {
    let with = |package: &&Package| package.features.contains_key(OTHER_BACKEND);
    let names = Vec::from_iter(packages.filter(with).map(|package| package.name.as_str()));
    let selected = names.iter().flat_map(|name| ["--package", name]);
    let mut args = Vec::from_iter(selected.map(str::to_owned));
    let features = names.iter().map(|name| format!("{name}/{OTHER_BACKEND}"));
    let features = Vec::from_iter(features).join(",");
    args.extend(["--no-default-features", "--features", &features].map(str::to_owned));
    (!names.is_empty()).then_some(args)
}

/// The target directory of cargo.
pub(crate) fn target_directory(sh: &Shell) -> anyhow::Result<PathBuf> {
    let json = cmd!(sh, "cargo metadata --format-version 1 --no-deps")
        .quiet()
        .read()?;
    let metadata: Value = serde_json::from_str(&json)?;
    let directory = metadata.get("target_directory").and_then(|it| it.as_str());
    directory
        .map(PathBuf::from)
        .context("cargo does not say where it builds")
}

/// The root of the work tree.
pub(crate) fn workspace_root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_crates_that_have_the_other_backend_are_built_with_it() {
        let package = |name: &str, features: Value| -> Package {
            let package = json!({
                "id": name, "name": name, "manifest_path": "/w/Cargo.toml", "features": features,
            });
            serde_json::from_value(package).unwrap()
        };
        let both = json!({"default": ["aws_lc_rs"], "aws_lc_rs": [], "rust_crypto": []});
        let packages = [
            package("gatepass", both.clone()),
            package("gatepass-cli", json!({})),
            package("gatepass-axum", both),
        ];
        assert_eq!(
            with_other_backend(packages.iter()).unwrap(),
            [
                "--package",
                "gatepass",
                "--package",
                "gatepass-axum",
                "--no-default-features",
                "--features",
                "gatepass/rust_crypto,gatepass-axum/rust_crypto",
            ]
        );
        assert_eq!(with_other_backend(packages[1..2].iter()), None);
    }
}
