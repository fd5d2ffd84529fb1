//! The SQL functions, for triggers and for applications in other languages.

use gatepass::store::{EndReason, EndSessions, ServiceIdentity, SessionStore};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::{
    ManualClock,
    sessions::{account, begin, issuer, new_session, pull_all},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{DURABILITY, SETTINGS, Shop, names, run, say};
use crate::support::{self, ask, execute, postgres, unique};

/// The error of the server: its code, its message and its hint.
async fn refused(conn: &mut PgConnection, sql: String) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    let error = error.unwrap_err();
    let said = error.as_database_error().unwrap();
    let said = said.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    format!(
        "{} {} {}",
        said.code(),
        said.message(),
        said.hint().unwrap_or_default()
    )
}

async fn connect() -> PgConnection {
    PgConnection::connect(&postgres()).await.unwrap()
}

/// Tells the store that these issuers keep their sessions in it.
pub(super) async fn introduce(store: &PostgresStore, issuers: &[&str]) {
    let identity = |issuer: &&str| {
        let text = serde_json::json!({ "iss": issuer, "aud": "api", "secret": "00" });
        ServiceIdentity::from_text(&text.to_string()).unwrap()
    };
    let identities = Vec::from_iter(issuers.iter().map(identity));
    store.introduce(&identities, true).await.unwrap();
}

const NAMES: [&str; 7] = [
    "alice",
    "O'Hara \\ \"quoted\"",
    "Jürgen",
    "ユーザー",
    "👩‍👩‍👧‍👦",
    "$1 @ {=}",
    "a very long name, of as many bytes as a subject may have, that is two hundred and fifty-five: \
     ............................................................................................\
     .....................................................................",
];

#[tokio::test]
async fn an_account_is_found_by_any_subject_and_issuer() {
    let shop = Shop::open().await;
    let mut conn = connect().await;
    assert_eq!(NAMES[6].len(), 255);
    for issuer in ["https://shop.example", "https://büro.example/é"] {
        introduce(&shop.store, &[issuer]).await;
        for name in NAMES {
            let mut new = new_session(name);
            new.issuer = gatepass::store::Issuer::new(issuer).unwrap();
            let session = shop.store.begin(new).await.unwrap().session;
            let call = format!(
                "SELECT {}.end_sessions_of($1, $2, 'user_deleted')",
                shop.schema
            );
            for ends in [true, false] {
                let ended: bool = sqlx::query_scalar(AssertSqlSafe(call.clone()))
                    .bind(issuer)
                    .bind(name)
                    .fetch_one(&mut conn)
                    .await
                    .unwrap();
                assert_eq!(ended, ends, "{issuer} {name}");
            }
            let loaded = shop.store.load(session.id).await.unwrap().0.unwrap();
            let ended = loaded.ended.unwrap();
            assert_eq!(ended.reason, EndReason::UserDeleted, "{name}");
        }
    }
}

/// The rows of all tables, without columns that hold a time or a transaction number of the server.
async fn rows(schema: &str) -> String {
    ask(format!(
        "SELECT concat((SELECT json_agg(s ORDER BY s.id) FROM {schema}.sessions s),
             (SELECT json_agg(to_jsonb(a) - 'ended_at' ORDER BY a.id) FROM {schema}.accounts a),
             (SELECT json_agg(to_jsonb(r) - 'xid' ORDER BY r.seq) FROM {schema}.revocations r))"
    ))
    .await
}

/// Two stores get the same sessions and the same ends: one by the function, and one by `end_in`.
#[tokio::test]
async fn the_function_writes_byte_by_byte_what_the_store_writes() {
    let clock = ManualClock::new();
    let mut shops = Vec::new();
    for _ in 0..2 {
        let mut shop = Shop::open().await;
        let store = support::at(postgres()).schema(&shop.schema);
        shop.store = store.clock(clock.clone()).open().await.unwrap();
        introduce(&shop.store, &[issuer().as_str()]).await;
        shops.push(shop);
    }
    let begin_both = async |name: &str| {
        let new = new_session(name);
        for shop in &shops {
            shop.store.begin(new.clone()).await.unwrap();
        }
        new.id
    };
    let reasons = [
        EndReason::EndedByApplication,
        EndReason::LogoutAll,
        EndReason::UserDeleted,
        EndReason::EndedByUser,
    ];
    // Accounts without a cutoff, with a cutoff, with a cutoff that spares a session, with all
    // sessions ended, and one that doesn't exist.
    for (round, reason) in reasons.into_iter().enumerate() {
        let kept = begin_both("alice").await;
        clock.advance(std::time::Duration::from_secs(60));
        begin_both("alice").await;
        let ends = [round % 2 == 1, true, true];
        for (number, does) in ends.into_iter().enumerate() {
            if !does {
                continue;
            }
            if number == 0 {
                let others = EndSessions::AllOfBut(account("alice"), kept);
                for shop in &shops {
                    let ended = shop.store.end(others.clone(), EndReason::LogoutAll).await;
                    assert!(ended.unwrap().is_some());
                }
                continue;
            }
            let mut transaction = shops[0].transaction().await;
            let by_store = EndSessions::AllOf(account("alice"));
            let by_store = shops[0].store.end_in(&mut transaction, by_store, reason);
            let by_store = by_store.await.unwrap();
            transaction.commit().await.unwrap();
            let call = format!(
                "SELECT {}.end_sessions_of('{}', 'alice', '{}')::text",
                shops[1].schema,
                issuer(),
                reason.as_str()
            );
            assert_eq!(ask(call).await == "true", by_store.is_some());
            assert_eq!(by_store.is_some(), number == 1);
            let [one, other] = [rows(&shops[0].schema).await, rows(&shops[1].schema).await];
            assert_eq!(one, other, "{reason:?}");
        }
    }
    let call = format!(
        "SELECT {}.end_sessions_of('{}', 'nobody', 'logout_all')::text",
        shops[1].schema,
        issuer()
    );
    assert_eq!(ask(call).await, "false");
    assert_eq!(rows(&shops[0].schema).await, rows(&shops[1].schema).await);
    let (logged, _) = pull_all(&shops[1].store, None).await;
    assert_eq!(logged, pull_all(&shops[0].store, None).await.0);
}

