//! The table of users, in SQLite, with argon2id hashes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use example_passwords::Passwords;
use gatepass::{AuthenticationError, StoreError};
use rusqlite::{Connection, OptionalExtension, Params};

/// A row of the table.
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) roles: String,
    hash: String,
}

/// The table of users, and the hasher, which you can copy from `examples/adopted/passwords`. In
/// production, ask the table off the async threads, or by an async driver.
#[derive(Clone)]
pub(crate) struct Users {
    table: Arc<Mutex<Connection>>,
    passwords: Passwords,
}

impl Users {
    pub(crate) fn open(file: &str, passwords: Passwords) -> Result<Self, rusqlite::Error> {
        let table = Connection::open(file)?;
        // AUTOINCREMENT: the id of a deleted user never becomes the id of another one.
        table.execute_batch(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY AUTOINCREMENT,
             name TEXT NOT NULL UNIQUE COLLATE NOCASE, roles TEXT NOT NULL, hash TEXT NOT NULL)",
        )?;
        let table = Arc::new(Mutex::new(table));
        Ok(Self { table, passwords })
    }

    /// Adds a user with roles, which have blanks between them. Returns false if the name is taken.
    pub(crate) async fn add(
        &self,
        name: &str,
        password: &str,
        roles: &str,
    ) -> Result<bool, StoreError> {
        let hash = self.passwords.hash(password).await?;
        let add = "INSERT OR IGNORE INTO users (name, roles, hash) VALUES (?1, ?2, ?3)";
        let added = self.table().execute(add, (name, roles, hash));
        added.map(|rows| rows > 0).map_err(StoreError::unavailable)
    }

    pub(crate) fn named(&self, name: &str) -> Result<Option<User>, AuthenticationError> {
        self.find("SELECT id, roles, hash FROM users WHERE name = ?1", [name])
    }

    pub(crate) fn with_id(&self, id: &str) -> Result<Option<User>, AuthenticationError> {
        self.find("SELECT id, roles, hash FROM users WHERE id = ?1", [id])
    }

    /// The user, if the password is right. Without a user, this takes as long.
    pub(crate) async fn verified(
        &self,
        user: Option<User>,
        password: &str,
    ) -> Result<Option<User>, AuthenticationError> {
        let hash = user.as_ref().map(|user| user.hash.clone());
        let is_right = self.passwords.verify(password, hash).await;
        let is_right = is_right.map_err(AuthenticationError::unavailable)?;
        Ok(user.filter(|_| is_right))
    }

    fn find(&self, sql: &str, by: impl Params) -> Result<Option<User>, AuthenticationError> {
        let found = self.table().query_row(sql, by, |row| {
            let (id, roles, hash) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(User { id, roles, hash })
        });
        found.optional().map_err(AuthenticationError::unavailable)
    }

    #[cfg(test)]
    pub(crate) fn remove(&self, name: &str) {
        let removed = self
            .table()
            .execute("DELETE FROM users WHERE name = ?1", [name]);
        assert_eq!(removed, Ok(1));
    }

    fn table(&self) -> MutexGuard<'_, Connection> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
