//! A refresh writes no index.

use gatepass::store::SessionStore;
use gatepass_testkit::sessions::{advance_of, begin};
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;

use crate::{
    own_servers::{Durability, directory, start},
    support::{PATIENCE, over},
};

/// Runs on its own server, because any open transaction there keeps PostgreSQL from removing old
/// rows.
#[tokio::test]
async fn a_refresh_writes_no_index() {
    const SESSIONS: usize = 50;
    const REFRESHES: usize = 10;
    let directory = directory();
    let server = start(&directory, Durability::None);
    let pool = || {
        let pool = PgPoolOptions::new().max_connections(1);
        let pool = pool.acquire_timeout(PATIENCE);
        pool.connect_lazy(&server.url()).unwrap()
    };
    let own = pool();
    let store = over(own.clone()).schema("gatepass").open().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(begin(&store, "alice").await);
    }
    for _ in 0..REFRESHES {
        for session in &mut sessions {
            *session = store.advance(advance_of(session)).await.unwrap().unwrap();
        }
    }
    // PostgreSQL adds a connection's counts when the connection ends.
    own.close().await;
    let others = pool();
    let counted = async {
        loop {
            let counts: (i64, i64) = sqlx::query_as(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'",
            )
            .fetch_one(&others)
            .await
            .unwrap();
            if counts.0 >= i64::try_from(SESSIONS * REFRESHES).unwrap() {
                break counts;
            }
        }
    };
    let (updates, hot) = timeout(PATIENCE, counted).await.unwrap();
    assert!(hot * 100 >= updates * 95, "{hot} of {updates}");
}
