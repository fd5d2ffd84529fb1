//! Installs the other libraries, in pinned versions, only below the target directory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    apt, metadata, npm,
    program::{Missing, answers},
    progress::step,
};

/// The oldest major version of Node that oidc-provider supports.
const LEAST_NODE: u32 = 20;

/// The oldest version of Python that the libraries support.
const LEAST_PYTHON: &str = "3.11";

/// The directory of the scripts.
const SCRIPTS: &str = "tests/interop";

const PACKAGES: &[&str] = &["python3-venv", "nodejs", "npm"];

/// The places of the installed libraries.
pub(crate) struct Installed {
    /// The interpreter of the virtual environment.
    python: PathBuf,
    /// The directory of the modules, and of the scripts that import them: Node looks for modules
    /// only there.
    node: PathBuf,
}

impl Installed {
    /// The program that runs the script `name` below `tests/interop`, and the script's path.
    pub(super) fn script(&self, name: &str) -> (PathBuf, PathBuf) {
        let path = Path::new(name);
        if path.extension().is_some_and(|extension| extension == "py") {
            (self.python.clone(), Path::new(SCRIPTS).join(path))
        } else {
            ("node".into(), self.node.join(path))
        }
    }
}

/// Makes sure that the libraries are installed, in the versions that the repository names.
pub(crate) fn ready(sh: &Shell, missing: Missing) -> anyhow::Result<Installed> {
    interpreters(sh, missing)?;
    let root = metadata::target_directory(sh)?.join("interop");
    Ok(Installed {
        python: python(sh, &root.join("python"), missing)?,
        node: node(sh, &root.join("node"), missing)?,
    })
}

/// Makes sure that Python, Node and npm are installed.
pub(crate) fn interpreters(sh: &Shell, if_missing: Missing) -> anyhow::Result<()> {
    if if_missing == Missing::Installed && missing(sh).is_some() {
        apt::try_install(sh, PACKAGES)?;
    }
    match missing(sh) {
        None => Ok(()),
        Some(what) => anyhow::bail!(
            "{what}: install it, on Debian with `apt-get install {}`, or have `cargo xtask setup` do \
             so where it runs as root",
            PACKAGES.join(" ")
        ),
    }
}

/// The first missing program.
fn missing(sh: &Shell) -> Option<String> {
    // Debian has the modules `venv` and `ensurepip` in separate packages.
    if !answers(sh, &["python3", "-c", "import ensurepip, venv"]) {
        return Some("python3 with its module venv is missing".to_owned());
    }
    let recent = LEAST_PYTHON.replace('.', ", ");
    let recent = format!("import sys; sys.exit(sys.version_info < ({recent}))");
    if !answers(sh, &["python3", "-c", &recent]) {
        return Some(format!("python3 is older than {LEAST_PYTHON}"));
    }
    let version = cmd!(sh, "node --version").quiet().ignore_stderr().read();
    let Some(major) = version.ok().as_deref().and_then(major) else {
        return Some("node is missing".to_owned());
    };
    if major < LEAST_NODE {
        return Some(format!("node is {major} and must be {LEAST_NODE} or newer"));
    }
    (!answers(sh, &["npm", "--version"])).then(|| "npm is missing".to_owned())
}

fn major(version: &str) -> Option<u32> {
    let version = version.trim().strip_prefix('v')?;
    version.split('.').next()?.parse().ok()
}

/// The interpreter of a virtual environment with the packages of `requirements.txt`.
fn python(sh: &Shell, directory: &Path, missing: Missing) -> anyhow::Result<PathBuf> {
    let requirements = "tests/interop/requirements.txt";
    let bin = if cfg!(windows) { "Scripts" } else { "bin" };
    let python = directory.join(bin).join("python");
    npm::once(sh, directory, &[requirements], missing, || {
        let shown = directory.display();
        step(
            "setup",
            &format!("install from PyPI, into {shown}: what {requirements} lists"),
        );
        cmd!(sh, "python3 -m venv {directory}").quiet().run()?;
        cmd!(
            sh,
            "{python} -m pip install --quiet --disable-pip-version-check --requirement {requirements}"
        )
        .quiet()
        .run()
        .context("cannot install from PyPI; is the network there?")
    })?;
    Ok(python)
}

/// The scripts, next to the modules that `package-lock.json` names.
fn node(sh: &Shell, directory: &Path, missing: Missing) -> anyhow::Result<PathBuf> {
    npm::ready(sh, directory, SCRIPTS, missing)?;
    for below in ["", "clients"] {
        let copies = directory.join(below);
        sh.create_dir(&copies)?;
        for script in sh.read_dir(Path::new(SCRIPTS).join(below))? {
            if script
                .extension()
                .is_some_and(|extension| extension == "mjs")
            {
                sh.copy_file(&script, &copies)?;
            }
        }
    }
    Ok(directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_node_is_read() {
        for (version, expected) in [
            ("v20.20.2\n", Some(20)),
            ("v18.20.8", Some(18)),
            ("", None),
            ("20.1", None),
        ] {
            assert_eq!(major(version), expected, "{version:?}");
        }
    }
}
