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
