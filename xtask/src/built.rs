//! Builds programs of the workspace.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;
use xshell::{Shell, cmd};

/// Builds the program `name` of `package`. Returns its path, which cargo reports.
pub(crate) fn executable(sh: &Shell, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    executable_with(sh, package, name, &[])
}

/// As [`executable`], with further arguments for cargo.
pub(crate) fn executable_with(
    sh: &Shell,
    package: &str,
    name: &str,
    args: &[String],
) -> anyhow::Result<PathBuf> {
    let messages = cmd!(
        sh,
        "cargo build --quiet --package {package} --bin {name} {args...} --message-format json-render-diagnostics"
    )
    .quiet()
    .read()?;
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
