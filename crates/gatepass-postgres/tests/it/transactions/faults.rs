//! The network breaks at any point of the application's transaction.

use std::{str::FromStr, time::Duration};

use gatepass::store::{EndReason, EndSessions, SessionStore};
use gatepass_testkit::sessions::{account, begin};
use sqlx::{
    AssertSqlSafe,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::Shop;
use crate::support::{PATIENCE, ask, postgres, proxy_before, through};

const ROUNDS: usize = 150;

/// Acknowledged is done. Otherwise the application's row and the end of the sessions are there
/// together or not at all, and the log says the same as the account.
#[tokio::test(flavor = "multi_thread")]
async fn the_application_s_row_and_the_end_of_the_sessions_are_never_apart() {
    let shop = Shop::open().await;
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
        let change = async {
            let mut transaction = pool.begin().await?;
            let write = format!("INSERT INTO {}.app VALUES ('{name}')", shop.schema);
            let write = sqlx::raw_sql(AssertSqlSafe(write));
            write.execute(&mut *transaction).await?;
            let all = EndSessions::AllOf(account(&name));
            let ended = shop
                .store
                .end_in(&mut transaction, all, EndReason::UserDeleted);
            assert!(ended.await?.is_some());
            transaction.commit().await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        };
        // A third of them is also given up at some moment.
        let patience = match round % 3 {
            0 => Duration::from_micros(round as u64 * 40),
            _ => PATIENCE,
        };
        if matches!(timeout(patience, change).await, Ok(Ok(()))) {
            acknowledged.push(name);
        }
    }
    drop(proxy);
    pool.close().await;
    let mut both = 0;
    for round in 0..ROUNDS {
        let name = format!("user {round}");
        // Waits for the account's lock, and so for the end of a transaction whose client is gone.
        let all = EndSessions::AllOf(account(&name));
        let was_over = shop.store.end(all, EndReason::LogoutAll).await.unwrap();
        let was_over = was_over.is_none();
        let written = format!(
            "SELECT count(*)::text FROM {}.app WHERE name = '{name}'",
            shop.schema
        );
        assert_eq!(ask(written).await == "1", was_over, "{name}");
        assert!(was_over || !acknowledged.contains(&name), "{name}");
        both += usize::from(was_over);
    }
    let apart = format!(
        "SELECT count(*)::text FROM {0}.accounts a LEFT JOIN {0}.revocations r ON r.account = a.id
         WHERE (a.up_to, a.until) IS DISTINCT FROM (r.up_to, r.until)",
        shop.schema
    );
    assert_eq!(
        ask(apart).await,
        "0",
        "the log says the same as the accounts"
    );
    println!("{both} of {ROUNDS}, {} acknowledged", acknowledged.len());
    assert!(acknowledged.len() > ROUNDS / 10 && both < ROUNDS);
}
