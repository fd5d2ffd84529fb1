//! The service's own tables, in the same file as the sessions.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatepass::StoreError;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

/// The tables of gatepass begin with `gatepass_`.
const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS users (
        name TEXT PRIMARY KEY NOT NULL,
        password_hash TEXT NOT NULL,
        scopes TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS keys (
        id INTEGER PRIMARY KEY,
        hash BLOB UNIQUE NOT NULL,
        owner TEXT NOT NULL REFERENCES users,
        name TEXT NOT NULL,
        scopes TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS parts (
        name TEXT PRIMARY KEY NOT NULL,
        stock INTEGER NOT NULL,
        changed_by TEXT NOT NULL
    ) STRICT;";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

impl Database {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // gatepass's writer holds the file's lock for moments at a time.
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.execute_batch("PRAGMA foreign_keys = ON")?;
        connection.execute_batch(MAKE)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs a query outside the async threads.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.0);
        let ask = move || query(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = spawn_blocking(ask).await.map_err(StoreError::unavailable)?;
        answer.map_err(StoreError::unavailable)
    }
}
