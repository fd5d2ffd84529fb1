//! `cargo xtask lint`: format, clippy, docs, architecture.

use std::collections::{BTreeMap, BTreeSet};

use xshell::{Shell, cmd};

use crate::{
    metadata::{Metadata, Package},
    progress::step,
    setup, tidy,
};

/// Crates that by design don't compile without one of these features, and must say so.
const NEEDS_ONE_OF: &[(&str, &[&str])] = &[("gatepass", &["aws_lc_rs", "rust_crypto"])];

/// Runs every check, the cheap ones first.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    setup::run(sh)?;

    step("lint", "format");
    cmd!(sh, "cargo fmt --all --check").quiet().run()?;

    tidy::run(sh)?;

    step("lint", "clippy, the workspace");
    cmd!(
        sh,
        "cargo clippy --quiet --workspace --all-targets -- -D warnings"
    )
    .quiet()
    .run()?;

    step("lint", "docs");
    cmd!(sh, "cargo doc --quiet --workspace --no-deps")
        .env("RUSTDOCFLAGS", "-D warnings")
        .quiet()
        .run()?;

    for package in Metadata::read(sh)?.published() {
        each_feature_set(sh, package)?;
    }
    Ok(())
}

/// A feature that only compiles beside another is a trap for the user who wants it alone, and in a
/// build of the whole workspace it does not show, since cargo unifies features.
fn each_feature_set(sh: &Shell, package: &Package) -> anyhow::Result<()> {
    let name = package.name.as_str();
    let backends = backends_of(package);
    if !backends.is_empty() {
        step(
            "lint",
            &format!("{name} refuses to be built without a backend"),
        );
        refuses_without_backend(sh, name, &backends)?;
    }
    for features in feature_sets(&package.features, &backends) {
        let features = features.into_iter().collect::<Vec<_>>().join(",");
        let shown = if features.is_empty() {
            "no features"
        } else {
            &features
        };
        step("lint", &format!("clippy {name}, {shown}"));
        cmd!(
            sh,
            "cargo clippy --quiet --package {name} --no-default-features --features {features} -- -D warnings"
        )
        .quiet()
        .run()?;
    }
    Ok(())
}

fn refuses_without_backend(sh: &Shell, name: &str, backends: &[&str]) -> anyhow::Result<()> {
    let output = cmd!(
        sh,
        "cargo check --quiet --package {name} --no-default-features"
    )
    .quiet()
    .ignore_status()
    .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        !output.status.success(),
        "{name} compiles without any of its backends ({}), and would fail at run time",
        backends.join(", ")
    );
    anyhow::ensure!(
        names_the_way_out(&said, backends),
        "{name} without a backend must fail with a `compile_error!` that names {}, but says:\n{said}",
        backends.join(", ")
    );
    Ok(())
}

/// Whether a `compile_error!` (an error without a code) names each of the backends.
fn names_the_way_out(said: &str, backends: &[&str]) -> bool {
    said.lines()
        .filter_map(|line| line.strip_prefix("error: "))
        .any(|error| backends.iter().all(|backend| error.contains(backend)))
}

fn backends_of(package: &Package) -> Vec<&'static str> {
    NEEDS_ONE_OF
        .iter()
        .filter(|(name, _)| *name == package.name)
        .flat_map(|(_, backends)| *backends)
        .copied()
        .filter(|backend| package.features.contains_key(*backend))
        .collect()
}

/// No feature, each alone (with the first backend, where one is needed), and all, less what comes to
/// the same thing.
fn feature_sets<'a>(
    features: &'a BTreeMap<String, Vec<String>>,
    backends: &[&'a str],
) -> Vec<BTreeSet<&'a str>> {
    let all: BTreeSet<&str> = features.keys().map(String::as_str).collect();
    let alone = all.iter().map(|feature| BTreeSet::from([*feature]));
    let mut sets = Vec::new();
    for mut wanted in [BTreeSet::new()]
        .into_iter()
        .chain(alone)
        .chain([all.clone()])
    {
        let mut effective = closure(features, &wanted);
        if let Some(first) = backends.first()
            && !backends.iter().any(|backend| effective.contains(backend))
        {
            wanted.insert(first);
            effective = closure(features, &wanted);
        }
        effective.remove("default");
        if !sets.contains(&effective) {
            sets.push(effective);
        }
    }
    sets
}

/// The features that these switch on, themselves included.
fn closure<'a>(
    features: &'a BTreeMap<String, Vec<String>>,
    wanted: &BTreeSet<&'a str>,
) -> BTreeSet<&'a str> {
    let mut on = BTreeSet::new();
    let mut open: Vec<&str> = wanted.iter().copied().collect();
    while let Some(feature) = open.pop() {
        if let Some((name, implied)) = features.get_key_value(feature)
            && on.insert(name.as_str())
        {
            open.extend(implied.iter().map(String::as_str));
        }
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(given: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        given
            .iter()
            .map(|(name, implied)| {
                let implied = implied.iter().map(ToString::to_string).collect();
                (name.to_string(), implied)
            })
            .collect()
    }

    #[test]
    fn a_crate_without_features_is_checked_once() {
        assert_eq!(feature_sets(&features(&[]), &[]), [BTreeSet::new()]);
    }

    #[test]
    fn sets_that_come_to_the_same_are_checked_once() {
        let features = features(&[("default", &["json"]), ("json", &["dep:serde_json"])]);
        assert_eq!(
            feature_sets(&features, &[]),
            [BTreeSet::new(), BTreeSet::from(["json"])]
        );
    }

    #[test]
    fn a_feature_that_needs_a_backend_gets_the_first_one() {
        let features = features(&[("aws", &[]), ("metrics", &[]), ("pure", &[])]);
        assert_eq!(
            feature_sets(&features, &["aws", "pure"]),
            [
                BTreeSet::from(["aws"]),
                BTreeSet::from(["aws", "metrics"]),
                BTreeSet::from(["pure"]),
                BTreeSet::from(["aws", "metrics", "pure"]),
            ]
        );
    }

    #[test]
    fn only_a_compile_error_that_names_the_backends_is_the_expected_one() {
        let clear = "error: gatepass needs a backend: `aws` or `pure`\n --> lib.rs";
        assert!(names_the_way_out(clear, &["aws", "pure"]));
        let other = "error[E0432]: unresolved import `jsonwebtoken::aws`, `pure`";
        assert!(!names_the_way_out(other, &["aws", "pure"]));
        assert!(!names_the_way_out(
            "error: `aws` is missing",
            &["aws", "pure"]
        ));
    }
}
