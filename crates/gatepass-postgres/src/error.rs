//! Errors of PostgreSQL, and the errors of gatepass that they become.

use std::time::Duration;

use gatepass::{StoreError, store::StoreErrorKind};
use sqlx::{error::DatabaseError, postgres::PgConnectOptions};

/// The reason why a store was not opened. Each message tells the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not a valid URL of PostgreSQL.
    #[error(
        "not a URL of PostgreSQL: it must look like postgres://user:password@host:5432/database, with / ? # @ % in user and \
         password as %2F %3F %23 %40 %25"
    )]
    Url,
    /// The name of the schema cannot be used.
    #[error(
        "{0:?} cannot be the name of the schema: use at most 40 of the characters a-z, 0-9 and _, \
         none of the digits first, and neither public nor a name that begins with pg_"
    )]
    SchemaName(String),
    /// No server answers at the address.
    #[error(
        "cannot reach PostgreSQL at {server}: check that it runs, that host and port are right, and that \
         no firewall is between"
    )]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// The error that sqlx returned.
        source: Cause,
    },
    /// The connection can't be encrypted, or not in the required way.
    #[error(
        "cannot agree with {server} on encryption: check its certificate and the `sslmode`, and that one \
         of sqlx's features for TLS is on"
    )]
    Tls {
        /// The server.
        server: String,
        /// The error that sqlx returned.
        source: Cause,
    },
    /// The server does not let the role in.
    #[error(
        "{server} does not let the role {role:?} in: check its password, and the server's pg_hba.conf"
    )]
    Credentials {
        /// The server.
        server: String,
        /// The role that tried to connect.
        role: String,
        /// The server's error.
        source: Cause,
    },
    /// There is no such database.
    #[error("{server} has no such database: create it with `createdb`, or name another")]
    NoDatabase {
        /// The server, and the database.
        server: String,
        /// The server's error.
        source: Cause,
    },
    /// A proxy doesn't know a setting in the connection's first message.
    #[error(
        "the proxy at {server} refuses a setting of the connection: make the pool with \
         `PgConnectOptions::extra_float_digits(None)`, or list the setting in the proxy's \
         ignore_startup_parameters"
    )]
    ProxySetting {
        /// The proxy, and the database.
        server: String,
        /// The proxy's error.
        source: Cause,
    },
    /// The server has no connection left.
    #[error(
        "{server} has no connection left: raise its max_connections, or lower the sizes of the pools \
         that use it"
    )]
    TooManyConnections {
        /// The server.
        server: String,
        /// The server's error.
        source: Cause,
    },
    /// The server, or the role there, only reads.
    #[error(
        "{server} only reads: give the address of the primary instead of a replica's, and a role whose \
         transactions may write (default_transaction_read_only)"
    )]
    ReadOnly {
        /// The server.
        server: String,
    },
    /// The server is too old.
    #[error("{server} is PostgreSQL {found}, and must be {least} or newer")]
    ServerVersion {
        /// The server.
        server: String,
        /// Its major version.
        found: i32,
        /// The oldest that is supported.
        least: i32,
    },
    /// The database cannot hold every character.
    #[error(
        "the database at {server} is encoded as {found}: create one with `createdb --encoding UTF8`"
    )]
    Encoding {
        /// The server, and the database.
        server: String,
        /// Its encoding.
        found: String,
    },
    /// A newer release has used the schema already.
    #[error(
        "schema {schema} at {server} has version {found}, and this release knows versions up to {known}: \
         upgrade gatepass-postgres in every process that uses it"
    )]
    NewerSchema {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The version in use.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// The schema is of an older release or doesn't exist yet, and a reader doesn't create or
    /// migrate it.
    #[error(
        "schema {schema} at {server} {}, and this release reads version {known}: first start a process \
         that opens a `PostgresStore` of this release in it, which creates and migrates it",
        in_words(*.found)
    )]
    OlderSchema {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The version of the schema, if it exists.
        found: Option<u32>,
        /// The version that this release reads.
        known: u32,
    },
    /// The role lacks a right to read that the log needs.
    #[error(
        "the role {role:?} may not read the schema {schema} at {server}: run `GRANT USAGE ON SCHEMA \
         {schema} TO {role}; GRANT SELECT ON {schema}.meta, {schema}.revocations TO {role}; GRANT SELECT \
         (id, account, number, ended_at, access_until, idle_expires_at, grant_valid_from) \
         ON {schema}.sessions TO {role}; GRANT SELECT (id, up_to, \
         except_number) ON {schema}.accounts TO {role}` there as its owner"
    )]
    MayNotRead {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The role.
        role: String,
        /// The server's error.
        source: Cause,
    },
    /// The role lacks a right to write that the store needs.
    #[error(
        "the role {role:?} may not write in the schema {schema} at {server}: run `GRANT SELECT, INSERT, \
         UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}` there as its owner; or open a \
         `PostgresLog`, which only reads, if this service only verifies tokens"
    )]
    MayNotWrite {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The role.
        role: String,
    },
    /// The connection of `listen_over` leads to another database.
    #[error(
        "{listener} is not the database at {server}, or is a replica of it: listen over a direct \
         connection to that database on the same primary"
    )]
    ListensElsewhere {
        /// The server, and the database.
        server: String,
        /// The server and the database that `listen_over` leads to.
        listener: String,
    },
    /// The role lacks a right that the store needs.
    #[error(
        "the role {role:?} may not create or use the schema {schema} at {server}: run `CREATE SCHEMA \
         {schema} AUTHORIZATION {role}` there as an administrator"
    )]
    NotAllowed {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The role.
        role: String,
        /// The server's error.
        source: Cause,
    },
    /// The schema holds tables of another program.
    #[error("the schema {schema} at {server} is in use for something else: give the store another")]
    ForeignSchema {
        /// The server, and the database.
        server: String,
        /// The schema.
        schema: String,
        /// The error that shows it.
        source: Cause,
    },
    /// Opening took too long. For example, another node migrates, or the server is overloaded.
    #[error(
        "opening {server} took longer than {after:?}: check that it is PostgreSQL, and what it waits for, and try again"
    )]
    TimedOut {
        /// The server.
        server: String,
        /// The time limit.
        after: Duration,
    },
    /// PostgreSQL failed in another way.
    #[error("PostgreSQL failed while opening {server}")]
    Postgres {
        /// The server.
        server: String,
        /// The error of sqlx or of the server.
        source: Cause,
    },
}

