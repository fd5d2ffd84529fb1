//! Programs of the workspace, built.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;
use xshell::{Shell, cmd};

/// Builds the program `name` of `package`, and asks cargo where it put it.
pub(crate) fn executable(sh: &Shell, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let built = executables(sh, &[package], &[name])?;
    let first = built.into_iter().next();
    first.context("cargo built nothing")
}

/// Builds programs together, so that what they have in common is built once and with the same
/// features.
pub(crate) fn executables(
    sh: &Shell,
    packages: &[&str],
    names: &[&str],
) -> anyhow::Result<Vec<PathBuf>> {
    let flags = |flag, of: &[&str]| {
        of.iter()
            .flat_map(|one| [flag, *one].map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let (in_packages, bins) = (flags("--package", packages), flags("--bin", names));
    let messages = cmd!(
        sh,
        "cargo build --quiet {in_packages...} {bins...} --message-format json-render-diagnostics"
    )
    .quiet()
    .read()?;
    names
        .iter()
        .map(|name| executable_of(&messages, name))
        .collect()
}

fn executable_of(messages: &str, name: &str) -> anyhow::Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|built| built == name)
        })
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no executable {name}"))
}
