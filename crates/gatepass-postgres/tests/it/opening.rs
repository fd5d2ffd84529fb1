//! The changes that a start makes to a database, and its errors if it cannot make them.

use std::{str::FromStr, time::Duration};

use gatepass::{
    Timestamp,
    store::{RevocationLog, SessionStore},
};
use gatepass_postgres::{OpenError, PostgresStore};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::assert_error;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

use crate::support::{self, PATIENCE, ask, execute, postgres, unique};

fn options() -> PgConnectOptions {
    PgConnectOptions::from_str(&postgres()).unwrap()
}

fn pool_of(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options)
}

async fn refused(options: PgConnectOptions) -> OpenError {
    let store = support::over(pool_of(options));
    store.open().await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // The port is held, but no server listens on it.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let error = refused(options().port(port)).await;
    assert_error!(
        error,
        OpenError::Unreachable { .. },
        &format!("127.0.0.1:{port}/postgres: check that it runs")
    );
    let error = refused(options().host("gatepass.invalid")).await;
    assert_error!(
        error,
        OpenError::Unreachable { .. },
        "PostgreSQL at gatepass.invalid:"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = support::over(pool_of(options().port(port)));
    let store = store.open_timeout(Duration::from_millis(50));
    let error = store.open().await.unwrap_err();
    assert_error!(error, OpenError::TimedOut { .. }, "took longer than 50ms");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_shown() {
    for options in [
        options().password("open sesame"),
        options().username("nobody_of_that_name"),
    ] {
        let error = refused(options).await;
        let told = format!("{error} {error:?}");
        assert!(!told.contains("sesame"), "{told}");
        assert_error!(error, OpenError::Credentials { .. }, "check its password");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told() {
    let error = refused(options().database("nowhere")).await;
    assert_error!(error, OpenError::NoDatabase { .. }, "createdb");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let error = support::at(support::replica()).open().await.unwrap_err();
    assert_error!(
        error,
        OpenError::ReadOnly { .. },
        "the address of the primary"
    );
}

#[tokio::test]
async fn a_role_that_only_reads_is_refused() {
    let options = options().options([("default_transaction_read_only", "on")]);
    let error = refused(options).await;
    assert_error!(
        error,
        OpenError::ReadOnly { .. },
        "default_transaction_read_only"
    );
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let database = unique("latin");
    execute(format!(
        "CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    ))
    .await;
    let error = refused(options().database(&database)).await;
    assert_error!(error, OpenError::Encoding { .. }, "--encoding UTF8");
}

#[tokio::test]
async fn what_is_no_url_or_no_name_is_refused() {
    for url in [
        "mysql://root:hunter2@localhost/db",
        "postgres://root:12/hunter2@localhost/db",
        "postgres://root:12#hunter2@localhost/db",
        "postgresql://root:12?hunter2@localhost/db",
    ] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{url}");
        assert_error!(error, OpenError::Url, "postgres://");
    }
    for name in [
        "",
        "public",
        "pg_gatepass",
        "Shop",
        "1shop",
        "shop; --",
        "é",
        &"s".repeat(41),
    ] {
        let store = PostgresStore::at(postgres()).schema(name);
        let error = store.open().await.unwrap_err();
        assert_error!(error, OpenError::SchemaName(_), "cannot be the name");
    }
}

/// A role without any right, and the options to connect as it.
async fn role() -> (String, PgConnectOptions) {
    let role = unique("role");
    execute(format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
    let options = options().username(&role).password("pw");
    (role, options)
}

#[tokio::test]
async fn a_role_without_the_right_to_create_is_told_what_to_run() {
    let (role, options) = role().await;
    let schema = unique("theirs");
    let store = || PostgresStore::builder(pool_of(options.clone())).schema(&schema);
    let error = store().open().await.unwrap_err();
    let help = format!("CREATE SCHEMA {schema} AUTHORIZATION {role}");
    assert_error!(error, OpenError::NotAllowed { .. }, &help);
    // The statement is enough.
    execute(help).await;
    let store = store().open().await.unwrap();
    store.pull(None).await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_only_use_the_tables_can_open_what_is_there() {
    let (role, options) = role().await;
    let schema = unique("used");
    let store = |pool| PostgresStore::builder(pool).schema(&schema).open();
    store(pool_of(self::options())).await.unwrap();
    let error = store(pool_of(options.clone())).await.unwrap_err();
    assert_error!(error, OpenError::NotAllowed { .. }, "may not create or use");
    execute(format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    ))
    .await;
    let store = store(pool_of(options)).await.unwrap();
    let session = gatepass_testkit::sessions::begin(&store, "alice").await;
    let advance = gatepass_testkit::sessions::advance_of(&session);
    assert!(store.advance(advance).await.unwrap().is_some());
    assert_eq!(
        gatepass_testkit::sessions::end(&store, &session)
            .await
            .len(),
        1
    );
    store.purge(Timestamp::MAX, 10).await.unwrap();
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_refused() {
    let schema = unique("newer");
    let store = || PostgresStore::at(postgres()).schema(&schema).open();
    store().await.unwrap();
    execute(format!(
        "UPDATE {schema}.meta SET value = '8' WHERE key = 'schema_version'"
    ))
    .await;
    let error = store().await.unwrap_err();
    assert_error!(
        error,
        OpenError::NewerSchema { found: 8, .. },
        "upgrade gatepass-postgres in every process"
    );
}

#[tokio::test]
async fn a_schema_that_is_used_for_something_else_is_left_as_it_is() {
    let schema = unique("foreign");
    execute(format!(
        "CREATE SCHEMA {schema}; CREATE TABLE {schema}.sessions (mine int)"
    ))
    .await;
    let store = PostgresStore::at(postgres()).schema(&schema);
    let error = store.open().await.unwrap_err();
    assert_error!(
        error,
        OpenError::ForeignSchema { .. },
        "give the store another"
    );
    let tables = format!("SELECT count(*)::text FROM pg_tables WHERE schemaname = '{schema}'");
    assert_eq!(ask(tables).await, "1");
}

#[tokio::test]
async fn of_many_nodes_that_start_at_once_one_creates_the_schema() {
    let schema = unique("many");
    let mut nodes = JoinSet::new();
    for _ in 0..16 {
        let store = PostgresStore::at(postgres()).schema(&schema);
        nodes.spawn(store.open_timeout(PATIENCE).timeout(PATIENCE).open());
    }
    let stores: Result<Vec<_>, _> = nodes.join_all().await.into_iter().collect();
    let stores = stores.unwrap();
    let session = gatepass_testkit::sessions::begin(stores.first().unwrap(), "alice").await;
    gatepass_testkit::sessions::end(stores.last().unwrap(), &session).await;
    let incarnations =
        format!("SELECT count(*)::text FROM {schema}.meta WHERE key = 'incarnation'");
    assert_eq!(ask(incarnations).await, "1");
}

#[tokio::test]
async fn nothing_is_left_outside_of_the_schema() {
    let database = unique("shared");
    execute(format!("CREATE DATABASE {database}")).await;
    let pool = pool_of(options().database(&database));
    // An application with tables of the same names, and with migrations of sqlx.
    sqlx::raw_sql(
        "CREATE TABLE sessions (mine int); CREATE TABLE meta (mine int);
         CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let store = PostgresStore::open(pool.clone()).await.unwrap();
    gatepass_testkit::sessions::begin(&store, "alice").await;
    let schemas: Vec<(String, i64)> = sqlx::query_as(
        "SELECT schemaname::text, count(*) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(schemas, [("gatepass".into(), 6), ("public".into(), 3)]);
}

#[tokio::test]
async fn a_proxy_that_refuses_a_setting_is_told_apart() {
    let store = PostgresStore::builder(support::pool(&support::pgbouncer()));
    let error = store.open().await.unwrap_err();
    assert_error!(
        error,
        OpenError::ProxySetting { .. },
        "extra_float_digits(None)"
    );
}

#[tokio::test]
async fn attempts_of_a_flood_are_purged_as_soon_as_they_are_forgotten() {
    let (schema, clock) = (unique("flood"), gatepass_testkit::ManualClock::new());
    let store = support::at(postgres()).schema(&schema).clock(clock.clone());
    let store = store.open().await.unwrap();
    gatepass_testkit::sessions::attempt_with_names(&store, 50).await;
    let rows = || ask(format!("SELECT count(*)::text FROM {schema}.attempts"));
    assert_eq!(rows().await, "150");
    clock.advance(Duration::from_secs(300));
    let purged = store.purge(Timestamp::MAX, 100).await.unwrap();
    assert_eq!((purged.removed, purged.more), (100, true));
    let purged = store.purge(Timestamp::MAX, 100).await.unwrap();
    assert_eq!((purged.removed, purged.more), (50, false));
    assert_eq!(rows().await, "0");
}
