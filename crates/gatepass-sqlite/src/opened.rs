//! Whether the file at a path is still the one that was opened, and what belongs to it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{Failure, Gone};

/// The files of a database that was opened, and where they are.
///
/// As long as it is open, all three stay what they are. Without the `-wal` the latest commits are
/// lost once the process dies; without the `-shm` processes do not see each other's locks, and
/// destroy the file.
#[derive(Clone)]
pub(crate) struct Opened {
    files: Arc<[(PathBuf, Identity); 3]>,
}

/// The device and inode, which tell a file from all others.
#[cfg(unix)]
type Identity = (u64, u64);
/// Nothing, for systems that do not let an open file be moved or deleted.
#[cfg(not(unix))]
type Identity = ();

impl Opened {
    /// The database at `path`, which has just been opened and read.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        // A relative path must not come to mean another file.
        let path = path.canonicalize()?;
        let file = |suffix: &str| {
            let mut name = OsString::from(&path);
            name.push(suffix);
            let file = PathBuf::from(name);
            let identity = identity(&file)?;
            io::Result::Ok((file, identity))
        };
        let files = [file("")?, file("-wal")?, file("-shm")?];
        Ok(Self {
            files: Arc::new(files),
        })
    }

    /// Whether this is the database at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let [(own, _), ..] = &*self.files;
        path.canonicalize().is_ok_and(|path| path == *own)
    }

    /// Fails unless all files are still there.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let there = |(file, opened): &(PathBuf, Identity)| {
            identity(file).is_ok_and(|identity| identity == *opened)
        };
        if self.files.iter().all(there) {
            Ok(())
        } else {
            Err(Failure::Gone(Gone))
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
