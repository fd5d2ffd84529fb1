//! `cargo xtask browser`: the examples' page and the JavaScript client in a real Chromium.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    apt, interop, metadata, npm,
    program::{Missing, answers, has_nextest},
    progress::step,
};

/// The crate of the tests.
pub(crate) const PACKAGE: &str = "gatepass-browser-tests";

/// The directory with the list of the libraries from npm.
const LIBRARIES: &str = "tests/browser/node";

/// The programs, each with the Debian package that contains it.
const NEEDED: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
];

/// The pages of the examples.
const PAGES: &[&str] = &[
    "examples/full/app/src/page/account.html",
    "examples/full/app/src/page/page.html",
];

/// Makes sure that Chromium, its driver and the libraries that check a page are installed.
pub(crate) fn ready(sh: &Shell, missing: Missing) -> anyhow::Result<()> {
    let absent = || {
        let programs = NEEDED.iter();
        programs.filter(|(program, _)| !answers(sh, &[program, "--version"]))
    };
    let packages: Vec<_> = absent().map(|(_, package)| *package).collect();
    if missing == Missing::Installed && !packages.is_empty() {
        apt::try_install(sh, &packages)?;
    }
    if let Some((program, package)) = absent().next() {
        anyhow::bail!(
            "{program} is missing: install it, on Debian with `apt-get install {package}`, or have \
             `cargo xtask setup` do so where it runs as root"
        );
    }
    interop::interpreters(sh, missing)?;
    npm::ready(sh, &directory(sh)?.join("node"), LIBRARIES, missing)
}

/// Runs the tests whose names contain `filter`, or all of them.
pub(crate) fn run(sh: &Shell, filter: Option<&str>) -> anyhow::Result<()> {
    ready(sh, Missing::Reported)?;
    validate(sh)?;
    step("browser", "build the examples' programs");
    cmd!(sh, "cargo build --quiet --package gatepass-tests --bins")
        .quiet()
        .run()?;
    step("browser", "the tests in Chromium");
    let runner: &[&str] = if has_nextest(sh) {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    let filter = filter.as_slice();
    cmd!(sh, "cargo {runner...} --package {PACKAGE} {filter...}")
        .quiet()
        .run()?;
    tell_of_pictures(sh)
}

/// Checks the pages of the examples with html-validate.
pub(crate) fn validate(sh: &Shell) -> anyhow::Result<()> {
    step("browser", "the pages' HTML");
    let validator = directory(sh)?.join("node/node_modules/html-validate/bin/html-validate.mjs");
    cmd!(sh, "node {validator} --preset recommended {PAGES...}")
        .quiet()
        .run()
        .context("a page of the examples is not valid HTML")
}

/// Says where the tests left their pictures.
pub(crate) fn tell_of_pictures(sh: &Shell) -> anyhow::Result<()> {
    let directory = directory(sh)?;
    let mut pictures = sh.read_dir(&directory)?;
    pictures.retain(|file| is_picture(file));
    let (count, shown) = (pictures.len(), directory.display());
    step(
        "browser",
        &format!("{count} pictures of pages are in {shown}"),
    );
    Ok(())
}

fn is_picture(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "png")
}

fn directory(sh: &Shell) -> anyhow::Result<PathBuf> {
    Ok(metadata::target_directory(sh)?.join("browser"))
}
