//! Whether the file at a path is still the one that was opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::Failure;

/// The file was moved, deleted or replaced while it was open. What is written to it now, no other
/// process will ever see.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the database file was moved, deleted or replaced: put it back, or restart this process")]
pub(crate) struct Gone;

/// A file that was opened, and where.
#[derive(Clone)]
pub(crate) struct Opened {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from all others: device and inode.
#[cfg(unix)]
type Identity = (u64, u64);
/// Where the system does not let an open file be moved or deleted.
#[cfg(not(unix))]
type Identity = ();

impl Opened {
    /// The file at `path`, which has just been opened.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        // A relative path must not come to mean another file.
        let path = path.canonicalize()?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }

    /// Fails unless the file is still there.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => Err(Failure::Gone(Gone)),
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;

    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(drop)
}
