//! The servers that `cargo xtask test` starts, and a schema in them for each store.

pub(crate) mod proxy;

use std::{env, time::Duration};

use gatepass::store::{Random, SystemRandom};
use gatepass_postgres::{PostgresStore, PostgresStoreBuilder};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row, postgres::PgPoolOptions};

/// The contract says nothing of how fast a machine is that has other tests to run.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A database of a server of this run's own, as a superuser.
pub(crate) fn postgres() -> String {
    server("GATEPASS_TEST_POSTGRES")
}

/// A replica of it.
pub(crate) fn replica() -> String {
    server("GATEPASS_TEST_POSTGRES_REPLICA")
}

/// The same through PgBouncer, which pools transactions.
pub(crate) fn pgbouncer() -> String {
    server("GATEPASS_TEST_PGBOUNCER")
}

fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, or run `cargo xtask servers` in another \
             terminal and set what it prints"
        )
    })
}

/// A name that no other test gives to anything. Numbers of processes would come again while the
/// servers stay.
pub(crate) fn unique(what: &str) -> String {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).unwrap();
    format!("{what}_{:016x}", u64::from_be_bytes(random))
}

/// A pool as an application has it.
pub(crate) fn pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(PATIENCE)
        .connect_lazy(url)
        .unwrap()
}

/// A store in a schema of its own, with all the time that it needs.
pub(crate) fn patient(builder: PostgresStoreBuilder) -> PostgresStoreBuilder {
    builder
        .schema(unique("test"))
        .timeout(PATIENCE)
        .open_timeout(PATIENCE)
}

/// Such a store over `pool`.
pub(crate) fn over(pool: PgPool) -> PostgresStoreBuilder {
    patient(PostgresStore::builder(pool))
}

/// Such a store at `url`, over a pool of its own.
pub(crate) fn at(url: String) -> PostgresStoreBuilder {
    patient(PostgresStore::at(url))
}

/// Executes `sql` over a connection of its own.
pub(crate) async fn execute(sql: String) {
    let mut conn = PgConnection::connect(&postgres()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

/// The one answer to `sql`.
pub(crate) async fn ask(sql: String) -> String {
    let mut conn = PgConnection::connect(&postgres()).await.unwrap();
    let answer = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut conn);
    let answer: String = answer.await.unwrap().get(0);
    conn.close().await.unwrap();
    answer
}
