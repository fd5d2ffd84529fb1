//! `cargo xtask minimal`: checks that the published crates compile with the oldest versions of
//! their dependencies that their manifests allow.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::Write,
    hash::{Hash, Hasher},
    path::Path,
};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    metadata::{self, Metadata},
    progress::step,
};

/// The workspace to check. It has only the published crates, because the tests of the real
/// workspace need newer versions.
const DIRECTORY: &str = "target/minimal";

/// Checks the workspace, even if nothing has changed.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let workspace = Workspace::read(sh)?;
    workspace.check(sh)
}

/// Checks the workspace if a manifest has changed since the last check. The first check takes some
/// minutes, because no other build uses these versions.
pub(crate) fn run_if_changed(sh: &Shell) -> anyhow::Result<()> {
    let workspace = Workspace::read(sh)?;
    if sh.read_file(Path::new(DIRECTORY).join(STAMP)).ok() == Some(workspace.stamp(sh)?) {
        step("lint", "oldest versions of dependencies: as checked before");
        return Ok(());
    }
    workspace.check(sh)
}

/// The file that identifies the manifests of the last check.
const STAMP: &str = "checked";

/// The manifests of the workspace to check.
struct Workspace {
    root: String,
    /// The directory of each crate, and its manifest.
    crates: Vec<(String, String)>,
}

impl Workspace {
    fn read(sh: &Shell) -> anyhow::Result<Self> {
        let metadata = Metadata::read(sh)?;
        let root = root(&sh.read_file("Cargo.toml")?);
        let mut crates = Vec::new();
        for package in metadata.published() {
            let directory = metadata.directory(package);
            let source = metadata::workspace_root().join(directory);
            let manifest = sh.read_file(source.join("Cargo.toml"))?;
            let manifest = manifest_of_sources(&manifest, &source);
            crates.push((directory.to_owned(), manifest));
        }
        Ok(Self { root, crates })
    }

    /// A text that changes with each manifest and with the compiler.
    fn stamp(&self, sh: &Shell) -> anyhow::Result<String> {
        let mut hasher = DefaultHasher::new();
        (&self.root, &self.crates).hash(&mut hasher);
        cmd!(sh, "rustc --version")
            .quiet()
            .read()?
            .hash(&mut hasher);
        Ok(format!("{:016x}\n", hasher.finish()))
    }

    fn check(&self, sh: &Shell) -> anyhow::Result<()> {
        let directory = metadata::workspace_root().join(DIRECTORY);
        sh.write_file(directory.join("Cargo.toml"), &self.root)?;
        for (crate_, manifest) in &self.crates {
            sh.write_file(directory.join(crate_).join("Cargo.toml"), manifest)?;
        }
        let stamp = self.stamp(sh)?;
        let _there = sh.push_dir(&directory);
        step("minimal", "resolving the oldest versions of dependencies");
        sh.remove_path("Cargo.lock")?;
        // An unstable option, which the stable cargo also has.
        let resolved = cmd!(sh, "cargo -Z direct-minimal-versions generate-lockfile")
            .env("RUSTC_BOOTSTRAP", "1")
            .quiet()
            .ignore_status()
            .output()?;
        let said = String::from_utf8_lossy(&resolved.stderr);
        if !resolved.status.success() && !said.contains("failed to select a version") {
            step(
                "minimal",
                "NOT CHECKED: cargo can't read the registry's index",
            );
            return Ok(());
        }
        anyhow::ensure!(
            resolved.status.success(),
            "a bound in Cargo.toml is lower than the other dependencies allow: raise it\n{said}"
        );
        step("minimal", "cargo check with them");
        // The normal build shows the warnings that matter.
        cmd!(
            sh,
            "cargo check --quiet --locked --workspace --all-features --keep-going"
        )
        .env("RUSTFLAGS", "--cap-lints allow")
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .quiet()
        .run()
        .context(
            "a crate doesn't compile with the oldest versions that Cargo.toml allows: raise the \
             bound of the dependency",
        )?;
        sh.write_file(STAMP, stamp)?;
        Ok(())
    }
}

/// The manifest of the workspace, without the unpublished crates.
fn root(manifest: &str) -> String {
    let is_kept = |line: &&str| {
        let is_unpublished = ["path = \"examples/", "path = \"tests"];
        !line.starts_with("exclude") && !is_unpublished.iter().any(|path| line.contains(path))
    };
    let lines = manifest.lines().filter(is_kept);
    let lines = lines.map(|line| match line.starts_with("members") {
        true => "members = [\"crates/*\"]",
        false => line,
    });
    Vec::from_iter(lines).join("\n") + "\n"
}

/// The manifest of a crate for the sources in `directory`, without the dependencies of its tests.
fn manifest_of_sources(manifest: &str, directory: &Path) -> String {
    let mut kept = String::new();
    let mut is_kept = true;
    let mut has_target = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_kept = !matches!(
                line,
                "[dev-dependencies]" | "[[test]]" | "[[bench]]" | "[[example]]"
            );
        }
        if !is_kept {
            continue;
        }
        match line.strip_prefix("path = \"src/") {
            Some(rest) => {
                has_target = true;
                let _ = writeln!(kept, "path = \"{}/src/{rest}", directory.display());
            }
            None => {
                let _ = writeln!(kept, "{line}");
            }
        }
    }
    if !has_target {
        let _ = write!(
            kept,
            "\n[lib]\npath = \"{}/src/lib.rs\"\n",
            directory.display()
        );
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_has_the_published_crates_alone() {
        let manifest = "[workspace]\nmembers = [\"benches\", \"crates/*\"]\nexclude = [\"x\"]\n\
            [workspace.dependencies]\nexample-app = { path = \"examples/full/app\" }\n\
            test-support = { path = \"tests/support\" }\n\
            gatepass = { version = \"0.1.0\", path = \"crates/gatepass\" }\nbytes = \"1\"\n";
        assert_eq!(
            root(manifest),
            "[workspace]\nmembers = [\"crates/*\"]\n[workspace.dependencies]\n\
             gatepass = { version = \"0.1.0\", path = \"crates/gatepass\" }\nbytes = \"1\"\n"
        );
    }

    #[test]
    fn a_crate_keeps_all_but_what_its_tests_need() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n[dev-dependencies]\n\
            c = \"1\"\n[lints]\nworkspace = true\n";
        assert_eq!(
            manifest_of_sources(manifest, Path::new("/w/a")),
            "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n[lints]\nworkspace = true\n\
             \n[lib]\npath = \"/w/a/src/lib.rs\"\n"
        );
        let program = "[[bin]]\npath = \"src/main.rs\"\n";
        assert_eq!(
            manifest_of_sources(program, Path::new("/w/a")),
            "[[bin]]\npath = \"/w/a/src/main.rs\"\n"
        );
    }
}
