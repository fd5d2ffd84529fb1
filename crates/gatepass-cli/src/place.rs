//! The place of a store.

use std::path::{Path, PathBuf};

/// A store that other programs use.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

/// The URL names no known store. The error omits the URL, which may hold a password.
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
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::Redis(_) => "Redis",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_url() {
        for url in [
            "",
            "sqlite:",
            "mysql://h/d",
            "postgres:h",
            "redis",
            "sessions.db",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
        for url in [
            "sqlite:a.db",
            "postgres://h/d",
            "postgresql://h/d",
            "redis://h",
            "valkeys://h",
        ] {
            assert!(Place::parse(url).is_ok(), "{url}");
        }
    }
}
