//! Ends sessions and changes their rights in the application's own transaction, over the
//! application's connection to the same file.
//!
//! SQLite lets one transaction write at a time. So the application's transaction and the one of the
//! writing thread wait for each other. Neither sees the other half done.

use std::path::Path;

use gatepass::{
    Session, StoreError,
    store::{ChangeIdentity, EndReason, EndSessions, Revocation, StoreErrorKind},
};
use rusqlite::{Connection, MAIN_DB};

use crate::{error::Failure, sessions, store::SqliteStore, writer::Write};

/// The reason why a store did not act in your transaction.
///
/// Roll the transaction back, so that its other changes are not committed without this one. For
/// example, a commit of the new password alone would leave a thief logged in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// There is no transaction: the connection commits each statement by itself. Begin one.
    #[error("there is no transaction: begin one with `TransactionBehavior::Immediate`")]
    NoTransaction,
    /// The connection isn't to the store's file. Use a connection to that file. It isn't enough to
    /// attach the file to another one, because SQLite commits the two separately.
    #[error(
        "the transaction is on another file: begin it on a connection to the file of the sessions"
    )]
    OtherFile,
    /// The connection only reads. Open it for writing.
    #[error("the transaction only reads: open its connection for writing")]
    ReadOnly,
    /// A commit of the connection isn't on the disk when it returns. Set `PRAGMA synchronous`
    /// before the transaction begins.
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
    /// Whether another transaction was in the way. If so, the same transaction may succeed if you
    /// repeat it from its beginning.
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
    /// Ends the sessions that `target` names in your own transaction, over your own connection to
    /// the same file. When it commits, the sessions have ended, and all nodes learn of it. If you
    /// roll it back, as a whole or to a savepoint before this call, nothing has ended.
    ///
    /// Returns the entry that it appended to the log, or `None` if the sessions had ended before or
    /// are unknown. Until the commit, no node enforces the end. Processes find such commits when
    /// they poll. To enforce it here at once, call
    /// [`Verifier::catch_up`](gatepass::Verifier::catch_up) after the commit.
    ///
    /// Blocks while it reads and writes the file, like the rest of your transaction. In an async
    /// handler, run the transaction with `tokio::task::spawn_blocking`. Begin it with
    /// [`Immediate`](rusqlite::TransactionBehavior::Immediate), and commit soon. SQLite has one
    /// writer at a time, so all logins, refreshes and logouts wait until it ends.
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

    /// Changes the rights of a session in your own transaction, as [`end_in`](Self::end_in) ends
    /// sessions. When it commits, the session has the new rights, and all nodes refuse older access
    /// tokens within `max_staleness`.
    ///
    /// Get the changes from [`Authority::changes_of`](gatepass::Authority::changes_of). `None`
    /// means that the session has ended or changed since: roll back, and begin again with that
    /// call.
    ///
    /// [`docs::transactions`](gatepass::docs::transactions) has an example with PostgreSQL. In
    /// SQLite the steps are the same, but this call is not async.
    ///
    /// # Errors
    ///
    /// The errors of [`end_in`](Self::end_in).
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

    /// Checks that the transaction can be used. Changes nothing.
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
        // Takes the lock if a deferred transaction has only read so far. It fails if another
        // transaction has written since, because this one would not see those changes.
        conn.prepare_cached("UPDATE gatepass_meta SET value = value WHERE false")?
            .execute(())?;
        Ok(())
    }
}

/// `PRAGMA synchronous`, as SQLite numbers it: each commit is synced.
const FULL: i64 = 2;
