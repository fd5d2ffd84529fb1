//! The users in SQLite: in the same file as the sessions, or in memory.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatepass::{
    Scopes, StoreError, async_trait,
    store::{EndReason, EndSessions},
};
use gatepass_sqlite::{SqliteStore, TransactionError};
use rusqlite::{
    Connection, OptionalExtension, Params, TransactionBehavior::Immediate, named_params,
};
use tokio::task;

use super::table::{Row, Table};

/// The sessions in the same file are safe: all tables of gatepass begin with `gatepass_`.
const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS app_users (
        name  TEXT PRIMARY KEY NOT NULL,
        hash  TEXT NOT NULL,
        scope TEXT NOT NULL,
        demo  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID";
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM app_users)";

pub(super) struct SqliteTable {
    connection: Arc<Mutex<Connection>>,
    /// The store of the sessions, if it is in the same file.
    sessions: Option<SqliteStore>,
}

impl SqliteTable {
    /// Opens the table in the file at `path`, or in memory. `sessions` is the store in the same
    /// file, if any.
    pub(super) fn open(
        path: Option<&Path>,
        sessions: Option<SqliteStore>,
    ) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        // gatepass's writer holds the file's lock for moments at a time.
        connection.busy_timeout(Duration::from_secs(2))?;
        // Sessions that have ended must not come back after a power failure. The second setting is
        // for macOS, and does nothing elsewhere.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON")?;
        connection.execute_batch(MAKE)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            sessions,
        })
    }

    /// Runs a query outside the async threads.
    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |connection| query(connection).map_err(StoreError::unavailable))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection);
        let act = move || act(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        let acted = task::spawn_blocking(act).await;
        acted.map_err(StoreError::unavailable)?
    }

    /// Changes a row with one statement, and ends sessions in the same transaction. Returns whether
    /// the row existed.
    async fn change(
        &self,
        statement: &'static str,
        parameters: impl Params + Send + 'static,
        ends: EndSessions,
        reason: EndReason,
    ) -> Result<bool, StoreError> {
        let sessions = self.sessions.clone();
        let change = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(Immediate)?;
            if transaction.execute(statement, parameters)? == 0 {
                return Ok(false);
            }
            // The last step before the commit.
            if let Some(sessions) = sessions {
                sessions.end_in(&transaction, ends, reason)?;
            }
            transaction.commit()?;
            Ok(true)
        };
        let failed = |error| match error {
            TransactionError::Store(error) => error,
            other => StoreError::unavailable(other),
        };
        self.run(move |connection| change(connection).map_err(failed))
            .await
    }
}

#[async_trait]
impl Table for SqliteTable {
    async fn find(&self, name: &str) -> Result<Option<Row>, StoreError> {
        let name = name.to_owned();
        let find = "SELECT name, hash, scope, demo FROM app_users WHERE name = :name";
        self.query(move |connection| {
            let mut find = connection.prepare_cached(find)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Row {
                    name: row.get("name")?,
                    hash: row.get("hash")?,
                    scope: row.get("scope")?,
                    demo: row.get("demo")?,
                })
            };
            find.query_one(named_params! { ":name": name }, row)
                .optional()
        })
        .await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.query(|connection| connection.query_one(IS_EMPTY, (), |row| row.get(0)))
            .await
    }

    async fn fill(&self, rows: Vec<Row>, if_empty: bool) -> Result<(), StoreError> {
        self.query(move |connection| {
            // From here on, no other transaction writes.
            let transaction = connection.transaction_with_behavior(Immediate)?;
            if if_empty && !transaction.query_one(IS_EMPTY, (), |row| row.get(0))? {
                return Ok(());
            }
            transaction.execute("DELETE FROM app_users", ())?;
            for Row { name, hash, scope, demo } in rows {
                transaction.execute(
                    "INSERT INTO app_users (name, hash, scope, demo) VALUES (:name, :hash, :scope, :demo)",
                    named_params! { ":name": name, ":hash": hash, ":scope": scope, ":demo": demo },
                )?;
            }
            transaction.commit()
        })
        .await
    }

    async fn demo_names(&self) -> Result<Vec<String>, StoreError> {
        let names = "SELECT name FROM app_users WHERE demo ORDER BY name";
        self.query(move |connection| {
            let mut names = connection.prepare(names)?;
            names.query_map((), |row| row.get(0))?.collect()
        })
        .await
    }

    async fn set_scope(&self, name: &str, scope: &Scopes) -> Result<bool, StoreError> {
        let (name, scope) = (name.to_owned(), scope.as_str().to_owned());
        let update = "UPDATE app_users SET scope = :scope WHERE name = :name";
        self.query(move |connection| {
            let parameters = named_params! { ":name": name, ":scope": scope };
            Ok(connection.execute(update, parameters)? > 0)
        })
        .await
    }

    fn ends_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    async fn set_hash(
        &self,
        name: &str,
        old: &str,
        new: &str,
        others: EndSessions,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE app_users SET hash = ?3, demo = false WHERE name = ?1 AND hash = ?2";
        let parameters = [name, old, new].map(str::to_owned);
        self.change(update, parameters, others, EndReason::LogoutAll)
            .await
    }

    async fn delete(&self, name: &str, all: EndSessions) -> Result<bool, StoreError> {
        let delete = "DELETE FROM app_users WHERE name = ?1";
        let parameters = [name.to_owned()];
        self.change(delete, parameters, all, EndReason::UserDeleted)
            .await
    }
}
