//! Debian's packages, for the commands that may install them.

use xshell::{Shell, cmd};

use crate::{program::answers, progress::step};

/// Installs the packages with apt-get, and says which ones. Does nothing unless this process is
/// root on a system with apt-get, such as a container of Debian.
pub(crate) fn try_install(sh: &Shell, packages: &[&str]) -> anyhow::Result<()> {
    if !is_root(sh) || !answers(sh, &["apt-get", "--version"]) {
        return Ok(());
    }
    let packages_named = packages.join(", ");
    step("setup", &format!("install with apt-get: {packages_named}"));
    cmd!(sh, "apt-get update --quiet=2").quiet().run()?;
    cmd!(sh, "apt-get install --yes --quiet=2 {packages...}")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .quiet()
        .run()?;
    Ok(())
}

/// Whether this process is root.
pub(crate) fn is_root(sh: &Shell) -> bool {
    let user = cmd!(sh, "id -u").quiet().ignore_stderr().read();
    user.is_ok_and(|user| user == "0")
}