fn in_words(version: Option<u32>) -> String {
    version.map_or("is not there".to_owned(), |version| {
        format!("has version {version}")
    })
}

/// An error of sqlx or of the server, without the server's details about rows.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    fn new(error: &sqlx::Error) -> Self {
        Self(match error.as_database_error() {
            Some(said) => {
                let code = said.code().unwrap_or_default();
                format!("{} (SQLSTATE {code})", said.message())
            }
            None => error.to_string(),
        })
    }
}

/// The server, the role, the schema and the time limit that the errors of an opening name.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) server: String,
    pub(crate) role: String,
    pub(crate) schema: String,
    pub(crate) patience: Duration,
}

impl Place {
    pub(crate) fn new(options: &PgConnectOptions, schema: &str, patience: Duration) -> Self {
        let database = options.get_database().unwrap_or(options.get_username());
        let server = match options.get_socket() {
            Some(socket) => format!("{} ({database})", socket.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        };
        Self {
            server,
            role: options.get_username().to_owned(),
            schema: schema.to_owned(),
            patience,
        }
    }

    pub(crate) fn timed_out(self) -> OpenError {
        OpenError::TimedOut {
            server: self.server,
            after: self.patience,
        }
    }

    /// The error for a failure to read a schema that another process has made.
    pub(crate) fn reading(self, failure: &Failure) -> OpenError {
        match (failure, failure.code().as_deref()) {
            (Failure::Sqlx(error), Some("42501")) => OpenError::MayNotRead {
                server: self.server,
                schema: self.schema,
                role: self.role,
                source: Cause::new(error),
            },
            _ => self.error(failure),
        }
    }

    pub(crate) fn error(self, failure: &Failure) -> OpenError {
        if let Failure::Sqlx(sqlx::Error::PoolTimedOut) = failure {
            return self.timed_out();
        }
        let Self {
            server,
            role,
            schema,
            ..
        } = self;
        let error = match failure {
            Failure::Sqlx(error) => error,
            Failure::Standby => return OpenError::ReadOnly { server },
            Failure::Unreadable(unreadable) => {
                let source = Cause(unreadable.to_string());
                return OpenError::ForeignSchema {
                    server,
                    schema,
                    source,
                };
            }
        };
        let source = Cause::new(error);
        match error {
            sqlx::Error::Io(_) => return OpenError::Unreachable { server, source },
            sqlx::Error::Tls(_) => return OpenError::Tls { server, source },
            _ => {}
        }
        match code(error).as_deref().unwrap_or_default() {
            // The codes for a role and for a host that the server doesn't let in.
            "28000" | "28P01" => OpenError::Credentials {
                server,
                role,
                source,
            },
            // PgBouncer's only code for faults at the beginning of a connection.
            "08P01" if source.0.contains("startup parameter") => {
                OpenError::ProxySetting { server, source }
            }
            "3D000" => OpenError::NoDatabase { server, source },
            "53300" => OpenError::TooManyConnections { server, source },
            "25006" => OpenError::ReadOnly { server },
            "42501" => OpenError::NotAllowed {
                server,
                schema,
                role,
                source,
            },
            // A table or a column of that name already exists, or is missing.
            "42P07" | "42P01" | "42703" | "42710" => OpenError::ForeignSchema {
                server,
                schema,
                source,
            },
            _ => OpenError::Postgres { server, source },
        }
    }
}

/// The reason why a statement, or reading its rows, failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Sqlx(sqlx::Error),
    Unreadable(Unreadable),
    /// The server is a replica, or has become one.
    Standby,
}

