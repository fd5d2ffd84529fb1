//! `cargo xtask release --dry-run`: does everything for a release except the upload.

mod cli;
mod client;
mod order;
mod ready;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    docs,
    metadata::{self, Metadata, Package},
    program::Missing,
    progress::Steps,
    tools,
};

/// Checks the crates, packages them, and builds the packages outside of the workspace.
///
/// Continues after a finding, so that one run shows everything that is missing.
pub(crate) fn run(sh: &Shell, dry_run: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        dry_run,
        "publishing needs a token of crates.io, and is a person's step: RELEASING.md has the \
         commands. `cargo xtask release --dry-run` does all that comes before it"
    );
    // The steps that need these tools come last, after minutes.
    let auditable = tools::CARGO_AUDITABLE.ready(sh, Missing::Reported)?;
    tools::MDBOOK.ready(sh, Missing::Reported)?;
    let metadata = Metadata::read(sh)?;
    let packages = order::of(metadata.published())?;
    let mut steps = Steps::new("release", 5);

    steps.next("versions, changelog, manifests, work tree");
    let mut findings = ready::check(sh, &packages)?;

    steps.next("the files of each package");
    for package in &packages {
        findings.extend(ready::files(sh, package)?);
    }
    match client::files(sh) {
        Ok(missing) => findings.extend(missing),
        Err(error) => findings.push(format!("{error:#}")),
    }

    let count = packages.len();
    steps.next(&format!(
        "package {count} crates, and build each from its package"
    ));
    let packaged = package(sh, &packages);

    steps.next("the command line tool, with the list of its dependencies");
    let built = cli::build(sh, &auditable);

    steps.next("the guide and the documentation");
    let documented = docs::run(sh);
    steps.done();

    println!("The order in which a person publishes the crates:");
    for (number, package) in (1..).zip(&packages) {
        println!("{number:>4}. {} {}", package.name, package.version);
    }
    match built {
        Ok(program) => println!("The command line tool: {}", program.display()),
        Err(error) => findings.push(format!("{error:#}")),
    }
    for failed in [packaged, documented] {
        findings.extend(failed.err().map(|error| format!("{error:#}")));
    }
    anyhow::ensure!(
        findings.is_empty(),
        "this can't be released:\n{}",
        findings.join("\n")
    );
    Ok(())
}

/// Packages the crates, and builds each package as a user would: from its own files, and with the
/// other packages from a temporary registry. Then removes the packages.
///
/// The builds have all features. With the default ones, a package could lack a file that only
/// another feature needs.
fn package(sh: &Shell, packages: &[&Package]) -> anyhow::Result<()> {
    let target = metadata::target_directory(sh)?;
    let directory = sh.create_temp_dir()?;
    let config = directory.path().join("profile.toml");
    sh.write_file(&config, profile(&sh.read_file("Cargo.toml")?))?;
    let selected = packages
        .iter()
        .flat_map(|package| ["--package", &package.name]);
    let built = cmd!(
        sh,
        "cargo package --quiet --locked --allow-dirty --all-features --config {config} {selected...}"
    )
    .env("CARGO_TARGET_DIR", &target)
    .quiet()
    .run();
    sh.remove_path(target.join("package"))?;
    built.context("a crate can't be packaged, or its package doesn't build: see above")
}

/// The profiles of the workspace for dependencies. A package doesn't contain them. With these, a
/// build of a package reuses the dependencies that are already compiled.
fn profile(manifest: &str) -> String {
    let wanted = ["[profile.dev]", "[profile.dev.package.\"*\"]"];
    let mut is_wanted = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_wanted = wanted.contains(line);
        }
        is_wanted
    });
    Vec::from_iter(lines).join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_profile_of_all_dependencies_is_taken() {
        let manifest = "[workspace]\na = 1\n[profile.dev]\nb = 2\n\n[profile.dev.package.\"*\"]\n\
            c = 3\n[profile.dev.package.argon2]\nd = 4\n[profile.bench]\ne = 5\n";
        assert_eq!(
            profile(manifest),
            "[profile.dev]\nb = 2\n\n[profile.dev.package.\"*\"]\nc = 3\n"
        );
    }

    #[test]
    fn it_refuses_to_publish_and_says_what_to_do() {
        let sh = Shell::new().unwrap();
        let error = run(&sh, false).unwrap_err().to_string();
        assert!(
            error.contains("RELEASING.md") && error.contains("--dry-run"),
            "{error}"
        );
    }
}
