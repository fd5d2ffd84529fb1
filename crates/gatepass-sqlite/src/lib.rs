#![doc = include_str!("../README.md")]
//!
//! # The file
//!
//! The file may be your application's own database: all tables here begin with `gatepass_`, and
//! gatepass leaves `PRAGMA user_version` to you. Opening puts the file into WAL mode, which needs a
//! local file system. Several processes of one machine may share it. SQLite itself is bundled.
//!
//! # A service that only verifies
//!
//! Another process of the same machine can follow the revocations in the file, and verify with a
//! public key alone. It needs to be able to write to the file, as SQLite's readers do in WAL mode.
//!
//! ```no_run
//! use gatepass::{KeySet, Verifier, keys::VerifyingKey};
//! use gatepass_sqlite::SqliteStore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let key = VerifyingKey::from_any_pem(&std::fs::read("public.pem")?)?;
//! let log = SqliteStore::open("/var/lib/shop/sessions.db")?;
//! let keys = KeySet::verifying([key]);
//! let verifier = Verifier::builder("https://shop.example", "shop-api", keys, log).build().await?;
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! One thread per store owns the one connection that writes. It takes all changes that are waiting,
//! makes them in one transaction, commits once (`synchronous=FULL`: the data is on the disk), and
//! only then answers their callers. So sixteen callers share the price of one `fsync`. A few more
//! threads read, each from a connection of its own.
//!
//! A change waits at most about twice [`busy_timeout`](SqliteStoreBuilder::busy_timeout) (of which
//! one second at least) for its turn and for the lock of another process, and fails as
//! [`Busy`](gatepass::store::StoreErrorKind::Busy) after that. Time is the machine's clock.
//!
//! Dropping the last handle finishes what is queued and closes the file, which takes a moment; the
//! file is whole then, without the `-wal` beside it. A file that is created is for its owner alone.
//!
//! The lock of another process is looked for each half millisecond, since among processes that all
//! write much it is free for moments only, and a store that has written without a break for 50 ms
//! leaves it to others for one. The application's own transactions on the same file have only
//! SQLite's own `busy_timeout`, which looks more rarely: keep them short, and try again.
//!
//! # Your own transaction
//!
//! [`SqliteStore::end_in`] ends sessions in a transaction of the application's on the same file:
//! they end with its commit, or not at all. [`gatepass::docs::transactions`] tells more.
//!
//! # What survives what
//!
//! * **The process is killed:** all that was acknowledged is there at the next start, or in the
//!   next statement of another process. A change that was under way is there whole or not at all.
//! * **The power fails:** the same, as far as the disk keeps what it said it had written. The file
//!   is in WAL mode with `synchronous=FULL`, which syncs the log at each commit, and the directory
//!   when the log is made; on macOS `fullfsync` is on. A disk or a virtual machine that
//!   acknowledges an `fsync` without having done it can lose the latest commits: of those, a
//!   session goes on from what its owner holds, and one that had ended may live again.
//! * **The disk is full, or a lock is held for too long:** changes fail as
//!   [`StoreError`](gatepass::StoreError), which is a 503 and never a refusal; reading goes on.
//!   Once there is room, or the lock is free, all goes on without a restart.
//! * **The file, its `-wal` or its `-shm` is moved, deleted or replaced while it is open:** every
//!   call fails from then on, and nothing is acknowledged, until the file is back. Without a way to
//!   put it back, stop the process in good order: it then writes what is in the log into the file.
//!   At the start a missing `-wal` cannot be told from one that was not needed: never delete one.
//! * **The file is damaged:** a page that is no page of a database fails each call that needs it,
//!   and a start that meets one says so. SQLite keeps no checksums of what is in the file, so that
//!   a flipped bit *within* a row or a key can go unnoticed, or make a session unknown: that is for
//!   the file system or the disk to find. `PRAGMA integrity_check` finds some of it.
//!
//! # Backups
//!
//! Copy the file with `sqlite3 sessions.db ".backup copy.db"` or `VACUUM INTO`: a plain copy lacks
//! what is in the `-wal`. Restore only while no process has the file open, and remove the `-wal`
//! and `-shm` of the file that is replaced.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod attempts;
mod error;
mod examination;
mod heartbeats;
mod log;
mod opened;
mod queue;
mod read_only;
mod reader;
mod row;
mod scan;
mod schema;
mod sessions;
mod store;
mod transaction;
mod writer;

pub use self::{
    error::OpenError,
    read_only::SqliteReader,
    store::{SqliteStore, SqliteStoreBuilder},
    transaction::TransactionError,
};
