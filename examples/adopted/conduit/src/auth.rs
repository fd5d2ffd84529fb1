//! Logins and sessions of the users.

use std::{error::Error, time::Duration};

use example_passwords::Passwords;
use gatepass::{
    AuthenticationError, Authenticator, Authority, BuildError, Clock, Credentials, Device,
    Identity, InvalidName, MasterSecret, Session, StoreError, UserUpdate, async_trait,
    wire::{Endpoint, Endpoints, Users},
};
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;

use crate::{account::Account, error};

/// The lifetime of a token. The session ends with it, unless the client asks for its user before.
const TOKEN_TTL: Duration = Duration::from_secs(14 * 86_400);

/// The accounts with their passwords. The subject of a session is the account's id, which no other
/// account will ever have.
pub(crate) struct Accounts {
    pub(crate) pool: PgPool,
    pub(crate) passwords: Passwords,
}

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let find = "SELECT id, password_hash FROM users WHERE lower(email) = lower($1)";
        let found = sqlx::query_as(find)
            .bind(credentials.username())
            .fetch_optional(&self.pool)
            .await;
        let found: Option<(i64, String)> = found.map_err(AuthenticationError::unavailable)?;
        let password = credentials.password().unwrap_or_default();
        let (id, hash) = found.unzip();
        let verified = self.passwords.verify(password, hash).await;
        match (verified.map_err(AuthenticationError::Unavailable)?, id) {
            (true, Some(id)) => Ok(identity(id)?),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let account = Account::find(&self.pool, session.subject()).await;
        Ok(match account.map_err(AuthenticationError::unavailable)? {
            Some(_) => UserUpdate::Unchanged,
            None => UserUpdate::Deleted,
        })
    }
}

/// The identity of an account. RealWorld's clients keep one token, so there is no refresh token.
pub(crate) fn identity(account: i64) -> Result<Identity, InvalidName> {
    let identity = Identity::new(account.to_string())?;
    Ok(identity.access_only().access_ttl(TOKEN_TTL))
}

pub(crate) async fn authority(
    accounts: Accounts,
    secret: MasterSecret,
    sessions: PostgresStore,
    clock: impl Clock,
) -> Result<Authority, BuildError> {
    Authority::builder("https://conduit.example", "conduit-api", secret, sessions)
        .authenticator(accounts)
        .token_scheme("Token")
        .error_response(error::of_gatepass)
        .clock(clock)
        .build()
        .await
}

/// The accounts for gates, which keep each one for half a minute.
pub(crate) fn users(pool: PgPool) -> Users<Account> {
    Users::new(move |pass| {
        let pool = pool.clone();
        async move {
            let account = Account::find(&pool, pass.subject()).await;
            account.map_err(StoreError::unavailable)
        }
    })
}

/// The endpoints for logout and for the list of sessions. The application has its own login, and no
/// OAuth.
pub(crate) fn endpoints(authority: Authority) -> Result<Endpoints, Box<dyn Error + Send + Sync>> {
    let endpoints = Endpoints::builder(authority).mount("/api/user").only([
        Endpoint::Logout,
        Endpoint::LogoutAll,
        Endpoint::Sessions,
        Endpoint::Session,
    ]);
    Ok(endpoints.build()?)
}
