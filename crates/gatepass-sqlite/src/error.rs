//! The errors, in SQLite's terms and in gatepass's.

use std::{io, path::PathBuf};

use gatepass::{StoreError, store::StoreErrorKind};
use rusqlite::ErrorCode;

/// Why a store was not opened. Each is for the operator, and says what to do.
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
    /// The file is something else, or damaged at its very start.
    #[error("{path:?} is not an SQLite database: give another path, or restore a backup")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database, and damaged.
    #[error(
        "{path:?} is damaged: restore a backup, or save what can be read with `sqlite3 {path:?} .recover`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written, though it is there and may be.
    #[error(
        "cannot read or write {path:?}: the disk is full, at a quota or limit of this process, or broken"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The file, or what SQLite keeps beside it, was gone again right after it was opened.
    #[error("{path:?} disappeared while it was opened: see who deletes or moves it")]
    Gone {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file cannot be used by several connections at once, as this store does: it is on a
    /// network file system, or not a file at all.
    #[error(
        "{path:?} cannot be put into WAL mode (it stays in mode {mode:?}): give the path of a file \
         on a local file system"
    )]
    NoWal {
        /// The file.
        path: PathBuf,
        /// The journal mode that it has.
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
    /// An older release has made the tables, and a reader doesn't change them.
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
    /// The system has no thread for the store.
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

/// Why a statement, or the reading of its rows, failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Sqlite(rusqlite::Error),
    Unreadable(Unreadable),
    Gone(Gone),
}

/// A column that does not hold what gatepass writes there. Its content is not told: it may be
/// personal.
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

/// One of the files was moved, deleted or replaced while it was open. No other process will ever
/// see what is written to it now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the database file, or the -wal or -shm beside it, was moved, deleted or replaced: put it back, or \
     stop this process in good order and start it again"
)]
pub(crate) struct Gone;
