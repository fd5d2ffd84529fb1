//! The state that handlers share.

use std::sync::Arc;

use gatepass::{Authority, Clock};
use gatepass_axum::Users;
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;

use crate::{account::Account, passwords::Passwords};

#[derive(Clone)]
pub(crate) struct Conduit {
    pub(crate) pool: PgPool,
    pub(crate) passwords: Passwords,
    pub(crate) authority: Authority,
    pub(crate) sessions: PostgresStore,
    pub(crate) users: Users<Account>,
    pub(crate) clock: Arc<dyn Clock>,
}
