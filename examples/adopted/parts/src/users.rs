//! The people who may log in.

use example_passwords::Passwords;
use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Scopes, Session, StoreError,
    UserUpdate, async_trait,
};
use rusqlite::{OptionalExtension, params};

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

    /// Adds a user, or changes the password and the scopes of an existing user.
    pub(crate) async fn set(
        &self,
        name: &str,
        password: &str,
        scopes: &Scopes,
    ) -> Result<(), StoreError> {
        let hash = self.passwords.hash(password).await?;
        let (name, scopes) = (name.to_owned(), scopes.to_string());
        let set = "INSERT INTO users VALUES (?1, ?2, ?3) ON CONFLICT (name)
            DO UPDATE SET password_hash = excluded.password_hash, scopes = excluded.scopes";
        self.database
            .ask(move |db| db.execute(set, params![name, hash, scopes]))
            .await?;
        Ok(())
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
