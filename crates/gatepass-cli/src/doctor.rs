//! `gatepass doctor`: finds faults of a store and of the nodes that use it.

mod report;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;

use anyhow::Context;
use gatepass::store::{Examination, Finding};

pub(crate) use self::report::Report;

use crate::place::Place;

/// The name of the store in its database, and the findings that you expect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The schema in PostgreSQL, or the namespace in Redis, unless it is the default.
    pub(crate) name: Option<String>,
    /// Whether several services share the store on purpose.
    pub(crate) shared: bool,
}

async fn examination(place: &Place, name: Option<&str>) -> Examination {
    match place {
        Place::Sqlite(path) => examined(gatepass_sqlite::SqliteStore::builder(path).examine()),
        Place::Postgres(url) => {
            let mut store = gatepass_postgres::PostgresStore::at(url);
            if let Some(name) = name {
                store = store.schema(name);
            }
            examined(store.examine().await)
        }
        Place::Redis(urls) => {
            let mut store = gatepass_redis::RedisStore::at(urls);
            if let Some(name) = name {
                store = store.namespace(name);
            }
            examined(store.examine().await)
        }
    }
}

/// Examines a store. A store that fails is a finding as well.
fn examined(examined: Result<Examination, impl StdError>) -> Examination {
    examined.unwrap_or_else(|error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        Examination::new(vec![Finding::error("store_unavailable", text)], None)
    })
}

/// Looks at the store and at the nodes that leave heartbeats in it.
pub(crate) fn examine(place: &Place, options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let examination = runtime.block_on(examination(place, options.name.as_deref()));
    Ok(Report::new(place.kind(), &examination, options.shared))
}