/// The trigger of the documentation, for a role that doesn't own gatepass's tables.
pub(super) async fn shop_with_trigger() -> (Shop, String) {
    let shop = Shop::open().await;
    introduce(&shop.store, &[issuer().as_str()]).await;
    let (schema, role) = (&shop.schema, unique("app"));
    let page = include_str!("../../../../gatepass/docs/transactions.md");
    let sql = page.split("```sql\n").skip(1);
    let sql = sql.map(|rest| rest.split("```").next().unwrap());
    // The statements name the schema and the role of the example.
    let sql = Vec::from_iter(sql).concat();
    let sql = sql
        .replace("gatepass.", &format!("{schema}."))
        .replace("SCHEMA gatepass", &format!("SCHEMA {schema}"))
        .replace("shop_app", &role);
    execute(format!(
        "CREATE ROLE {role}; CREATE SCHEMA {role}; GRANT CREATE, USAGE ON SCHEMA {role} TO {role};
         SET search_path = {role};
         CREATE TABLE users (id text PRIMARY KEY, name text, password_hash text NOT NULL,
             disabled boolean NOT NULL DEFAULT false);
         GRANT SELECT, INSERT, UPDATE, DELETE ON users TO {role};
         {sql}
         INSERT INTO users (id, password_hash) VALUES ('alice', 'old'), ('bob', 'old'), ('carol', 'old')"
    ))
    .await;
    for name in ["alice", "bob", "carol"] {
        begin(&shop.store, name).await;
    }
    (shop, role)
}

/// A connection of the application's role.
async fn as_role(role: &str) -> PgConnection {
    let mut conn = connect().await;
    run(
        &mut conn,
        format!("SET ROLE {role}; SET search_path = {role}"),
    )
    .await;
    conn
}

#[tokio::test]
async fn a_trigger_ends_the_sessions_of_a_role_that_may_only_execute_it() {
    let (shop, role) = shop_with_trigger().await;
    let mut conn = as_role(&role).await;
    for table in ["sessions", "accounts", "revocations", "meta"] {
        let read = format!("SELECT * FROM {}.{table}", shop.schema);
        let said = refused(&mut conn, read).await;
        assert!(said.starts_with("42501"), "{said}");
    }
    let (_, mut cursor) = pull_all(&shop.store, None).await;
    let all = ["alice", "bob", "carol"];
    for (change, ended) in [
        (
            "UPDATE users SET name = 'Alice' WHERE id = 'alice'",
            &[][..],
        ),
        (
            "UPDATE users SET password_hash = 'old', disabled = false",
            &[],
        ),
        (
            "UPDATE users SET password_hash = 'new' WHERE id = 'alice'",
            &["alice"],
        ),
        (
            "UPDATE users SET disabled = true WHERE id = 'bob'",
            &["bob"],
        ),
        ("BEGIN; DELETE FROM users; ROLLBACK", &[]),
        ("UPDATE users SET disabled = false WHERE id = 'bob'", &[]),
        ("DELETE FROM users WHERE id = 'carol'", &["carol"]),
        (
            "UPDATE users SET password_hash = 'newest' WHERE id = 'alice'",
            &["alice"],
        ),
    ] {
        begin(&shop.store, "alice").await;
        run(&mut conn, change.to_owned()).await;
        let (entries, next) = pull_all(&shop.store, Some(&cursor)).await;
        assert_eq!(names(&entries, &all), ended, "{change}");
        cursor = next;
    }
}

#[tokio::test]
async fn no_role_may_execute_it_by_default() {
    let shop = Shop::open().await;
    let role = unique("app");
    execute(format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {} TO {role}",
        shop.schema
    ))
    .await;
    let mut conn = connect().await;
    run(&mut conn, format!("SET ROLE {role}")).await;
    for arguments in ["'alice', 'logout_all'", "'iss', 'alice', 'logout_all'"] {
        let call = format!("SELECT {}.end_sessions_of({arguments})", shop.schema);
        let said = refused(&mut conn, call).await;
        assert!(said.starts_with("42501"), "{said}");
    }
}

