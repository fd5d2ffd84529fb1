//! Tests that need their own servers, to kill them, to promote them, or to use them alone.

mod crash;
mod examination;
mod failover;
mod hot;
mod reading;
mod restore;

use gatepass::store::{Revocation, RevocationTarget};
use gatepass_postgres::PostgresStore;
use gatepass_servers::{Directory, Durability, Postgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::time::timeout;

use crate::support::{self, PATIENCE};

fn directory() -> Directory {
    Directory::make(std::env::temp_dir().join("gatepass-servers")).unwrap()
}

fn start(directory: &Directory, durability: Durability) -> Postgres {
    Postgres::start(directory, durability).unwrap()
}

async fn open(url: String) -> PostgresStore {
    support::at(url).schema("gatepass").open().await.unwrap()
}

/// Executes `sql` at `server` over a new connection. Returns the answer if there is one.
async fn at(server: &Postgres, sql: &'static str) -> Option<String> {
    let mut conn = PgConnection::connect(&server.url()).await.unwrap();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut conn);
    let rows = rows.await.unwrap();
    conn.close().await.unwrap();
    rows.first().map(|row| row.get(0))
}

fn targets(entries: &[Revocation]) -> Vec<RevocationTarget> {
    entries.iter().map(|entry| entry.target).collect()
}

/// Tries until it succeeds. A server that was away is found again without a restart.
async fn again<T, E>(trying: impl AsyncFn() -> Result<T, E>) -> T {
    let succeeds = async {
        loop {
            if let Ok(done) = trying().await {
                break done;
            }
        }
    };
    timeout(PATIENCE, succeeds).await.unwrap()
}
