//! The directories for the files of servers. Each run has its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context;

use crate::{account::Account, program::succeeds};

/// A directory of this process, which is removed when dropped. Drop its servers first.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    pub(crate) account: Account,
    servers: AtomicU32,
}

impl Directory {
    /// Makes a directory below `root`, and removes the directories of killed processes.
    ///
    /// # Errors
    ///
    /// An error if the directory can't be made.
    pub fn make(root: impl Into<PathBuf>) -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let account = Account::choose();
        let mut root = root.into();
        fs::create_dir_all(&root)?;
        if !can_enter(&account, &root) {
            // Other users often can't enter a home directory, such as root's.
            root = std::env::temp_dir().join("gatepass-servers");
            fs::create_dir_all(&root)?;
        }
        remove_abandoned(&root)?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{}-{number}", process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // From here on, its `Drop` removes it, even after an error.
        let directory = Self {
            path,
            account,
            servers: AtomicU32::new(0),
        };
        directory.hand_over(&directory.path)?;
        Ok(directory)
    }

    /// A path for the files of another server.
    pub(crate) fn place(&self, server: &str) -> PathBuf {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{server}-{number}"))
    }

    /// Writes a file that only the servers may read.
    pub(crate) fn write(&self, file: &Path, text: &str) -> anyhow::Result<()> {
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        self.hand_over(file)?;
        succeeds("chmod", Command::new("chmod").arg("600").arg(file))?;
        Ok(())
    }

    /// Makes an empty directory that the servers own.
    pub(crate) fn make_place(&self, path: &Path) -> anyhow::Result<()> {
        fs::create_dir(path)?;
        self.hand_over(path)
    }

    fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(other) = self.account.other() {
            succeeds("chown", Command::new("chown").arg(other).arg(path))?;
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The next run removes the files that are left.
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

/// Removes the directories of processes that have ended. Their servers ended with them.
fn remove_abandoned(root: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let process = name.split('-').next().unwrap_or_default();
        if process.parse::<u32>().is_ok() && !is_running(process) {
            // Another process may also be removing it.
            drop(fs::remove_dir_all(entry.path()));
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
