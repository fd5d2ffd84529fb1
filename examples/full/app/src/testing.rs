//! A database for each test.

use std::{env, io::Write, path::Path};

use gatepass::store::{Random, SystemRandom};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

/// Writes a file that only its owner may read, as for a secret.
pub(crate) fn write_private(path: &Path, content: &str) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.persist(path).unwrap();
}

/// The URL of a server that `cargo xtask test` starts.
pub(crate) fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, or run `cargo xtask servers` in another \
             terminal and set what it prints"
        )
    })
}

/// An empty database of the server that `cargo xtask test` starts. Returns its URL.
pub(crate) async fn postgres() -> String {
    let server = server("GATEPASS_TEST_POSTGRES");
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).unwrap();
    let name = format!("test_{:016x}", u64::from_be_bytes(random));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    let create = sqlx::raw_sql(AssertSqlSafe(create));
    create.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let options: PgConnectOptions = server.parse().unwrap();
    options.database(&name).to_url_lossy().to_string()
}

/// An empty SQLite file and an empty database of PostgreSQL, as you write them on a command line.
pub(crate) async fn databases() -> (TempDir, [String; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.db");
    let databases = [format!("sqlite:{}", file.display()), postgres().await];
    (directory, databases)
}
