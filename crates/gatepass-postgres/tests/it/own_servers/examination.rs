//! The examination of a database, once for each fault that it reports.

use gatepass::{
    Clock,
    store::{Heartbeat, NodeId, SessionStore, Severity},
};
use gatepass_postgres::{OpenError, PostgresStore};
use gatepass_servers::Durability;
use gatepass_testkit::{
    ManualClock,
    sessions::{begin, end},
};
use test_support::examination::finds_a_purge_that_does_not_keep_up;

use super::{at, directory, start};
use crate::support::{self, PATIENCE};

type Found = Vec<(Severity, &'static str)>;

async fn examine_at(url: String, clock: &ManualClock) -> Result<Found, OpenError> {
    let builder = PostgresStore::at(url)
        .clock(clock.clone())
        .open_timeout(PATIENCE);
    let found = builder.examine().await?.findings;
    Ok(found.iter().map(|one| (one.severity, one.code)).collect())
}

#[tokio::test]
async fn each_fault_of_a_database_is_found() {
    let directory = directory();
    let server = start(&directory, Durability::Crash);
    let clock = ManualClock::new();
    let examine = async || examine_at(server.url(), &clock).await.unwrap();
    assert_eq!(examine().await, [(Severity::Error, "no_store")]);
    let there = "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'gatepass'";
    assert_eq!(at(&server, there).await.unwrap(), "0", "nothing is made");

    let store = PostgresStore::at(server.url()).clock(clock.clone());
    let store = store.timeout(PATIENCE).open().await.unwrap();
    let session = begin(&store, "alice").await;
    end(&store, &session).await;
    let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
    let node = NodeId::from_bytes([1; 16]);
    let heartbeat = Heartbeat::new(node, issuer, audience, clock.now());
    store.beat(&heartbeat, PATIENCE).await.unwrap();
    assert_eq!(examine().await, []);
    let builder = PostgresStore::at(server.url()).clock(clock.clone());
    let heartbeats = builder.examine().await.unwrap().heartbeats;
    assert_eq!(heartbeats, Some(store.heartbeats().await.unwrap()));

    for (wrong, right, severity, code) in [
        (
            "ALTER DATABASE postgres SET synchronous_commit = off",
            "ALTER DATABASE postgres RESET synchronous_commit",
            Severity::Warning,
            "synchronous_commit_off",
        ),
        (
            "ALTER ROLE gatepass SET default_transaction_read_only = on",
            "SET TRANSACTION READ WRITE;
             ALTER ROLE gatepass RESET default_transaction_read_only",
            Severity::Error,
            "read_only",
        ),
        (
            "DROP INDEX gatepass.sessions_live",
            "CREATE INDEX sessions_live ON gatepass.sessions (account, number) WHERE ended_at IS NULL",
            Severity::Error,
            "missing_index",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'gatepass.sessions_purge'::regclass",
            "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'gatepass.sessions_purge'::regclass",
            Severity::Error,
            "missing_index",
        ),
        (
            "UPDATE gatepass.meta SET value = '1' || value WHERE key = 'schema_version'",
            "UPDATE gatepass.meta SET value = substr(value, 2) WHERE key = 'schema_version'",
            Severity::Error,
            "newer_schema",
        ),
        (
            "UPDATE gatepass.meta SET value = value::int - 1 WHERE key = 'schema_version'",
            "UPDATE gatepass.meta SET value = value::int + 1 WHERE key = 'schema_version'",
            Severity::Warning,
            "older_schema",
        ),
        (
            "UPDATE gatepass.nodes SET heartbeat = '{}'",
            "DELETE FROM gatepass.nodes",
            Severity::Warning,
            "unreadable_heartbeats",
        ),
    ] {
        at(&server, wrong).await;
        assert_eq!(examine().await, [(severity, code)], "{wrong}");
        at(&server, right).await;
        assert_eq!(examine().await, [], "{right}");
    }

    finds_a_purge_that_does_not_keep_up(&store, &clock, examine).await;
}

#[tokio::test]
async fn a_server_that_a_crash_destroys_is_found() {
    let directory = directory();
    let server = start(&directory, Durability::Crash);
    let clock = ManualClock::new();
    let store = PostgresStore::at(server.url()).clock(clock.clone());
    store.timeout(PATIENCE).open().await.unwrap();
    for (wrong, right, severity, code) in [
        (
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM RESET fsync",
            Severity::Error,
            "fsync_off",
        ),
        (
            "ALTER SYSTEM SET full_page_writes = off",
            "ALTER SYSTEM RESET full_page_writes",
            Severity::Warning,
            "full_page_writes_off",
        ),
        (
            "ALTER SYSTEM SET autovacuum = off",
            "ALTER SYSTEM RESET autovacuum",
            Severity::Warning,
            "autovacuum_off",
        ),
    ] {
        for (sql, expected) in [(wrong, &[(severity, code)][..]), (right, &[])] {
            at(&server, sql).await;
            at(&server, "SELECT pg_reload_conf()::text").await;
            // The server reads its configuration a moment later.
            let found =
                async { while examine_at(server.url(), &clock).await.unwrap() != expected {} };
            let found = tokio::time::timeout(PATIENCE, found).await;
            found.unwrap_or_else(|_| panic!("{sql}: not {expected:?}"));
        }
    }
}

#[tokio::test]
async fn a_replica_is_found() {
    let found = examine_at(support::replica(), &ManualClock::new()).await;
    assert_eq!(found.unwrap(), [(Severity::Error, "replica")]);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_read_is_an_error_without_its_password() {
    let clock = ManualClock::new();
    let examine = async |url: &str| examine_at(url.to_owned(), &clock).await.unwrap_err();
    let error = examine("postgres://u:hunter2@127.0.0.1:1/d").await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    let error = examine("mysql://u:hunter2@127.0.0.1/d").await;
    assert!(matches!(error, OpenError::Url), "{error:?}");

    let role = support::unique("blind");
    support::execute(format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
    let schema = support::unique("test");
    let store = PostgresStore::at(support::postgres()).schema(&schema);
    store.open_timeout(PATIENCE).open().await.unwrap();
    let url = support::postgres();
    let (_, server) = url.split_once('@').unwrap();
    let builder = PostgresStore::at(format!("postgres://{role}:pw@{server}")).schema(&schema);
    let found = builder.open_timeout(PATIENCE).examine().await.unwrap();
    assert_eq!(found.findings.last().unwrap().code, "may_not_read");
}
