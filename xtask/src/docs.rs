//! `cargo xtask docs`: renders the guide, and builds the documentation as docs.rs does, with every
//! warning as an error.
//!
//! docs.rs uses a nightly rustdoc, with all features and `--cfg docsrs` (each manifest says so).
//! The crates then turn on `doc_cfg`, which shows on each item the feature that it needs. A stable
//! rustdoc also has `doc_cfg`, and allows it if `RUSTC_BOOTSTRAP` is set. This command sets the
//! variable for rustdoc alone. Build scripts of dependencies also read it, so cargo would otherwise
//! compile all dependencies again.

mod guide;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use serde_json::json;
use xshell::{Shell, cmd};

use crate::{
    metadata::{self, Metadata, Package},
    program::Missing,
    progress::Steps,
    tools,
};

/// Features that select an implementation of the whole crate, and add no item.
const OF_THE_WHOLE_CRATE: &[&str] = &["default", "aws_lc_rs", "rust_crypto"];

/// Other features that add no public item.
const WITHOUT_ITEMS: &[(&str, &str)] = &[("gatepass", "metrics"), ("gatepass-redis", "tls")];

/// The line of a `lib.rs` that turns `doc_cfg` on.
const ATTRIBUTE: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]";

/// Set while cargo calls this program as its rustdoc.
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// Renders the guide, and builds the documentation of each published crate separately.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let mdbook = tools::MDBOOK.ready(sh, Missing::Reported)?;
    let metadata = Metadata::read(sh)?;
    let target = metadata::target_directory(sh)?;
    let directory = target.join("doc");
    let mut packages: Vec<&Package> = metadata.published().collect();
    // The documentation of a program has the program's name, and can overwrite the documentation of
    // a library with the same name. Keep the library's.
    packages.sort_by_key(|package| package.has_library());

    let mut steps = Steps::new("docs", 1 + packages.len());
    steps.next("the guide");
    let mut findings = guide::render(sh, &mdbook, &target.join("book"))?;
    for package in packages {
        steps.next(&package.name);
        findings.extend(settings(package));
        build(sh, package)?;
        if !package.has_library() {
            continue;
        }
        let root = metadata.directory(package);
        let root = sh.read_file(Path::new(root).join("src/lib.rs"))?;
        if !root.lines().any(|line| line == ATTRIBUTE) {
            findings.push(format!("{}: lib.rs has no line {ATTRIBUTE}", package.name));
        }
        let mut pages = BTreeMap::new();
        read_pages(&directory.join(package.name.replace('-', "_")), &mut pages)?;
        findings.extend(unshown(package, &String::from_iter(pages.into_values())));
    }
    steps.done();
    anyhow::ensure!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

fn build(sh: &Shell, package: &Package) -> anyhow::Result<()> {
    let name = &package.name;
    cmd!(
        sh,
        "cargo doc --quiet --no-deps --all-features --package {name}"
    )
    .env("RUSTDOC", env::current_exe()?)
    .env(AS_RUSTDOC, "1")
    .env("RUSTDOCFLAGS", "--cfg docsrs -D warnings")
    .quiet()
    .run()
    .with_context(|| format!("the documentation of {name} cannot be built"))
}

/// Whether cargo started this program as its rustdoc.
pub(crate) fn is_rustdoc() -> bool {
    env::var_os(AS_RUSTDOC).is_some()
}

/// Calls rustdoc with the arguments of this program, and allows it the features of a nightly.
pub(crate) fn as_rustdoc() -> ExitCode {
    let called = Command::new("rustdoc")
        .args(env::args_os().skip(1))
        .env_remove(AS_RUSTDOC)
        .env("RUSTC_BOOTSTRAP", "1")
        .status();
    match called {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cannot call rustdoc: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks that docs.rs builds a package with the same settings as this command.
fn settings(package: &Package) -> Option<String> {
    let expected = json!({"all-features": true, "rustdoc-args": ["--cfg", "docsrs"]});
    let said = package.metadata.pointer("/docs/rs");
    (said != Some(&expected)).then(|| {
        format!(
            "{}: its manifest must say under [package.metadata.docs.rs]: all-features = true, \
             rustdoc-args = [\"--cfg\", \"docsrs\"]",
            package.name
        )
    })
}

/// Reads all pages below a directory.
fn read_pages(directory: &Path, pages: &mut BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory);
    for entry in entries.with_context(|| format!("no documentation in {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(&path, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let page = fs::read_to_string(&path)?;
            pages.insert(path, page);
        }
    }
    Ok(())
}

/// The features that show on no item in the pages.
fn unshown(package: &Package, pages: &str) -> Vec<String> {
    package
        .features
        .keys()
        .map(String::as_str)
        .filter(|feature| !OF_THE_WHOLE_CRATE.contains(feature))
        .filter(|feature| !WITHOUT_ITEMS.contains(&(&package.name, feature)))
        .filter(|feature| !pages.contains(&format!("feature <code>{feature}</code></strong> only")))
        .map(|feature| {
            format!(
                "{}: no item shows that it needs the feature {feature}. If the feature has no item, \
                 add it to WITHOUT_ITEMS in xtask/src/docs.rs",
                package.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[&str], docs: &serde_json::Value) -> Package {
        let features = features.iter().map(|name| ((*name).to_owned(), json!([])));
        let features = serde_json::Map::from_iter(features);
        let package = json!({
            "id": name, "name": name, "manifest_path": "/w/Cargo.toml", "features": features,
            "metadata": {"docs": {"rs": docs}},
        });
        serde_json::from_value(package).unwrap()
    }

    #[test]
    fn a_feature_without_an_item_that_shows_it_is_found() {
        let page = "<strong>crate feature <code>ws</code></strong> only.";
        let good = package(
            "gatepass-axum",
            &["default", "aws_lc_rs", "ws"],
            &json!(null),
        );
        assert_eq!(unshown(&good, page), [""; 0]);
        assert_eq!(unshown(&good, "<code>ws</code> only.").len(), 1);
        let told = package("gatepass", &["metrics"], &json!(null));
        assert_eq!(unshown(&told, page), [""; 0]);
        let bad = package("gatepass-axum", &["metrics"], &json!(null));
        assert_eq!(unshown(&bad, page).len(), 1);
    }

    #[test]
    fn a_manifest_with_other_settings_for_docs_rs_is_found() {
        let good = json!({"all-features": true, "rustdoc-args": ["--cfg", "docsrs"]});
        assert_eq!(settings(&package("a", &[], &good)), None);
        for bad in [json!(null), json!({"all-features": true})] {
            assert!(settings(&package("a", &[], &bad)).is_some(), "{bad}");
        }
    }
}
