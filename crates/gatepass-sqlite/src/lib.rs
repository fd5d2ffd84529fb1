//! Gatepass sessions in one SQLite file: durable, and fast through group commit.
//!
//! ```no_run
//! # fn main() -> Result<(), gatepass_sqlite::OpenError> {
//! let store = gatepass_sqlite::SqliteStore::open("/var/lib/shop/sessions.db")?;
//! # Ok(()) }
//! ```
//!
//! The file may be the application's own database: all tables here begin with `gatepass_`, and
//! `PRAGMA user_version` is left to the application. The file is put into WAL mode, which needs a
//! local file system, and several processes of one machine may share it. SQLite itself is bundled.
//!
//! # A service that only verifies
//!
//! Another process of the same machine can follow the revocations in the file, and verify with a
//! public key alone. It needs to be able to write to the file, as SQLite's readers do in WAL mode.
//!
//! ```no_run
//! use gatepass::{KeySet, Verifier, VerifyingKey};
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
//! [`Busy`](gatepass::StoreErrorKind::Busy) after that. Time is the machine's clock.
//!
//! Dropping the last handle finishes what is queued and closes the file, which takes a moment; the
//! file is whole then, without the `-wal` beside it. A file that is created is for its owner alone.
//!
//! # Backups
//!
//! Copy the file with `sqlite3 sessions.db ".backup copy.db"` or `VACUUM INTO`. Restore only while no
//! process has the file open. One that finds its file moved, deleted or replaced fails from then on, and
//! acknowledges nothing, until the file is back or the process is restarted.

mod error;
mod log;
mod opened;
mod queue;
mod reader;
mod row;
mod schema;
mod sessions;
mod store;
mod writer;

pub use self::{
    error::OpenError,
    store::{SqliteStore, SqliteStoreBuilder},
};
