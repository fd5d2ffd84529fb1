//! The state that handlers share.

use std::sync::Arc;

use gatepass::{Authority, Clock, wire::Endpoints};
use gatepass_sqlite::SqliteStore;

use crate::{database::Database, users::Users};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) users: Users,
    pub(crate) sessions: SqliteStore,
    pub(crate) authority: Authority,
    pub(crate) endpoints: Endpoints,
    pub(crate) clock: Arc<dyn Clock>,
}
