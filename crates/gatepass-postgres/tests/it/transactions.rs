//! Sessions end with the application's own transaction, or not at all.

mod contract;
mod faults;
mod refused;
mod trigger;

use std::str::FromStr;

use gatepass::store::{EndReason, EndSessions, Revocation, RevocationTarget, SessionStore};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::sessions::{account, begin, issuer, pull_all};
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Row, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use crate::support::{self, PATIENCE, ask, pgbouncer, postgres, unique};

/// A store, and the application's pool. The application has a table `app` in the same schema.
struct Shop {
    store: PostgresStore,
    pool: PgPool,
    schema: String,
}

impl Shop {
    async fn open() -> Self {
        Self::open_at(&postgres()).await
    }

    /// Opens a store, and an application's pool that leads to `url`.
    async fn open_at(url: &str) -> Self {
        let schema = unique("shop");
        let store = support::at(postgres()).schema(&schema);
        let store = store.open().await.unwrap();
        support::execute(format!("CREATE TABLE {schema}.app (name text PRIMARY KEY)")).await;
        let options = PgConnectOptions::from_str(url).unwrap();
        let pool = PgPoolOptions::new()
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.extra_float_digits(None));
        Self {
            store,
            pool,
            schema,
        }
    }

    async fn transaction(&self) -> Transaction<'static, Postgres> {
        self.pool.begin().await.unwrap()
    }

    /// Writes the application's own row for `name`, and ends the sessions of that user.
    async fn change(&self, transaction: &mut Transaction<'_, Postgres>, name: &str) {
        let write = format!("INSERT INTO {}.app VALUES ('{name}')", self.schema);
        run(transaction, write).await;
        let ended = self.end(transaction, name).await;
        assert!(ended.is_some(), "{name}");
    }

    async fn end(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        name: &str,
    ) -> Option<Revocation> {
        let all = EndSessions::AllOf(account(name));
        let ended = self.store.end_in(transaction, all, EndReason::UserDeleted);
        ended.await.unwrap()
    }

    /// The content of gatepass's tables, as text.
    async fn tables(&self) -> String {
        let schema = &self.schema;
        ask(format!(
            "SELECT concat((SELECT json_agg(s ORDER BY s.id) FROM {schema}.sessions s),
                 (SELECT json_agg(a ORDER BY a.id) FROM {schema}.accounts a),
                 (SELECT json_agg(r ORDER BY r.xid, r.seq) FROM {schema}.revocations r))"
        ))
        .await
    }
}

async fn run(conn: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .unwrap();
}

async fn say(conn: &mut PgConnection, sql: &'static str) -> String {
    let said = sqlx::raw_sql(sql).fetch_one(conn);
    said.await.unwrap().get(0)
}

