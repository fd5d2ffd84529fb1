//! `cargo xtask lint`: format, spelling, clippy, docs, architecture, dependencies, API.

use std::path::Path;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    advisories,
    metadata::{self, Metadata, OTHER_BACKEND, Package},
    minimal, msrv,
    program::Missing,
    progress::step,
    semver, setup, tidy, tools,
};

/// Crates that by design don't compile without one of these features. They must say so in an error.
const NEEDS_ONE_OF: &[(&str, &[&str])] = &[("gatepass", &[BACKEND, OTHER_BACKEND])];
/// The default crypto backend.
const BACKEND: &str = "aws_lc_rs";

/// Runs every check, the fastest ones first.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    setup::programs(sh)?;
    // This fails before the other checks if the tool is missing, although the checks that need it
    // come last.
    let hack = tools::CARGO_HACK.ready(sh, Missing::Reported)?;

    step("lint", "format");
    cmd!(sh, "cargo fmt --all --check").quiet().run()?;
    // Another workspace. Compiling it here would take longer than all later checks.
    let peers = ["--manifest-path", "benches/peers/Cargo.toml"];
    cmd!(sh, "cargo fmt {peers...} --check").quiet().run()?;

    tidy::run(sh)?;

    if let Some(typos) = tools::TYPOS.installed_for(sh, "spelling")? {
        step("lint", "spelling");
        cmd!(sh, "{typos} --format brief").quiet().run()?;
    }
    if let Some(shear) = tools::CARGO_SHEAR.installed_for(sh, "unused dependencies")? {
        step("lint", "unused dependencies");
        cmd!(sh, "{shear}").quiet().run()?;
    }

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

    dependencies(sh)?;

    let metadata = Metadata::read(sh)?;
    semver::check(sh, &metadata)?;
    each_example(sh, &hack, &metadata)?;
    for package in metadata.published() {
        each_feature_set(sh, &hack, package)?;
    }
    other_backend(sh, &metadata)?;
    msrv::check(sh)?;
    minimal::run_if_changed(sh)
}

/// Checks each example separately, as `cargo run -p example-axum` builds it. A build of the whole
/// workspace also turns on the features that the tests need.
fn each_example(sh: &Shell, hack: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    let examples = metadata
        .members()
        .filter(|member| metadata.directory(member).starts_with("examples/"));
    let examples = examples.flat_map(|example| ["--package", &example.name]);
    step("lint", "clippy, each example by itself");
    cmd!(
        sh,
        "{hack} hack clippy --quiet {examples...} -- -D warnings"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// Checks that an application can do without the default backend: no crate brings it in.
fn other_backend(sh: &Shell, metadata: &Metadata) -> anyhow::Result<()> {
    step("lint", &format!("clippy, all crates with {OTHER_BACKEND}"));
    let selected = metadata::with_other_backend(metadata.published());
    let selected = selected.context("no crate has the other backend")?;
    cmd!(sh, "cargo clippy --quiet {selected...} -- -D warnings")
        .quiet()
        .run()?;
    let tree = cmd!(
        sh,
        "cargo tree --edges normal --prefix none --package gatepass-axum --no-default-features --features {OTHER_BACKEND}"
    );
    anyhow::ensure!(
        !tree.quiet().read()?.contains("aws-lc"),
        "gatepass-axum with {OTHER_BACKEND} alone brings in AWS-LC"
    );
    Ok(())
}

/// Checks the rules of `deny.toml`. If a check isn't possible here, says so and runs the others.
fn dependencies(sh: &Shell) -> anyhow::Result<()> {
    let what = "advisories, licences, duplicates and sources of dependencies";
    let Some(deny) = tools::CARGO_DENY.installed_for(sh, what)? else {
        return Ok(());
    };
    let mut checks = vec!["licenses", "bans", "sources"];
    match advisories::fetch(sh, &deny) {
        Ok(()) => checks.push("advisories"),
        Err(error) => {
            let error = error.to_string();
            let first = error.lines().next().unwrap_or_default();
            step("lint", &format!("NOT CHECKED: advisories: {first}"));
        }
    }
    step("lint", &format!("dependencies: {}", checks.join(", ")));
    cmd!(
        sh,
        "{deny} --log-level warn check --hide-inclusion-graph {checks...}"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// Checks each set of features. A feature that compiles only together with another one breaks the
/// build of users who want it alone. A build of the whole workspace hides that, because cargo
/// unifies features.
fn each_feature_set(sh: &Shell, hack: &Path, package: &Package) -> anyhow::Result<()> {
    let name = package.name.as_str();
    let backends = backends_of(package);
    // No feature, each feature alone, and all. `default` is only the name of a set.
    let mut sets = vec!["--each-feature", "--exclude-features", "default"];
    let one_of = backends.join(",");
    if !backends.is_empty() {
        step(
            "lint",
            &format!("{name} refuses to be built without a backend"),
        );
        refuses_without_backend(sh, name, &backends)?;
        step("lint", &format!("clippy {name}, with all features"));
        cmd!(
            sh,
            "cargo clippy --quiet --package {name} --all-features -- -D warnings"
        )
        .quiet()
        .run()?;
        // Each backend alone, both together, and each other feature with each backend.
        sets = vec![
            "--feature-powerset",
            "--depth",
            "2",
            "--exclude-features",
            "default",
        ];
        sets.extend(["--at-least-one-of", &one_of]);
    }
    // The other crates pass a backend on to the core. Each set has the default one, and
    // `other_backend` checks the other one.
    let passes_on = backends.is_empty() && package.features.contains_key(BACKEND);
    let others = [OTHER_BACKEND, "default"].join(",");
    if passes_on {
        sets = vec![
            "--each-feature",
            "--exclude-features",
            &others,
            "--features",
            BACKEND,
        ];
    }
    step("lint", &format!("clippy {name}, with each set of features"));
    // A package without the feature `default` has nothing to exclude, and cargo-hack says so.
    if !package.features.contains_key("default") && !passes_on {
        sets.retain(|arg| !["--exclude-features", "default"].contains(arg));
    }
    cmd!(
        sh,
        "{hack} hack clippy --quiet --package {name} {sets...} -- -D warnings"
    )
    .quiet()
    .run()?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
