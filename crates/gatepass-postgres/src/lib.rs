//! Gatepass sessions in PostgreSQL, over the sqlx pool that the application has.

mod cursor;
mod error;
mod link;
mod listener;
mod log;
mod protocol;
mod row;
mod schema;
mod sessions;
mod sql;
mod store;

pub use self::{
    error::{Cause, OpenError},
    store::{PostgresStore, PostgresStoreBuilder},
};
