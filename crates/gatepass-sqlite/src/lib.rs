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
//! public key alone. It needs write access to the file, like every reader of SQLite in WAL mode.
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
//! only then answers their callers. For example, sixteen callers share the cost of one `fsync`. A
//! few more threads read, each over its own connection.
//!
//! A change waits for its turn and for the locks of other processes. After about twice
//! [`busy_timeout`](SqliteStoreBuilder::busy_timeout) (one second at least), it fails as
//! [`Busy`](gatepass::store::StoreErrorKind::Busy). The time is the machine's clock.
//!
//! When you drop the last handle, the store finishes the queued changes and closes the file, which
//! takes a moment. The file is then complete without the `-wal` beside it. Only its owner can read
//! and write a file that the store creates.
//!
//! If several processes write much, the lock is free only for moments. So a store that waits for
//! the lock tries again each half millisecond. A store that has written without a break for 50 ms
//! leaves the lock to others for one millisecond. Your own transactions on the same file have only
//! SQLite's `busy_timeout`, which tries more rarely: keep them short, and repeat them if they fail.
//!
//! # Your own transaction
//!
//! [`SqliteStore::end_in`] ends sessions in your own transaction on the same file: they end with
//! its commit, or not at all. [`gatepass::docs::transactions`] has the details.
//!
//! # Crashes and outages
//!
//! * **The process is killed:** all acknowledged changes are there at the next start, or in the
//!   next statement of another process. A change that was under way is there completely or not at
//!   all.
//! * **The power fails:** the same, if the disk keeps what it has acknowledged. The file is in WAL
//!   mode with `synchronous=FULL`: SQLite syncs the log at each commit, and the directory when it
//!   creates the log. On macOS, `fullfsync` is on. Some disks and virtual machines acknowledge an
//!   `fsync` too early, and can lose the latest commits. If a lost commit was a refresh, the
//!   session continues from the token that its owner holds. If it was the end of a session, the
//!   session may live again.
//! * **The disk is full, or a lock is held for too long:** changes fail as
//!   [`StoreError`](gatepass::StoreError), which is a 503 and never a refusal. Reads still work.
//!   Once there is room, or the lock is free, changes work again without a restart.
//! * **The file, its `-wal` or its `-shm` is moved, deleted or replaced while it is open:** every
//!   call fails until the file is back, and the store acknowledges nothing. If you can't put it
//!   back, stop the process cleanly: it then writes the content of the log into the file. Never
//!   delete a `-wal`: at the next start, SQLite can't tell that it is missing.
//! * **The file is damaged:** each call that needs a damaged page fails, and a start that reads one
//!   reports it. SQLite keeps no checksums. So a flipped bit *within* a row or a key can go
//!   unnoticed, or make a session unknown. Only the file system or the disk can find it; `PRAGMA
//!   integrity_check` finds some cases.
//!
//! # Backups
//!
//! Copy the file with `sqlite3 sessions.db ".backup copy.db"` or `VACUUM INTO`: a plain copy lacks
//! the content of the `-wal`. Restore only while no process has the file open, and remove the
//! `-wal` and `-shm` of the file that you replace.

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
