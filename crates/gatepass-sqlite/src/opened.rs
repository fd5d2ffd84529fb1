//! Checks that the files at a path are still the ones that the store has opened.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{Failure, Gone};

/// The files of an open database, and their paths.
///
/// While the database is open, all three must stay the same. Without the `-wal`, the latest commits
/// are lost when the process dies. Without the `-shm`, processes don't see each other's locks, and
/// destroy the file.
#[derive(Clone)]
pub(crate) struct Opened {
    files: Arc<[(PathBuf, Identity); 3]>,
}

/// The device and inode, which tell a file from all others.
#[cfg(unix)]
type Identity = (u64, u64);
/// Nothing, on systems where an open file can't be moved or deleted.
#[cfg(not(unix))]
type Identity = ();

impl Opened {
    /// The database at `path`, which has just been opened and read.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        // A relative path would name another file if the working directory changes.
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

    /// Fails unless all files are still the same.
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