/// A column that doesn't hold a value that gatepass writes. The error doesn't show its content,
/// which may be personal.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("column {0} is unreadable")]
pub(crate) struct Unreadable(pub(crate) &'static str);

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server is a replica: only the primary knows what is revoked")]
struct Standby;

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Failure {
    /// Whether another transaction was in the way, so that this one must be tried again.
    pub(crate) fn is_conflict(&self) -> bool {
        // Serialisation failures come from a default isolation above READ COMMITTED. Deadlocks come
        // from transactions of others.
        matches!(self.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether the connection came with a failed transaction of the application, so that nothing
    /// was executed.
    pub(crate) fn is_of_a_failed_transaction(&self) -> bool {
        self.code().as_deref() == Some("25P02")
    }

    /// Whether a prepared statement was missing or another one was there. Then there is a proxy,
    /// and nothing was executed.
    pub(crate) fn is_of_a_proxy(&self) -> bool {
        match self.code().as_deref() {
            Some("26000" | "42P05") => true,
            // The code for a statement with another number of arguments, or with others.
            Some("08P01") => {
                let is_of_bind = |text: String| {
                    text.contains("bind message") || text.contains("data left in message")
                };
                matches!(self, Self::Sqlx(error) if is_of_bind(error.to_string()))
            }
            _ => false,
        }
    }

    pub(crate) fn code(&self) -> Option<String> {
        match self {
            Self::Sqlx(error) => code(error),
            Self::Unreadable(_) | Self::Standby => None,
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error().and_then(DatabaseError::code)?;
    Some(code.into_owned())
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Unreadable(unreadable) => return Self::corrupt(unreadable),
            Failure::Standby => return Self::unavailable(Standby),
            Failure::Sqlx(error) => error,
        };
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::new(StoreErrorKind::Busy);
        }
        match code(&error).as_deref() {
            // The server's own time-out cancelled the statement.
            Some("57014") => Self::new(StoreErrorKind::TimedOut),
            Some("55P03" | "40001" | "40P01") => Self::new(StoreErrorKind::Busy),
            Some("XX001" | "XX002") => Self::corrupt(Cause::new(&error)),
            _ => Self::unavailable(Cause::new(&error)),
        }
    }
}
