//! The network breaks at any point of the application's transaction.

use std::{str::FromStr, time::Duration};

use gatepass::store::{EndReason, EndSessions, SessionStore};
use gatepass_testkit::sessions::{account, begin};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::{Shop, trigger::shop_with_trigger};
use crate::support::{PATIENCE, ask, execute, postgres, proxy_before, through};

const ROUNDS: usize = 120;

/// A change by the application, over connections that break.
type Changed = Result<(), Box<dyn std::error::Error>>;

#[tokio::test(flavor = "multi_thread")]
async fn the_application_s_row_and_the_end_of_the_sessions_are_never_apart() {
    let shop = Shop::open().await;
    let change = async |pool: &PgPool, name: &str| {
        let mut transaction = pool.begin().await?;
        let write = format!("INSERT INTO {}.app VALUES ('{name}')", shop.schema);
        let write = sqlx::raw_sql(AssertSqlSafe(write));
        write.execute(&mut *transaction).await?;
        let all = EndSessions::AllOf(account(name));
        let ended = shop
            .store
            .end_in(&mut transaction, all, EndReason::UserDeleted);
        assert!(ended.await?.is_some());
        transaction.commit().await?;
        Changed::Ok(())
    };
    let rows = format!("{}.app WHERE name", shop.schema);
    are_never_apart(&shop, change, &rows, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_a_trigger_and_the_end_of_the_sessions_are_never_apart() {
    let (shop, role) = shop_with_trigger().await;
    let add = format!(
        "INSERT INTO {role}.users (id, password_hash)
         SELECT 'user ' || number, 'old' FROM generate_series(0, {ROUNDS}) number"
    );
    execute(add).await;
    let change = async |pool: &PgPool, name: &str| {
        let delete = format!("DELETE FROM {role}.users WHERE id = '{name}'");
        let deleted = sqlx::raw_sql(AssertSqlSafe(delete)).execute(pool).await?;
        assert_eq!(deleted.rows_affected(), 1);
        Changed::Ok(())
    };
    let rows = format!("{role}.users WHERE id");
    are_never_apart(&shop, change, &rows, "0").await;
}

/// Checks that an acknowledged change is done. Otherwise, the application's row and the end of the
/// sessions are there together or not at all, and the log agrees with the account. A change is done
/// if there are `done` of `rows` with the user's name.
async fn are_never_apart(
    shop: &Shop,
    change: impl AsyncFn(&PgPool, &str) -> Changed,
    rows: &str,
    done: &str,
) {
    let proxy = proxy_before(&postgres()).await;
    proxy.reset_at_random(7, 9_000);
    let options = PgConnectOptions::from_str(&postgres()).unwrap();
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(through(options, &proxy));
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("user {round}");
        begin(&shop.store, &name).await;
        // A third of the callers also give up at some moment.
        let patience = match round % 3 {
            0 => Duration::from_micros(round as u64 * 40),
            _ => PATIENCE,
        };
        if matches!(timeout(patience, change(&pool, &name)).await, Ok(Ok(()))) {
            acknowledged.push(name);
        }
    }
    drop(proxy);
    pool.close().await;
    let mut both = 0;
    for round in 0..ROUNDS {
        let name = format!("user {round}");
        // Waits for the account's lock, and so until a transaction ends whose client is gone.
        let all = EndSessions::AllOf(account(&name));
        let was_over = shop.store.end(all, EndReason::LogoutAll).await.unwrap();
        let was_over = was_over.is_none();
        let found = ask(format!("SELECT count(*)::text FROM {rows} = '{name}'")).await;
        assert_eq!(found == done, was_over, "{name}");
        assert!(was_over || !acknowledged.contains(&name), "{name}");
        both += usize::from(was_over);
    }
    let apart = format!(
        "SELECT count(*)::text FROM {0}.accounts a LEFT JOIN {0}.revocations r ON r.account = a.id
         WHERE a.up_to IS NOT NULL AND (a.up_to, a.until) IS DISTINCT FROM (r.up_to, r.until)",
        shop.schema
    );
    let apart = ask(apart).await;
    assert_eq!(apart, "0", "the log says the same as the accounts");
    let acknowledged = acknowledged.len();
    assert!(
        acknowledged > ROUNDS / 10 && both < ROUNDS,
        "{both} of {ROUNDS}, {acknowledged} acknowledged"
    );
}
