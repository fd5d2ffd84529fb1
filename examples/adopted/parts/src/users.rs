//! The people who may log in.

use std::error::Error;

use example_passwords::Passwords;
use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Scopes, Session, StoreError,
    UserUpdate, async_trait,
    store::{AccountId, EndReason, EndSessions},
};
use gatepass_sqlite::SqliteStore;
use rusqlite::{OptionalExtension, TransactionBehavior::Immediate, params};

use crate::database::Database;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    database: Database,
    passwords: Passwords,
}

impl Users {
    pub(crate) fn new(database: Database, passwords: Passwords) -> Self {
        Self {
            database,
            passwords,
        }
    }

    /// Adds a user, or changes the password and the scopes of one. Another password ends all
    /// sessions of the user in the same transaction. `owner` names the user to `sessions`.
    pub(crate) async fn set(
        &self,
        name: &str,
        password: &str,
        scopes: &Scopes,
        (sessions, owner): (&SqliteStore, AccountId),
    ) -> Result<(), StoreError> {
        let old = self.find(name).await?.map(|(hash, _)| hash);
        let same = self.passwords.verify(password, old).await?;
        let sessions = sessions.clone();
        let hash = self.passwords.hash(password).await?;
        let (name, scopes) = (name.to_owned(), scopes.to_string());
        let set = "INSERT INTO users VALUES (?1, ?2, ?3) ON CONFLICT (name)
            DO UPDATE SET password_hash = excluded.password_hash, scopes = excluded.scopes";
        self.database
            .ask(move |db| -> Result<(), Box<dyn Error + Send + Sync>> {
                let transaction = db.transaction_with_behavior(Immediate)?;
                transaction.execute(set, params![name, hash, scopes])?;
                if !same {
                    let all = EndSessions::AllOf(owner);
                    sessions.end_in(&transaction, all, EndReason::EndedByApplication)?;
                }
                Ok(transaction.commit()?)
            })
            .await
    }

    /// The password hash and the scopes of a user.
    async fn find(&self, name: &str) -> Result<Option<(String, String)>, StoreError> {
        let name = name.to_owned();
        let find = "SELECT password_hash, scopes FROM users WHERE name = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.database
            .ask(move |db| db.query_row(find, [name], row).optional())
            .await
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let name = credentials.username();
        let found = self.find(name).await;
        let (hash, scopes) = found.map_err(AuthenticationError::Unavailable)?.unzip();
        let password = credentials.password().unwrap_or_default();
        let verified = self.passwords.verify(password, hash).await;
        match (verified.map_err(AuthenticationError::Unavailable)?, scopes) {
            (true, Some(scopes)) => Ok(Identity::new(name)?.scopes(Scopes::parse(&scopes)?)),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let found = self.find(session.subject().as_str()).await;
        Ok(match found.map_err(AuthenticationError::Unavailable)? {
            Some((_, scopes)) => {
                let identity = Identity::of(session.subject().clone());
                UserUpdate::Changed(identity.scopes(Scopes::parse(&scopes)?))
            }
            None => UserUpdate::Deleted,
        })
    }
}
