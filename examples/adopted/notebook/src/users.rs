//! The users and their logins.

use std::{error::Error, time::Duration};

use example_passwords::Passwords;
use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Pass, Session, StoreError,
    Subject, UserUpdate, async_trait,
    store::{AccountId, EndReason, EndSessions},
};
use gatepass_sqlite::SqliteStore;
use rusqlite::{OptionalExtension, Row, TransactionBehavior::Immediate, params};

use crate::database::Database;

const DAY: Duration = Duration::from_secs(86_400);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    database: Database,
    passwords: Passwords,
}

/// A user's row. The subject of a session is the user's id, which no other user will ever have.
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) name: String,
    password_hash: String,
}

impl Account {
    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            password_hash: row.get(2)?,
        })
    }
}

impl Users {
    pub(crate) fn new(database: Database, passwords: Passwords) -> Self {
        Self {
            database,
            passwords,
        }
    }

    /// Adds a user, unless the name is taken. The table decides: another registration may come
    /// while the server hashes the password.
    pub(crate) async fn add(&self, name: &str, password: &str) -> Result<Option<i64>, StoreError> {
        if self.named(name).await?.is_some() {
            return Ok(None);
        }
        let hash = self.passwords.hash(password).await?;
        let name = name.to_owned();
        let add = "INSERT INTO users (name, password_hash) VALUES (?1, ?2)
            ON CONFLICT DO NOTHING RETURNING id";
        let row = |row: &Row<'_>| row.get(0);
        self.database
            .ask(move |db| db.query_row(add, params![name, hash], row).optional())
            .await
    }

    pub(crate) async fn find(&self, subject: &Subject) -> Result<Option<Account>, StoreError> {
        let find = "SELECT id, name, password_hash FROM users WHERE id = ?1";
        let Ok(id) = subject.as_str().parse::<i64>() else {
            return Ok(None);
        };
        self.database
            .ask(move |db| db.query_row(find, [id], Account::of_row).optional())
            .await
    }

    async fn named(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let find = "SELECT id, name, password_hash FROM users WHERE name = ?1";
        let name = name.to_owned();
        self.database
            .ask(move |db| db.query_row(find, [name], Account::of_row).optional())
            .await
    }

    /// The account of `subject` as it is now, if this is its password.
    pub(crate) async fn check(
        &self,
        subject: &Subject,
        password: &str,
    ) -> Result<Option<Account>, StoreError> {
        let found = self.find(subject).await?;
        let hash = found.as_ref().map(|account| account.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await?;
        Ok(found.filter(|_| verified))
    }

    /// Gives `account` another password, and ends all its sessions except the session of `pass`, in
    /// one transaction. `owner` is the account's id in `sessions`. Returns `false` if another
    /// change replaced the password before.
    pub(crate) async fn change_password(
        &self,
        account: &Account,
        password: &str,
        sessions: &SqliteStore,
        (owner, pass): (AccountId, &Pass),
    ) -> Result<bool, StoreError> {
        let hash = self.passwords.hash(password).await?;
        let (id, old, sessions) = (account.id, account.password_hash.clone(), sessions.clone());
        let others = match pass.session_id() {
            Some(own) => EndSessions::AllOfBut(owner, own),
            None => EndSessions::AllOf(owner),
        };
        let change = "UPDATE users SET password_hash = ?2 WHERE id = ?1 AND password_hash = ?3";
        self.database
            .ask(move |db| -> Result<bool, Box<dyn Error + Send + Sync>> {
                let transaction = db.transaction_with_behavior(Immediate)?;
                if transaction.execute(change, params![id, hash, old])? == 0 {
                    return Ok(false);
                }
                sessions.end_in(&transaction, others, EndReason::EndedByUser)?;
                transaction.commit()?;
                Ok(true)
            })
            .await
    }
}

/// A login that the browser forgets when it is closed. A browser that restores its tabs keeps the
/// cookies, so the session ends after a day.
pub(crate) fn until_closed(identity: Identity) -> Identity {
    identity.absolute_ttl(DAY).session_cookies()
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let found = self.named(credentials.username()).await;
        let found = found.map_err(AuthenticationError::Unavailable)?;
        let password = credentials.password().unwrap_or_default();
        let hash = found.as_ref().map(|account| account.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await;
        let identity = match (verified.map_err(AuthenticationError::Unavailable)?, found) {
            (true, Some(account)) => Identity::new(account.id.to_string())?,
            _ => return Err(AuthenticationError::BadCredentials),
        };
        // A form contains a checkbox only if it is ticked.
        Ok(match credentials.extra::<String>("remember_me") {
            Some(_) => identity.idle_ttl(90 * DAY),
            None => until_closed(identity),
        })
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let found = self.find(session.subject()).await;
        Ok(match found.map_err(AuthenticationError::Unavailable)? {
            Some(_) => UserUpdate::Unchanged,
            None => UserUpdate::Deleted,
        })
    }
}
