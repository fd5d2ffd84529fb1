//! Debian's packages, where this is a machine that is there for nothing else.

use xshell::{Shell, cmd};

use crate::{progress::step, setup::answers};

/// Installs `packages` with apt-get where this is root on a system of Debian's kind, such as a container;
/// does nothing elsewhere.
pub(crate) fn try_install(sh: &Shell, packages: &[&str]) -> anyhow::Result<()> {
    if !is_root(sh) || !answers(sh, &["apt-get", "--version"]) {
        return Ok(());
    }
    step("setup", &format!("{}, with apt-get", packages.join(", ")));
    cmd!(sh, "apt-get update --quiet=2").quiet().run()?;
    cmd!(sh, "apt-get install --yes --quiet=2 {packages...}")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .quiet()
        .run()?;
    Ok(())
}

/// Whether this runs as the user who may do everything.
pub(crate) fn is_root(sh: &Shell) -> bool {
    let user = cmd!(sh, "id -u").quiet().ignore_stderr().read();
    user.is_ok_and(|user| user == "0")
}
