//! The store refuses an unfit transaction before it writes anything, and the transaction can go on.

use std::str::FromStr;

use gatepass::store::{EndReason, EndSessions};
use gatepass_postgres::{PostgresStore, TransactionError};
use gatepass_testkit::sessions::{account, begin};
use sqlx::{Connection, PgConnection, Postgres, Transaction, postgres::PgConnectOptions};
use test_support::assert_error;

use super::{Shop, run, say};
use crate::support::{self, execute, pool, postgres, replica, unique};

async fn refused(
    store: &PostgresStore,
    transaction: &mut Transaction<'_, Postgres>,
) -> TransactionError {
    let all = EndSessions::AllOf(account("alice"));
    let ended = store.end_in(transaction, all, EndReason::LogoutAll).await;
    // The transaction still works.
    assert_eq!(say(transaction, "SELECT 'goes on'").await, "goes on");
    ended.unwrap_err()
}

#[tokio::test]
async fn an_isolation_level_that_would_miss_a_session_is_refused() {
    let shop = Shop::open().await;
    begin(&shop.store, "alice").await;
    let before = shop.tables().await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut transaction = shop.transaction().await;
        run(
            &mut transaction,
            format!("SET TRANSACTION ISOLATION LEVEL {level}"),
        )
        .await;
        let error = refused(&shop.store, &mut transaction).await;
        assert_error!(error, TransactionError::Isolation { .. }, level);
        transaction.commit().await.unwrap();
        assert_eq!(shop.tables().await, before, "{level}");
    }
    // PostgreSQL has no such level, and uses READ COMMITTED instead.
    let mut transaction = shop.transaction().await;
    let level = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";
    run(&mut transaction, level.to_owned()).await;
    shop.change(&mut transaction, "alice").await;
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_only_reads_is_refused() {
    let shop = Shop::open().await;
    let mut transaction = shop.transaction().await;
    run(&mut transaction, "SET TRANSACTION READ ONLY".to_owned()).await;
    let error = refused(&shop.store, &mut transaction).await;
    assert_error!(error, TransactionError::ReadOnly, "READ WRITE");
    let pool = pool(&replica());
    let mut standby = pool.begin().await.unwrap();
    let error = refused(&shop.store, &mut standby).await;
    assert_error!(error, TransactionError::ReadOnly, "primary");
}

#[tokio::test]
async fn a_transaction_in_another_database_is_refused() {
    let shop = Shop::open().await;
    let refuse = async |options: PgConnectOptions| {
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        let mut transaction = conn.begin().await.unwrap();
        let error = refused(&shop.store, &mut transaction).await;
        let says = format!("the schema {} of the database \"postgres\"", shop.schema);
        assert_error!(error, TransactionError::OtherDatabase { .. }, &says);
    };
    let database = unique("elsewhere");
    execute(format!("CREATE DATABASE {database}")).await;
    let options = PgConnectOptions::from_str(&postgres()).unwrap();
    let there = options.clone().database(&database);
    refuse(there.clone()).await;
    // Also if another service keeps its sessions in a schema of the same name.
    let store = PostgresStore::builder(sqlx::PgPool::connect_lazy_with(there.clone()));
    store.schema(&shop.schema).open().await.unwrap();
    refuse(there.clone()).await;
    // Also if the role has no rights there, which it would not need.
    let role = unique("app");
    execute(format!("CREATE ROLE {role}")).await;
    refuse(there.options([("role", role)])).await;
    // Also if the schema was created again while the node ran.
    execute(format!("DROP SCHEMA {} CASCADE", shop.schema)).await;
    refuse(options.clone()).await;
    let store = support::at(postgres()).schema(&shop.schema);
    store.open().await.unwrap();
    refuse(options).await;
}

#[tokio::test]
async fn a_role_without_the_rights_is_told_what_to_grant() {
    let shop = Shop::open().await;
    begin(&shop.store, "alice").await;
    let role = unique("app");
    execute(format!("CREATE ROLE {role}")).await;
    let mut transaction = shop.transaction().await;
    run(&mut transaction, format!("SET LOCAL ROLE {role}")).await;
    let error = refused(&shop.store, &mut transaction).await;
    let error = error.to_string();
    let (_, help) = error.split_once('`').unwrap();
    let (help, rest) = help.split_once('`').unwrap();
    assert!(rest.contains("end_sessions_of"), "{error}");
    transaction.rollback().await.unwrap();
    execute(help.to_owned()).await;
    let mut transaction = shop.transaction().await;
    run(&mut transaction, format!("SET LOCAL ROLE {role}")).await;
    assert!(shop.end(&mut transaction, "alice").await.is_some());
    let as_role = say(&mut transaction, "SELECT current_user::text").await;
    assert_eq!(as_role, role);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_has_failed_before_is_told() {
    let shop = Shop::open().await;
    let mut transaction = shop.transaction().await;
    let wrong = sqlx::raw_sql("SELECT 1/0").execute(&mut *transaction);
    wrong.await.unwrap_err();
    let all = EndSessions::AllOf(account("alice"));
    let ended = shop
        .store
        .end_in(&mut transaction, all, EndReason::LogoutAll);
    let error = ended.await.unwrap_err();
    let TransactionError::Store(source) = &error else {
        panic!("{error:?}")
    };
    assert!(format!("{source:?}").contains("25P02"), "{source:?}");
    assert!(!error.is_busy());
}

/// Two transactions wait for each other. The server aborts one of them, which can be repeated.
#[tokio::test]
async fn a_deadlock_is_told_as_busy() {
    let shop = Shop::open().await;
    for name in ["alice", "bob"] {
        begin(&shop.store, name).await;
    }
    let (mut one, mut other) = (shop.transaction().await, shop.transaction().await);
    shop.change(&mut one, "alice").await;
    shop.change(&mut other, "bob").await;
    let end = async |mut transaction: Transaction<'static, Postgres>, name| {
        let all = EndSessions::AllOf(account(name));
        let ended = shop
            .store
            .end_in(&mut transaction, all, EndReason::LogoutAll);
        ended.await.map(|_| transaction)
    };
    let outcomes: [_; 2] = tokio::join!(end(one, "bob"), end(other, "alice")).into();
    let failed = Vec::from_iter(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()));
    assert_eq!(failed.len(), 1);
    assert!(failed[0].is_busy(), "{:?}", failed[0]);
}
