//! The users in SQLite: in the same file as the sessions, or in memory.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatepass::{Scopes, StoreError, async_trait};
use rusqlite::{Connection, OptionalExtension, named_params};
use tokio::task;

use super::table::{Row, Table};

/// Sessions in the same file are in no danger: all tables of gatepass begin with `gatepass_`.
const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS app_users (
        name  TEXT PRIMARY KEY NOT NULL,
        hash  TEXT NOT NULL,
        scope TEXT NOT NULL,
        demo  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID";
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM app_users)";

pub(super) struct SqliteTable(Arc<Mutex<Connection>>);

impl SqliteTable {
    /// In the file at `path`, or in memory.
    pub(super) fn open(path: Option<&Path>) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        // The sessions' writer holds the same file's lock for moments at a time.
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.execute_batch(MAKE)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Asks the database off the async threads.
    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.0);
        let query = move || query(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        let queried = task::spawn_blocking(query).await;
        queried
            .map_err(StoreError::unavailable)?
            .map_err(StoreError::unavailable)
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
            // No other transaction writes from here on.
            let behavior = rusqlite::TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
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

    async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let delete = "DELETE FROM app_users WHERE name = :name";
        self.query(move |connection| {
            Ok(connection.execute(delete, named_params! { ":name": name })? > 0)
        })
        .await
    }
}