#[tokio::test]
async fn a_call_that_would_do_it_wrong_is_refused() {
    let shop = Shop::open().await;
    let call =
        |arguments: &str| format!("SELECT {}.end_sessions_of({arguments})::text", shop.schema);
    // No authority has begun a session yet.
    assert_eq!(ask(call("'alice', 'user_deleted'")).await, "false");
    introduce(&shop.store, &[issuer().as_str()]).await;
    begin(&shop.store, "alice").await;
    let before = shop.tables().await;
    let mut conn = connect().await;
    for (arguments, says) in [
        ("NULL, 'user_deleted'", "22004"),
        ("'alice', NULL", "take the subject from OLD"),
        ("NULL, 'alice', 'user_deleted'", "22004"),
        ("'alice', 'reuse'", "'reuse' is not a reason"),
        ("'alice', ''", "Take ended_by_application"),
        (
            "'https://shop.example/', 'alice', 'user_deleted'",
            "Take one of https://shop.example.",
        ),
    ] {
        let said = refused(&mut conn, call(arguments)).await;
        assert!(said.contains(says), "{arguments}: {said}");
    }
    for (mode, says) in [
        (
            "ISOLATION LEVEL REPEATABLE READ",
            "25000 sessions cannot be ended in a transaction that is REPEATABLE READ",
        ),
        (
            "ISOLATION LEVEL SERIALIZABLE",
            "with ISOLATION LEVEL READ COMMITTED",
        ),
        (
            "READ ONLY",
            "25006 sessions cannot be ended in a transaction that only reads",
        ),
    ] {
        run(&mut conn, format!("BEGIN {mode}")).await;
        let said = refused(&mut conn, call("'alice', 'user_deleted'")).await;
        assert!(said.contains(says), "{mode}: {said}");
        run(&mut conn, "ROLLBACK".to_owned()).await;
    }
    introduce(&shop.store, &["https://bank.example"]).await;
    let said = refused(&mut conn, call("'alice', 'user_deleted'")).await;
    assert!(said.contains("Name one of them first"), "{said}");
    assert_eq!(shop.tables().await, before.clone());
    let ended = ask(call("'https://shop.example', 'alice', 'user_deleted'")).await;
    assert_eq!(ended, "true");
    assert_ne!(shop.tables().await, before);
}

#[tokio::test]
async fn the_function_leaves_the_settings_and_writes_to_disk() {
    let shop = Shop::open().await;
    introduce(&shop.store, &[issuer().as_str()]).await;
    begin(&shop.store, "alice").await;
    let mut conn = connect().await;
    run(&mut conn, "SET synchronous_commit = off; BEGIN".to_owned()).await;
    let before = say(&mut conn, SETTINGS).await;
    let call = format!(
        "SELECT {}.end_sessions_of('alice', 'logout_all')",
        shop.schema
    );
    run(&mut conn, call).await;
    assert!(say(&mut conn, SETTINGS).await == before);
    assert_eq!(say(&mut conn, DURABILITY).await, "local");
    run(&mut conn, "COMMIT".to_owned()).await;
    assert_eq!(say(&mut conn, DURABILITY).await, "off");
}

#[tokio::test]
async fn a_block_that_catches_an_exception_undoes_the_end_too() {
    let shop = Shop::open().await;
    introduce(&shop.store, &[issuer().as_str()]).await;
    begin(&shop.store, "alice").await;
    let before = shop.tables().await;
    execute(format!(
        "DO $$ BEGIN PERFORM {}.end_sessions_of('alice', 'logout_all'); PERFORM 1/0;
         EXCEPTION WHEN division_by_zero THEN NULL; END $$",
        shop.schema
    ))
    .await;
    assert_eq!(shop.tables().await, before);
}

/// The caller's temporary tables and search path don't affect a function that runs as its owner.
#[tokio::test]
async fn a_caller_cannot_have_the_function_write_elsewhere() {
    let (shop, role) = shop_with_trigger().await;
    let mut conn = as_role(&role).await;
    run(
        &mut conn,
        "CREATE TEMP TABLE accounts (id bytea, last bigint, until bigint, up_to bigint, except_number bigint);
         CREATE TEMP TABLE meta (key text, value text);
         CREATE TEMP TABLE revocations (account bytea);
         CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (value = 'trapped');
         SET search_path = pg_temp, pg_catalog"
            .to_owned(),
    )
    .await;
    run(
        &mut conn,
        format!(
            "SELECT {}.end_sessions_of('alice', 'user_deleted')",
            shop.schema
        ),
    )
    .await;
    let (entries, _) = pull_all(&shop.store, None).await;
    assert_eq!(names(&entries, &["alice"]), ["alice"]);
    let rows = sqlx::raw_sql("SELECT count(*)::pg_catalog.text FROM pg_temp.revocations");
    let rows = rows.fetch_one(&mut conn).await.unwrap();
    assert_eq!(rows.get::<&str, _>(0), "0");
}
