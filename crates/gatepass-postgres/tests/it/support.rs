//! The servers that `cargo xtask test` starts, and a schema in them for each store.

mod sent;

use gatepass_postgres::{PostgresStore, PostgresStoreBuilder};
use gatepass_testkit::proxy::Proxy;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::servers::server;
pub(crate) use test_support::servers::{PATIENCE, address_of, proxy_before, unique};

pub(crate) use self::sent::sent_through;

/// A database on a server for this run, as a superuser.
pub(crate) fn postgres() -> String {
    server("GATEPASS_TEST_POSTGRES")
}

/// A replica of that server.
pub(crate) fn replica() -> String {
    server("GATEPASS_TEST_POSTGRES_REPLICA")
}

/// The same database through PgBouncer, which pools transactions.
pub(crate) fn pgbouncer() -> String {
    server("GATEPASS_TEST_PGBOUNCER")
}

/// The same options, but through `proxy`.
pub(crate) fn through(options: PgConnectOptions, proxy: &Proxy) -> PgConnectOptions {
    let address = proxy.address();
    options.host(&address.ip().to_string()).port(address.port())
}

/// A pool like an application's.
pub(crate) fn pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(PATIENCE)
        .connect_lazy(url)
        .unwrap()
}

/// A store with its own schema and a generous time limit.
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

/// Executes `sql` over a new connection.
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
