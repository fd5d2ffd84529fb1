//! If another role creates functions, operators and types in the application's search path, none of
//! them runs as the application (CVE-2018-1058).

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use gatepass::{
    Timestamp,
    store::{
        EndReason, EndSessions, GrantVersion, Heartbeat, NodeId, PullResult, RevocationLog,
        SessionStore, TokenId,
    },
};
use gatepass_postgres::{PostgresLog, PostgresStore};
use gatepass_testkit::sessions::{
    account, advance_of, begin, end, new_session, recovery_of, renewal_of, token_of,
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::support::{self, PATIENCE, execute, postgres, unique};

/// Shadows all of PostgreSQL's functions, operators and types that can be shadowed, by others that
/// fail.
const TRAPS: &str = r#"
CREATE SCHEMA traps;
GRANT USAGE ON SCHEMA traps TO PUBLIC;
DO $$
DECLARE one record; trap text;
BEGIN
    FOR one IN
        SELECT p.oid, proname, pg_get_function_identity_arguments(p.oid) AS arguments,
            pg_get_function_result(p.oid) AS result
        FROM pg_proc p WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
    LOOP
        trap := format('BEGIN RAISE EXCEPTION %L; END', 'trapped by the function ' || one.proname);
        BEGIN
            EXECUTE format('CREATE FUNCTION traps.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                one.proname, one.arguments, one.result, trap);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR one IN
        SELECT o.oid, oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result
        FROM pg_operator o WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0
    LOOP
        trap := format('BEGIN RAISE EXCEPTION %L; END', 'trapped by the operator ' || one.oprname);
        BEGIN
            EXECUTE format('CREATE FUNCTION traps.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
                one.oid, one.l, one.r, one.result, trap);
            EXECUTE format('CREATE OPERATOR traps.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = traps.operator_%s)',
                one.oprname, one.l, one.r, one.oid);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;
CREATE FUNCTION traps.step(bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'trapped by an aggregate'; END $$;
CREATE AGGREGATE traps.count(*) (SFUNC = traps.step, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION traps.step(boolean, boolean) RETURNS boolean LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'trapped by an aggregate'; END $$;
CREATE AGGREGATE traps.bool_and(boolean) (SFUNC = traps.step, STYPE = boolean, INITCOND = 'true');
CREATE FUNCTION traps.check_type() RETURNS boolean LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'trapped by a type'; END $$;
CREATE DOMAIN traps.text AS pg_catalog.text CHECK (traps.check_type());
CREATE DOMAIN traps.bytea AS pg_catalog.bytea CHECK (traps.check_type());
CREATE DOMAIN traps.name AS pg_catalog.name CHECK (traps.check_type());
CREATE DOMAIN traps.int8 AS pg_catalog.int8 CHECK (traps.check_type());
CREATE DOMAIN traps.xid8 AS pg_catalog.xid8 CHECK (traps.check_type());
CREATE DOMAIN traps.pg_snapshot AS pg_catalog.pg_snapshot CHECK (traps.check_type());
CREATE COLLATION traps."C" FROM pg_catalog."POSIX";
CREATE TABLE traps.meta (key text, value text);
CREATE TABLE traps.revocations (mine int);
CREATE TABLE traps.sessions (mine int);
-- Better matches than PostgreSQL's own, which run also where its schema comes first.
CREATE FUNCTION traps.hashtextextended(pg_catalog.text, integer) RETURNS bigint LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'trapped by a better match'; END $$;
CREATE FUNCTION traps.joined(pg_catalog.text, bigint) RETURNS pg_catalog.text LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'trapped by a better match'; END $$;
CREATE OPERATOR traps.|| (LEFTARG = pg_catalog.text, RIGHTARG = bigint, FUNCTION = traps.joined);
"#;

/// Options to connect as a role that may create schemas in its own database. Another role has
/// filled its search path with traps.
async fn trapped(path: &str) -> PgConnectOptions {
    let (database, role) = (unique("trapped"), unique("trapped"));
    execute(format!("CREATE DATABASE {database}")).await;
    execute(format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'pw'; GRANT CREATE ON DATABASE {database} TO {role};
         ALTER ROLE {role} IN DATABASE {database} SET search_path = {path}"
    ))
    .await;
    let options = PgConnectOptions::from_str(&postgres()).unwrap();
    let options = options.database(&database);
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(TRAPS).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    options.username(&role).password("pw")
}

fn pool(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options.clone())
}

/// Uses every function of a store.
async fn use_all(store: &PostgresStore) {
    let session = begin(store, "alice").await;
    let mut capped = new_session("alice");
    capped.max_sessions = NonZeroU32::new(1);
    let session = match store.begin(capped).await.unwrap() {
        begun if begun.ended.is_some() => begun.session,
        begun => panic!("{begun:?} {session:?}"),
    };
    let session = store.advance(advance_of(&session)).await.unwrap().unwrap();
    store.recover(recovery_of(&session)).await.unwrap();
    store.renew(renewal_of(&session)).await.unwrap().unwrap();
    let token = token_of(&session, 7);
    store.revoke_token(token).await.unwrap().unwrap();
    store
        .status(session.id, token.token, GrantVersion::FIRST)
        .await
        .unwrap();
    assert!(store.load(session.id).await.unwrap().0.is_some());
    assert_eq!(
        store
            .sessions(account("alice"), None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(end(store, &session).await.len(), 1);
    for name in ["bob", "carol", "dave"] {
        let session = begin(store, name).await;
        let target = match name {
            "bob" => EndSessions::AllOf(account(name)),
            "carol" => EndSessions::SessionOf(session.id, account(name)),
            _ => EndSessions::AllOfBut(account(name), new_session(name).id),
        };
        let ended = store.end(target, EndReason::Logout).await.unwrap();
        assert!(ended.is_some(), "{name}");
    }
    let PullResult::Entries { entries, next, .. } = store.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    assert_eq!(entries.len(), 6);
    store.pull(Some(&next)).await.unwrap();
    let session = begin(store, "alice").await;
    end(store, &session).await;
    timeout(PATIENCE, store.changed(&next)).await.unwrap();
    assert_eq!(store.introduce(&[], true).await.unwrap(), []);
    store.purge(Timestamp::MAX, 10).await.unwrap();
    assert!(store.purged_until().await.unwrap().is_some());
    let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
    let node = NodeId::from_bytes([1; 16]);
    let heartbeat = Heartbeat::new(node, issuer, audience, Timestamp::EPOCH);
    let kept = Duration::from_secs(60);
    store.beat(&heartbeat, kept).await.unwrap();
    assert_eq!(store.heartbeats().await.unwrap().nodes.len(), 1);
}

/// Ends sessions in the application's own transaction, by the store and by the function.
async fn end_in_transactions(store: &PostgresStore, options: &PgConnectOptions) {
    let session = begin(store, "erin").await;
    begin(store, "frank").await;
    let mut conn = PgConnection::connect_with(options).await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    for target in [
        EndSessions::Session(session.id),
        EndSessions::AllOf(account("erin")),
    ] {
        let ended = store.end_in(&mut transaction, target, EndReason::LogoutAll);
        assert!(ended.await.unwrap().is_some());
    }
    let ended: bool =
        sqlx::query_scalar("SELECT gatepass.end_sessions_of($1, 'frank', 'logout_all')")
            .bind(session.issuer.as_str())
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
    assert!(ended);
    transaction.commit().await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn nothing_that_another_role_puts_into_the_search_path_is_run() {
    let options = trapped("traps, pg_catalog").await;
    // Checks that a trap really is one.
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    for unqualified in [
        "SELECT 1 = 1",
        "SELECT 1 IN (1)",
        "SELECT pg_backend_pid()",
        "SELECT count(*) FROM pg_catalog.pg_class",
        "SELECT 'a'::text",
    ] {
        let run = sqlx::raw_sql(AssertSqlSafe(unqualified)).execute(&mut conn);
        let error = run.await.unwrap_err().to_string();
        assert!(error.contains("trapped"), "{unqualified}: {error}");
    }
    for pooling in [false, true] {
        let store = |pool| {
            support::over(pool)
                .schema("gatepass")
                .transaction_pooling(pooling)
        };
        let opened = store(pool(&options)).open().await.unwrap();
        use_all(&opened).await;
        end_in_transactions(&opened, &options).await;
        execute_as(&options, "DROP SCHEMA gatepass CASCADE").await;
    }
    let store = support::over(pool(&options)).schema("gatepass");
    let store = store.open().await.unwrap();
    let log = PostgresLog::builder(pool(&options));
    let log = log.listen_over(options.clone()).open().await.unwrap();
    // An entry of another cluster, for the next store that is opened.
    let restored =
        "INSERT INTO gatepass.revocations (xid, session, until) VALUES ('9000000000', '', 9)";
    execute_as(&options, restored).await;
    let opened = support::over(pool(&options)).schema("gatepass").open();
    opened.await.unwrap();
    let session = begin(&store, "alice").await;
    log.status(
        session.id,
        TokenId::from_bytes([1; 16]),
        GrantVersion::FIRST,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_better_match_in_the_search_path_is_not_run() {
    let options = trapped("pg_catalog, traps").await;
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    let unqualified = sqlx::raw_sql("SELECT hashtextextended('a'::text, 0)").execute(&mut conn);
    let error = unqualified.await.unwrap_err().to_string();
    assert!(error.contains("trapped"), "{error}");
    let store = support::over(pool(&options)).schema("gatepass");
    let store = store.open().await.unwrap();
    use_all(&store).await;
    end_in_transactions(&store, &options).await;
}

async fn execute_as(options: &PgConnectOptions, sql: &'static str) {
    let mut conn = PgConnection::connect_with(options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