/// The users whose sessions the entries end.
fn names(entries: &[Revocation], of: &[&'static str]) -> Vec<&'static str> {
    let name = |entry: &Revocation| {
        let RevocationTarget::Sessions(id, _) = entry.target else {
            panic!("{entry:?}")
        };
        of.iter().copied().find(|name| account(name) == id).unwrap()
    };
    entries.iter().map(name).collect()
}

#[tokio::test]
async fn sessions_end_when_the_transaction_commits_and_not_before() {
    for url in [postgres(), pgbouncer()] {
        let shop = Shop::open_at(&url).await;
        let session = begin(&shop.store, "alice").await;
        let (_, cursor) = pull_all(&shop.store, None).await;
        let mut transaction = shop.transaction().await;
        shop.change(&mut transaction, "alice").await;
        let before = shop.store.load(session.id).await.unwrap().0.unwrap();
        assert_eq!(before.ended, None);
        assert_eq!(pull_all(&shop.store, Some(&cursor)).await.0, []);
        transaction.commit().await.unwrap();

        let after = shop.store.load(session.id).await.unwrap().0.unwrap();
        assert_eq!(after.ended.unwrap().reason, EndReason::UserDeleted);
        let (entries, _) = pull_all(&shop.store, Some(&cursor)).await;
        assert_eq!(names(&entries, &["alice"]), ["alice"]);
    }
}

#[tokio::test]
async fn a_rollback_ends_nothing() {
    let shop = Shop::open().await;
    let session = begin(&shop.store, "alice").await;
    let before = shop.tables().await;
    for by_itself in [false, true] {
        let mut transaction = shop.transaction().await;
        shop.change(&mut transaction, "alice").await;
        match by_itself {
            // Like a handler that returns early.
            true => drop(transaction),
            false => transaction.rollback().await.unwrap(),
        }
    }
    // The connection is back in the pool, so the rollback is over.
    shop.pool.close().await;
    assert_eq!(shop.tables().await, before);
    let loaded = shop.store.load(session.id).await.unwrap().0;
    assert_eq!(loaded, Some(session));
}

#[tokio::test]
async fn a_rollback_to_a_savepoint_ends_nothing_and_the_transaction_can_go_on() {
    let shop = Shop::open().await;
    for name in ["alice", "bob", "carol"] {
        begin(&shop.store, name).await;
    }
    let (_, cursor) = pull_all(&shop.store, None).await;
    let mut transaction = shop.transaction().await;
    let mut savepoint = sqlx::Acquire::begin(&mut transaction).await.unwrap();
    shop.change(&mut savepoint, "alice").await;
    savepoint.rollback().await.unwrap();
    let mut savepoint = sqlx::Acquire::begin(&mut transaction).await.unwrap();
    shop.change(&mut savepoint, "bob").await;
    savepoint.commit().await.unwrap();
    shop.change(&mut transaction, "carol").await;
    transaction.commit().await.unwrap();
    let (entries, _) = pull_all(&shop.store, Some(&cursor)).await;
    assert_eq!(names(&entries, &["bob", "carol"]), ["bob", "carol"]);
    let alice = shop.store.sessions(account("alice"), None, 10).await;
    assert_eq!(alice.unwrap().len(), 1);
}

#[tokio::test]
async fn transactions_that_commit_late_and_out_of_order_are_neither_missed_nor_waited_for() {
    let shop = Shop::open().await;
    let users = ["alice", "bob", "carol"];
    for name in users {
        begin(&shop.store, name).await;
    }
    let mut open = Vec::new();
    for name in users {
        let mut transaction = shop.transaction().await;
        shop.change(&mut transaction, name).await;
        open.push(transaction);
    }
    let (_, mut cursor) = pull_all(&shop.store, None).await;
    for name in ["carol", "bob", "alice"] {
        open.pop().unwrap().commit().await.unwrap();
        // The earlier transactions are still open.
        let (entries, next) = pull_all(&shop.store, Some(&cursor)).await;
        assert_eq!(names(&entries, &users), [name]);
        cursor = next;
    }
    assert_eq!(pull_all(&shop.store, Some(&cursor)).await.0, []);
}

#[tokio::test]
async fn a_savepoint_in_a_transaction_that_commits_late_is_not_missed_either() {
    let shop = Shop::open().await;
    for name in ["alice", "bob"] {
        begin(&shop.store, name).await;
    }
    let mut early = shop.transaction().await;
    let mut savepoint = sqlx::Acquire::begin(&mut early).await.unwrap();
    shop.change(&mut savepoint, "alice").await;
    savepoint.commit().await.unwrap();
    let mut later = shop.transaction().await;
    shop.change(&mut later, "bob").await;
    later.commit().await.unwrap();
    let (entries, cursor) = pull_all(&shop.store, None).await;
    assert_eq!(names(&entries, &["bob"]), ["bob"]);
    early.commit().await.unwrap();
    let (entries, _) = pull_all(&shop.store, Some(&cursor)).await;
    assert_eq!(names(&entries, &["alice"]), ["alice"]);
}

#[tokio::test]
async fn nodes_are_notified_by_the_commit_and_by_nothing_else() {
    let shop = Shop::open().await;
    begin(&shop.store, "alice").await;
    let mut heard = PgListener::connect(&postgres()).await.unwrap();
    let channel = format!("{}_revocations", shop.schema);
    heard.listen(&channel).await.unwrap();
    let mut undone = shop.transaction().await;
    shop.change(&mut undone, "alice").await;
    undone.rollback().await.unwrap();
    let mut transaction = shop.transaction().await;
    shop.change(&mut transaction, "alice").await;
    support::execute(format!("NOTIFY {channel}, 'before'")).await;
    transaction.commit().await.unwrap();
    // The function does the same.
    begin(&shop.store, "alice").await;
    let call = format!(
        "SELECT {}.end_sessions_of('{}', 'alice', 'logout_all')",
        shop.schema,
        issuer()
    );
    support::execute(format!("BEGIN; {call}; ROLLBACK")).await;
    support::execute(format!("NOTIFY {channel}, 'between'")).await;
    support::execute(call).await;
    for payload in ["before", "", "between", ""] {
        let next = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
        assert_eq!(next.payload(), payload);
    }
}

#[tokio::test]
async fn a_login_that_comes_meanwhile_waits_for_the_transaction_and_lives() {
    let shop = Shop::open().await;
    let old = begin(&shop.store, "alice").await;
    let mut transaction = shop.transaction().await;
    shop.change(&mut transaction, "alice").await;
    let login = tokio::spawn({
        let store = shop.store.clone();
        async move { begin(&store, "alice").await }
    });
    while say(&mut transaction, WAITING).await != "true" {
        tokio::task::yield_now().await;
    }
    transaction.commit().await.unwrap();
    let new = login.await.unwrap();
    let load = async |session| shop.store.load(session).await.unwrap().0.unwrap();
    assert!(load(old.id).await.ended.is_some());
    assert_eq!(load(new.id).await.ended, None);
}

#[tokio::test]
async fn a_login_that_commits_while_the_end_waits_for_it_is_over_with_the_others() {
    let shop = Shop::open().await;
    trigger::introduce(&shop.store, &[issuer().as_str()]).await;
    for by_function in [false, true] {
        begin(&shop.store, "alice").await;
        // The first statement of a login.
        let mut login = shop.transaction().await;
        let number = format!("UPDATE {}.accounts SET last = last + 1", shop.schema);
        run(&mut login, number).await;
        let end = async {
            let mut transaction = shop.transaction().await;
            if by_function {
                let call = format!(
                    "SELECT {}.end_sessions_of('alice', 'logout_all')",
                    shop.schema
                );
                run(&mut transaction, call).await;
            } else {
                assert!(shop.end(&mut transaction, "alice").await.is_some());
            }
            transaction.commit().await.unwrap();
        };
        let commit = async {
            while say(&mut login, WAITING).await != "true" {
                tokio::task::yield_now().await;
            }
            login.commit().await.unwrap();
        };
        tokio::join!(end, commit);
        let covered = format!("SELECT (up_to = last)::text FROM {}.accounts", shop.schema);
        assert_eq!(ask(covered).await, "true", "by the function: {by_function}");
    }
}

/// Asks whether another transaction waits for this one.
const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))::text";

