//! The state that handlers share.

use std::sync::Arc;

use actix_web::HttpRequest;
use gatepass::{Authority, Clock, Error, wire::Endpoints};
use gatepass_actix::rejection;
use gatepass_sqlite::SqliteStore;

use crate::{database::Database, failed::Failed, users::Users};

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

impl State {
    /// The answer to a request that gatepass refused, or for which the store failed.
    pub(crate) fn failed(&self, error: impl Into<Error>, request: &HttpRequest) -> Failed {
        let error = error.into();
        if let Error::Store(error) = &error {
            tracing::error!(error = error as &dyn std::error::Error, "a request failed");
        }
        rejection(&self.endpoints, error, request).into()
    }
}
