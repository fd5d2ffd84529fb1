//! Errors of SQLite, and the errors of gatepass that they become.

use std::{io, path::PathBuf};

use gatepass::{StoreError, store::StoreErrorKind};
use rusqlite::ErrorCode;

/// The reason why a store was not opened. Each message tells the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be opened, created or written: a wrong path, or missing rights.
    #[error(
        "cannot open or create {path:?}: it must be a file, in a directory that exists, and both \
         must be writable to this process"
    )]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The file is not an SQLite database, or is damaged at its very start.
    #[error("{path:?} is not an SQLite database: give another path, or restore a backup")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a damaged database.
    #[error(
        "{path:?} is damaged: restore a backup, or save what can be read with `sqlite3 {path:?} .recover`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be read or written, although it exists and the process has the right.
    #[error(
        "cannot read or write {path:?}: the disk is full or broken, or this process has reached a quota or limit"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The file, or the `-wal` or `-shm` beside it, disappeared right after it was opened.
    #[error("{path:?} disappeared while it was opened: find the program that deletes or moves it")]
    Gone {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Several connections can't use the file at once, which this store needs. For example, it is
    /// on a network file system, or it isn't a file.
    #[error(
        "{path:?} cannot be put into WAL mode (it stays in mode {mode:?}): give the path of a file \
         on a local file system"
    )]
    NoWal {
        /// The file.
        path: PathBuf,
        /// The journal mode of the file.
        mode: String,
    },
    /// A newer release has used the file already.
    #[error(
        "{path:?} has schema version {found}, and this release knows versions up to {known}: \
         upgrade gatepass-sqlite in every process that uses the file"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema version that the file has.
        found: u32,
        /// The newest schema version that this release knows.
        known: u32,
    },
    /// An older release made the tables, and a reader doesn't migrate them.
    #[error(
        "{path:?} has schema version {found}, and this release knows version {known}: the next node of \
         this release that starts migrates it, or use the release of the nodes"
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// The schema version that the file has.
        found: u32,
        /// The schema version that this release reads.
        known: u32,
    },
    /// The database has no sessions, and a reader doesn't create tables.
    #[error(
        "there are no sessions in {path:?}: give the path that the nodes have, or start a node"
    )]
    NoStore {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the file's write lock for longer than the busy timeout.
    #[error("{path:?} is locked by another process: end its transaction, or try again")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed in another way.
    #[error("SQLite failed while opening {path:?}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The system can't start a thread for the store.
    #[error("cannot start a thread: raise the process's limits")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn new(path: PathBuf, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::CannotOpen { path, source }
            }
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::Disk { path, source },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// The reason why a statement, or reading its rows, failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Sqlite(rusqlite::Error),
    Unreadable(Unreadable),
    Gone(Gone),
}

/// A column that doesn't hold a value that gatepass writes. The error doesn't show its content,
/// which may be personal.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("column {0} is unreadable")]
pub(crate) struct Unreadable(pub(crate) &'static str);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Unreadable(unreadable) => return Self::corrupt(unreadable),
            Failure::Gone(gone) => return Self::unavailable(gone),
            Failure::Sqlite(error) => error,
        };
        if is_busy(&error) {
            return Self::new(StoreErrorKind::Busy);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(error),
            _ => Self::unavailable(error),
        }
    }
}

/// Whether another connection holds a lock that this one needs.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// One of the files was moved, deleted or replaced while it was open. Other processes will never
/// see later writes to it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the database file, or the -wal or -shm beside it, was moved, deleted or replaced: put it back, or \
     stop this process in good order and start it again"
)]
pub(crate) struct Gone;
