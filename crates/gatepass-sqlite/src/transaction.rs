//! Ends of sessions and changes of their rights in a transaction of the application's own, over a
//! connection of its own to the same file.
//!
//! SQLite lets one transaction write at a time. So the application's transaction waits for the one
//! of the writing thread, and the other way round. Neither sees a half of the other.

use std::path::Path;

use gatepass::{
    Session, StoreError,
    store::{ChangeIdentity, EndReason, EndSessions, Revocation, StoreErrorKind},
};
use rusqlite::{Connection, MAIN_DB};

use crate::{error::Failure, sessions, store::SqliteStore, writer::Write};

/// Why a store did not act in a transaction of the application's.
///
/// Roll the transaction back: its other changes must not be committed without this one. For
/// example, a commit of the new password alone would leave a thief logged in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// There is no transaction: the connection commits each statement by itself. The application
    /// must begin one.
    #[error("there is no transaction: begin one with `TransactionBehavior::Immediate`")]
    NoTransaction,
    /// The connection is not to the store's file. The application must use one that is; a file
    /// that is attached to another one won't do, since SQLite commits the two apart.
    #[error(
        "the transaction is in another file than the sessions: begin it over a connection to that file"
    )]
    OtherFile,
    /// The connection only reads. The application must open it for writing.
    #[error("the transaction only reads: open its connection for writing")]
    ReadOnly,
    /// A commit of the connection is not on the disk when it returns. The application must set
    /// this before the transaction begins.
    #[error(
        "the connection does not sync its commits, so that a power failure could revive a session: run \
         `PRAGMA synchronous = FULL` on it before the transaction, and on macOS `PRAGMA fullfsync = ON`"
    )]
    NotDurable,
    /// SQLite failed. If the kind of the error is [`Busy`](StoreErrorKind::Busy), another
    /// transaction was in the way: repeat yours from its beginning.
    #[error("the sessions could not be ended in this transaction")]
    Store(#[source] StoreError),
}

impl TransactionError {
    /// Whether another transaction was in the way: the same transaction may succeed if it is
    /// repeated from its beginning.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind() == StoreErrorKind::Busy)
    }
}

impl From<Failure> for TransactionError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}

impl From<rusqlite::Error> for TransactionError {
    fn from(error: rusqlite::Error) -> Self {
        Failure::from(error).into()
    }
}

impl SqliteStore {
    /// Ends what `target` names in a transaction of the application's own, over a connection of its
    /// own to the same file: when that commits, the sessions have ended, and all nodes learn of it.
    /// If it is rolled back, as a whole or to a savepoint before this call, nothing has ended.
    ///
    /// Returns what was appended to the log; `None` if all that `target` names was over before, or
    /// is unknown. Until the commit no node enforces it. Processes look for such commits when they
    /// poll. To have it enforced here at once, call
    /// [`Verifier::catch_up`](gatepass::Verifier::catch_up) after the commit.
    ///
    /// Blocks while it reads and writes the file, as the rest of your transaction does. In an async
    /// handler, run the transaction by `tokio::task::spawn_blocking`. Begin it with
    /// [`Immediate`](rusqlite::TransactionBehavior::Immediate), and commit soon: all logins,
    /// refreshes and logouts wait until it ends, since SQLite has one writer at a time.
    ///
    /// ```
    /// use gatepass::{Authority, MasterSecret, Subject, store::{EndReason, EndSessions}};
    /// use gatepass_sqlite::SqliteStore;
    /// use rusqlite::{Connection, TransactionBehavior};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.db");
    /// let store = SqliteStore::open(&path)?;
    /// let secret = MasterSecret::generate()?;
    /// let authority = Authority::builder("https://shop.example", "shop-api", secret, store.clone());
    /// let authority = authority.build().await?;
    /// let mut connection = Connection::open(&path)?;
    /// # connection.execute("CREATE TABLE users (id TEXT PRIMARY KEY)", ())?;
    ///
    /// let alice = Subject::new("alice")?;
    /// let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    /// transaction.execute("DELETE FROM users WHERE id = ?1", [alice.as_str()])?;
    /// let all = EndSessions::AllOf(authority.account(&alice));
    /// store.end_in(&transaction, all, EndReason::UserDeleted)?;
    /// transaction.commit()?;
    /// authority.verifier().catch_up().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TransactionError`], which says what to do. Unless it is
    /// [`Store`](TransactionError::Store), nothing was written.
    pub fn end_in(
        &self,
        transaction: &Connection,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, TransactionError> {
        self.check(transaction)?;
        let write = Write {
            conn: transaction,
            now: self.now(),
        };
        Ok(sessions::end(&write, &target, reason)?)
    }

    /// Changes the rights of a session in a transaction of the application's own, as
    /// [`end_in`](Self::end_in) ends sessions: when that commits, the session has the new rights,
    /// and all nodes refuse older access tokens within `max_staleness`.
    ///
    /// [`Authority::changes_of`](gatepass::Authority::changes_of) makes the changes. `None` means
    /// that the session has ended or changed since: roll back, and begin again with that call.
    ///
    /// [`docs::transactions`](gatepass::docs::transactions) has an example with PostgreSQL. In
    /// SQLite the steps are the same, but this call is not async.
    ///
    /// # Errors
    ///
    /// As [`end_in`](Self::end_in).
    pub fn change_in(
        &self,
        transaction: &Connection,
        change: ChangeIdentity,
    ) -> Result<Option<Session>, TransactionError> {
        self.check(transaction)?;
        let write = Write {
            conn: transaction,
            now: self.now(),
        };
        Ok(sessions::change(&write, change)?)
    }

    /// Checks that the transaction is fit. Changes nothing.
    fn check(&self, conn: &Connection) -> Result<(), TransactionError> {
        if conn.is_autocommit() {
            return Err(TransactionError::NoTransaction);
        }
        let opened = self.opened();
        if !conn
            .path()
            .is_some_and(|path| opened.is_at(Path::new(path)))
        {
            return Err(TransactionError::OtherFile);
        }
        opened.check()?;
        if conn.is_readonly(MAIN_DB)? {
            return Err(TransactionError::ReadOnly);
        }
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if pragma("synchronous")? < FULL || (cfg!(target_os = "macos") && pragma("fullfsync")? == 0)
        {
            return Err(TransactionError::NotDurable);
        }
        // Takes the lock, if a deferred transaction has only read so far. It fails then if another
        // has written since, of which this one would see nothing.
        conn.prepare_cached("UPDATE gatepass_meta SET value = value WHERE false")?
            .execute(())?;
        Ok(())
    }
}

/// `PRAGMA synchronous`, as SQLite numbers it: each commit is synced.
const FULL: i64 = 2;
