//! The places of data, as you write them on a command line.

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{
    Arg, Command,
    builder::{TypedValueParser, ValueParserFactory},
    error::ErrorKind,
};

/// The place of the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreLocation {
    /// In a database, which may hold the users as well.
    Database(Database),
    /// Redis or Valkey, on one server or in a cluster. Other nodes may use it as well.
    Redis(Url),
}

/// A database that keeps users, and may keep sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server. Other nodes may use it as well.
    Postgres(Url),
    /// The memory of the process. All data ends with it.
    Memory,
}

const DATABASES: &str = "it must be sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or memory";
const STORES: &str = "it must be sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, \
     redis://USER:PASSWORD@HOST, rediss:// or memory";

/// The address of a server, with its password. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl StoreLocation {
    /// The directory that belongs to the store, if it has one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        let Self::Database(Database::Sqlite(path)) = self else {
            return None;
        };
        // The parent of a bare file name is the empty path, which file system calls refuse.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.unwrap_or(Path::new(".")))
    }

    /// Whether programs on other machines may also keep their sessions there.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Database(Database::Postgres(_)) | Self::Redis(_))
    }

    /// The default place of the users.
    pub(crate) fn users(&self) -> Database {
        match self {
            Self::Database(database) => database.clone(),
            // Users do not expire, so Redis is not a place for them.
            Self::Redis(_) => Database::Sqlite("gatepass-users.db".into()),
        }
    }
}

impl Url {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address ends where it seems to. A `/`, `?` or `#` in the password would end it
    /// too early, and messages would show the rest of the password.
    pub(crate) fn is_well_formed(&self) -> bool {
        let (_, rest) = self.0.split_once("://").unwrap_or_default();
        let (_, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        !behind.contains('@')
    }
}

impl FromStr for StoreLocation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once("://") {
            Some(("redis" | "rediss", _)) => Ok(Self::Redis(Url(text.to_owned()))),
            _ if text.starts_with("redis") => Err(STORES),
            _ => text
                .parse()
                .map(Self::Database)
                .map_err(|wrong| if wrong == DATABASES { STORES } else { wrong }),
        }
    }
}

impl FromStr for Database {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("sqlite", "")) => Err("sqlite: needs a file, as in sqlite:gatepass.db"),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(Url(text.to_owned())))
            }
            Some(("memory", "")) => Ok(Self::Memory),
            None if text == "memory" => Ok(Self::Memory),
            Some(("redis" | "rediss", _)) => Err(
                "users are kept in a database: sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE",
            ),
            _ => Err(DATABASES),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url([redacted])")
    }
}

impl ValueParserFactory for StoreLocation {
    type Parser = Unechoed<Self>;

    fn value_parser() -> Self::Parser {
        Unechoed(PhantomData)
    }
}

impl ValueParserFactory for Database {
    type Parser = Unechoed<Self>;

    fn value_parser() -> Self::Parser {
        Unechoed(PhantomData)
    }
}

/// Parses an argument that may contain a password. clap's own error would repeat the value.
pub struct Unechoed<T>(PhantomData<fn() -> T>);

impl<T> TypedValueParser for Unechoed<T>
where
    T: FromStr<Err = &'static str> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<T, clap::Error> {
        let parsed = value
            .to_str()
            .ok_or("it must be UTF-8")
            .and_then(str::parse);
        parsed.map_err(|wrong| {
            let flag = arg.and_then(Arg::get_long).unwrap_or_default();
            let said = format!("cannot use the value of --{flag}: {wrong}\n");
            clap::Error::raw(ErrorKind::ValueValidation, said).with_cmd(command)
        })
    }
}

impl<T> Clone for Unechoed<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Unechoed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unechoed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> StoreLocation {
        text.parse().unwrap()
    }

    #[test]
    fn the_directory_of_a_bare_file_name_is_the_current_one() {
        for (store, directory) in [
            ("sqlite:gatepass.db", Some(".")),
            ("sqlite:/var/lib/a.db", Some("/var/lib")),
            ("memory:", None),
            ("memory", None),
            ("postgres://db.example/shop", None),
            ("redis://cache.example", None),
        ] {
            assert_eq!(location(store).directory(), directory.map(Path::new));
        }
    }

    #[test]
    fn the_users_are_where_the_sessions_are_if_that_is_a_database() {
        for (store, users) in [
            ("sqlite:a.db", Database::Sqlite("a.db".into())),
            ("memory", Database::Memory),
            (
                "redis://a:6379,redis://b:6379",
                Database::Sqlite("gatepass-users.db".into()),
            ),
            ("rediss://h", Database::Sqlite("gatepass-users.db".into())),
            (
                "postgresql://u:p@h/d",
                Database::Postgres(Url("postgresql://u:p@h/d".to_owned())),
            ),
        ] {
            assert_eq!(location(store).users(), users);
        }
    }

    #[test]
    fn a_debug_shows_no_password() {
        for scheme in ["postgres", "redis"] {
            let shown = format!("{:?}", location(&format!("{scheme}://shop:hunter2@db/0")));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
