//! A pull reads only new entries of the log.

use gatepass::store::RevocationLog;
use gatepass_testkit::sessions::{begin, end, pull_all};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::time::timeout;

use crate::{
    own_servers::{Durability, at, directory, start},
    support::{PATIENCE, over},
};

const ENTRIES: i64 = 6_000;
/// Enough pulls that the server uses one plan for all arguments.
const PULLS: i64 = 20;

/// How often the server has scanned an index of the log, and how many rows of the log it has read.
/// Waits until both are at least `scans` and `rows`.
async fn counts(pool: &PgPool, scans: i64, rows: i64) -> (i64, i64) {
    let counted = async {
        loop {
            let counts: (i64, i64) = sqlx::query_as(
                "SELECT coalesce(idx_scan, 0), seq_tup_read + coalesce(idx_tup_fetch, 0)
                 FROM pg_stat_user_tables WHERE relname = 'revocations'",
            )
            .fetch_one(pool)
            .await
            .unwrap();
            if counts.0 >= scans && counts.1 >= rows {
                break counts;
            }
        }
    };
    timeout(PATIENCE, counted).await.unwrap()
}

#[tokio::test]
async fn a_pull_reads_what_is_new_and_no_more_while_a_transaction_is_open() {
    for pooling in [false, true] {
        let directory = directory();
        let server = start(&directory, Durability::None);
        let pool = || {
            let pool = PgPoolOptions::new().max_connections(1);
            let pool = pool.acquire_timeout(PATIENCE);
            pool.connect_lazy(&server.url()).unwrap()
        };
        let opened = async |pool: &PgPool| {
            let store = over(pool.clone()).schema("gatepass");
            store.transaction_pooling(pooling).open().await.unwrap()
        };
        let (first, own, others) = (pool(), pool(), pool());
        let store = opened(&first).await;
        let session = begin(&store, "alice").await;
        // A transaction of any application in the cluster, for example a backup or a report.
        let mut open = PgConnection::connect(&server.url()).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")
            .execute(&mut open)
            .await
            .unwrap();
        let insert = format!(
            "DO $$ BEGIN FOR n IN 1..{ENTRIES} LOOP
                 INSERT INTO gatepass.revocations (session, until)
                     VALUES (decode(lpad(to_hex(n), 36, '0'), 'hex'), 9e12);
                 COMMIT;
             END LOOP; END $$"
        );
        let mut other = PgConnection::connect(&server.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(insert))
            .execute(&mut other)
            .await
            .unwrap();
        at(&server, "ANALYZE gatepass.revocations").await;
        let (entries, mut cursor) = pull_all(&store, None).await;
        assert_eq!(i64::try_from(entries.len()).unwrap(), ENTRIES);
        drop(store);
        // PostgreSQL adds a connection's counts when the connection ends.
        first.close().await;
        let before = counts(&others, 0, ENTRIES).await;
        let store = opened(&own).await;
        for _ in 0..PULLS {
            let (entries, next) = pull_all(&store, Some(&cursor)).await;
            assert_eq!(entries, []);
            cursor = next;
        }
        let ended = end(&store, &session).await;
        // A log that has not pulled asks the database itself.
        let looking = opened(&own).await;
        for _ in 0..PULLS {
            timeout(PATIENCE, looking.changed(&cursor)).await.unwrap();
        }
        assert_eq!(pull_all(&store, Some(&cursor)).await.0, ended);
        drop((store, looking));
        own.close().await;
        let after = counts(&others, before.0 + 2 * PULLS, 0).await;
        let read = after.1 - before.1;
        assert!(read <= 10 * PULLS, "{read} rows");
        drop(open);
    }
}
