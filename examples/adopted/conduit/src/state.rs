//! The state that handlers share.

use example_passwords::Passwords;
use gatepass::{Authority, wire::Endpoints};
use gatepass_axum::Users;
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;

use crate::account::Account;

#[derive(Clone)]
pub(crate) struct Conduit {
    pub(crate) pool: PgPool,
    pub(crate) passwords: Passwords,
    pub(crate) authority: Authority,
    pub(crate) sessions: PostgresStore,
    pub(crate) users: Users<Account>,
    pub(crate) endpoints: Endpoints,
}

impl Conduit {
    /// Executes a statement about a reader, `$1`, and the user or the article of this name, `$2`.
    pub(crate) async fn relate(
        &self,
        statement: &'static str,
        reader: &Account,
        name: &str,
    ) -> sqlx::Result<()> {
        let statement = sqlx::query(statement).bind(reader.id).bind(name);
        statement.execute(&self.pool).await?;
        Ok(())
    }
}
