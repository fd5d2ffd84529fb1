//! `gatepass doctor`: tells what is wrong with a store and with the nodes that use it.

mod report;
#[cfg(test)]
mod tests;

use std::{error::Error as StdError, path::Path};

use anyhow::Context;
use gatepass::store::{Examination, Finding};

pub(crate) use self::report::Report;

/// A store that is to be examined.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Sqlite(std::path::PathBuf),
    Postgres(String),
    Redis(String),
}

/// The place of the sessions in the store, and the findings that are meant to be so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The schema in PostgreSQL, or the namespace in Redis, unless it is the default.
    pub(crate) name: Option<String>,
    /// Whether several services share the store on purpose.
    pub(crate) shared: bool,
}

/// The URL names no store. Its text is not shown: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownStore;

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Self, UnknownStore> {
        let (scheme, rest) = url.split_once(':').ok_or(UnknownStore)?;
        match scheme {
            "sqlite" if !rest.is_empty() => Ok(Self::Sqlite(Path::new(rest).to_owned())),
            "postgres" | "postgresql" if rest.starts_with("//") => {
                Ok(Self::Postgres(url.to_owned()))
            }
            "redis" | "rediss" | "valkey" | "valkeys" if rest.starts_with("//") => {
                Ok(Self::Redis(url.to_owned()))
            }
            _ => Err(UnknownStore),
        }
    }

    /// The kind of the store.
    fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::Redis(_) => "Redis",
        }
    }

    async fn examine(&self, name: Option<&str>) -> Examination {
        match self {
            Self::Sqlite(path) => examined(gatepass_sqlite::SqliteStore::builder(path).examine()),
            Self::Postgres(url) => {
                let mut store = gatepass_postgres::PostgresStore::at(url);
                if let Some(name) = name {
                    store = store.schema(name);
                }
                examined(store.examine().await)
            }
            Self::Redis(urls) => {
                let mut store = gatepass_redis::RedisStore::at(urls);
                if let Some(name) = name {
                    store = store.namespace(name);
                }
                examined(store.examine().await)
            }
        }
    }
}

/// A store that can't be looked at is a finding, too.
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
    let examination = runtime.block_on(place.examine(options.name.as_deref()));
    Ok(Report::new(place.kind(), &examination, options.shared))
}
