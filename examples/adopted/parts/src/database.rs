//! The service's own tables, in the same file as the sessions.

use std::{
    error::Error,
    io,
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
        // A session that a new password has ended must not come back after a power failure. The
        // second one is for macOS.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON")?;
        connection.execute_batch("PRAGMA foreign_keys = ON")?;
        connection.execute_batch(MAKE)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs a query outside the async threads.
    pub(crate) async fn ask<T, E>(
        &self,
        query: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let connection = Arc::clone(&self.0);
        let ask = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            query(&mut connection).map_err(io::Error::other)
        };
        let answer = spawn_blocking(ask).await.map_err(StoreError::unavailable)?;
        answer.map_err(StoreError::unavailable)
    }
}
