//! Where the servers keep their files: below the target directory, each run in a place of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::Context;
use xshell::{Shell, cmd};

use super::account::Account;
use crate::metadata;

/// A directory of this run, removed when dropped.
pub(super) struct Directory {
    path: PathBuf,
    pub(super) account: Account,
}

impl Directory {
    /// Makes it, and removes those of runs that were killed.
    pub(super) fn make(sh: &Shell) -> anyhow::Result<Self> {
        let account = Account::choose(sh);
        let mut root = metadata::target_directory(sh)?.join("servers");
        sh.create_dir(&root)?;
        if !can_enter(&account, &root) {
            // A home directory, as that of root often is, is closed to other users.
            root = std::env::temp_dir().join("gatepass-servers");
            sh.create_dir(&root)?;
        }
        remove_abandoned(&root)?;
        let path = root.join(process::id().to_string());
        sh.create_dir(&path)?;
        // From here on it is removed whatever happens.
        let directory = Self { path, account };
        if let Some(other) = directory.account.other() {
            let path = &directory.path;
            cmd!(sh, "chown {other} {path}").quiet().run()?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that the servers may read.
    pub(super) fn write(&self, sh: &Shell, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.path.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        if let Some(other) = self.account.other() {
            cmd!(sh, "chown {other} {file}").quiet().run()?;
        }
        cmd!(sh, "chmod 600 {file}").quiet().run()?;
        Ok(file)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is removed by the next run.
        drop(fs::remove_dir_all(&self.path));
    }
}

fn can_enter(account: &Account, directory: &Path) -> bool {
    account
        .command(Path::new("test"))
        .arg("-x")
        .arg(directory)
        .status()
        .is_ok_and(|status| status.success())
}

/// Removes the directories of processes that are no more. Their servers ended with them.
fn remove_abandoned(root: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_number = name.to_string_lossy().parse::<u32>().is_ok();
        if is_number && !is_running(&name.to_string_lossy()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_running(process: &str) -> bool {
    Command::new("sh")
        .args(["-c", "kill -0 \"$0\"", process])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
