//! The table of users, in SQLite.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepass::{AuthenticationError, StoreError};
use rusqlite::{Connection, OptionalExtension, Params};

/// The roles of a user, with blanks between them, or `None` if there is no such user.
type Asked = Result<Option<String>, AuthenticationError>;

/// The table of users. In production, ask it off the async threads, or by an async driver.
#[derive(Clone)]
pub(crate) struct Users(Arc<Mutex<Connection>>);

impl Users {
    pub(crate) fn open() -> Result<Self, rusqlite::Error> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, roles TEXT);
             INSERT INTO users VALUES ('alice', 'wonderland', 'customer'), ('root', 'looking glass', 'admin')",
        )?;
        Ok(Self(Arc::new(Mutex::new(database))))
    }

    /// The roles of the user with this password. A real table has a hash, such as argon2id.
    pub(crate) fn log_in(&self, name: &str, password: Option<&str>) -> Asked {
        let sql = "SELECT roles FROM users WHERE name = ?1 AND password = ?2";
        self.ask(sql, (name, password))
    }

    /// The roles of a user.
    pub(crate) fn roles(&self, name: &str) -> Asked {
        self.ask("SELECT roles FROM users WHERE name = ?1", [name])
    }

    pub(crate) fn set_roles(&self, name: &str, roles: &str) -> Result<(), StoreError> {
        let sql = "UPDATE users SET roles = ?2 WHERE name = ?1";
        let set = self.database().execute(sql, [name, roles]);
        set.map(drop).map_err(StoreError::unavailable)
    }

    fn ask(&self, sql: &str, user: impl Params) -> Asked {
        let roles = self.database().query_row(sql, user, |row| row.get(0));
        roles.optional().map_err(AuthenticationError::unavailable)
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