/// All settings and the role, except one setting and those of plpgsql, which appear when it is
/// first used.
const SETTINGS: &str = "SELECT concat(current_user, session_user, (
    SELECT json_agg(json_build_array(name, setting) ORDER BY name) FROM pg_settings
    WHERE name <> 'synchronous_commit' AND name NOT LIKE 'plpgsql.%'))";
const DURABILITY: &str = "SELECT current_setting('synchronous_commit')";

#[tokio::test]
async fn the_settings_of_the_application_stay_as_they_are() {
    let shop = Shop::open().await;
    begin(&shop.store, "alice").await;
    let mut conn = shop.pool.acquire().await.unwrap();
    let own =
        "SET statement_timeout = 12345; SET search_path = pg_catalog; SET lock_timeout = 54321;
               SET bytea_output = hex; SET standard_conforming_strings = off";
    run(&mut conn, own.to_owned()).await;
    let mut transaction = sqlx::Connection::begin(&mut *conn).await.unwrap();
    let before = say(&mut transaction, SETTINGS).await;
    shop.change(&mut transaction, "alice").await;
    assert!(say(&mut transaction, SETTINGS).await == before);
    assert_eq!(say(&mut transaction, DURABILITY).await, "on");
    transaction.commit().await.unwrap();
    assert!(say(&mut conn, SETTINGS).await == before);
}

#[tokio::test]
async fn a_transaction_that_is_not_written_to_disk_is_written_nevertheless() {
    let shop = Shop::open().await;
    begin(&shop.store, "alice").await;
    let mut conn = shop.pool.acquire().await.unwrap();
    run(&mut conn, "SET synchronous_commit = off".to_owned()).await;
    let mut transaction = sqlx::Connection::begin(&mut *conn).await.unwrap();
    let mut savepoint = sqlx::Acquire::begin(&mut transaction).await.unwrap();
    shop.change(&mut savepoint, "alice").await;
    savepoint.rollback().await.unwrap();
    assert_eq!(say(&mut transaction, DURABILITY).await, "off");
    assert_eq!(shop.end(&mut transaction, "bob").await, None);
    assert_eq!(say(&mut transaction, DURABILITY).await, "off");
    shop.change(&mut transaction, "alice").await;
    assert_eq!(say(&mut transaction, DURABILITY).await, "local");
    transaction.commit().await.unwrap();
    assert_eq!(say(&mut conn, DURABILITY).await, "off");
}

#[tokio::test]
async fn a_transaction_may_end_the_sessions_of_many_and_of_one_twice() {
    let shop = Shop::open().await;
    let users = ["alice", "bob", "carol"];
    for name in users {
        begin(&shop.store, name).await;
    }
    let mut transaction = shop.transaction().await;
    for name in users {
        shop.change(&mut transaction, name).await;
        assert_eq!(shop.end(&mut transaction, name).await, None, "it is over");
    }
    transaction.commit().await.unwrap();
    let (entries, cursor) = pull_all(&shop.store, None).await;
    assert_eq!(names(&entries, &users), users);
    // The user's new entry replaces the older one, so readers see it again.
    begin(&shop.store, "bob").await;
    let mut transaction = shop.transaction().await;
    assert!(shop.end(&mut transaction, "bob").await.is_some());
    transaction.commit().await.unwrap();
    let (entries, _) = pull_all(&shop.store, Some(&cursor)).await;
    assert_eq!(names(&entries, &users), ["bob"]);
}

/// A proxy that pools transactions runs each on any free connection. A statement that was prepared
/// on one connection doesn't exist on another.
#[tokio::test]
async fn transactions_of_one_client_may_get_different_connections_of_a_proxy() {
    let shop = Shop::open_at(&pgbouncer()).await;
    let mut client = shop.pool.acquire().await.unwrap();
    let mut others = Vec::new();
    for name in ["alice", "bob", "carol"] {
        begin(&shop.store, name).await;
        let mut transaction = sqlx::Connection::begin(&mut *client).await.unwrap();
        shop.change(&mut transaction, name).await;
        transaction.commit().await.unwrap();
        // Another client takes the connection that the proxy just used.
        let mut other = shop.transaction().await;
        run(&mut other, "SELECT 1".to_owned()).await;
        others.push(other);
    }
}
