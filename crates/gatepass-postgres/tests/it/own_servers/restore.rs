//! A database that was restored in another cluster.

use std::collections::HashSet;

use gatepass::store::{Cursor, PullResult, Revocation, RevocationLog, RevocationTarget};
use gatepass_postgres::PostgresLog;
use gatepass_testkit::sessions::{begin, end};

use crate::{
    own_servers::{Durability, at, directory, open, start},
    support::PATIENCE,
};

/// More entries than one pull returns.
const MANY: usize = 6000;
/// The most pulls that any log of this test needs.
const PULLS: usize = 6;

/// All entries after `cursor`, and the place after them, in a few pulls.
async fn few_pulls(
    log: &impl RevocationLog,
    mut cursor: Option<Cursor>,
) -> (Vec<Revocation>, Cursor) {
    let mut all = Vec::new();
    for _ in 0..PULLS {
        let PullResult::Entries {
            entries,
            next,
            more,
            ..
        } = log.pull(cursor.as_ref()).await.unwrap()
        else {
            panic!("it is the same log")
        };
        all.extend(entries);
        if !more {
            return (all, next);
        }
        cursor = Some(next);
    }
    panic!("{PULLS} pulls brought {} entries, and no end", all.len());
}

fn distinct(entries: &[Revocation]) -> HashSet<RevocationTarget> {
    entries.iter().map(|entry| entry.target).collect()
}

#[tokio::test]
async fn a_reader_gets_what_was_restored_once_and_a_store_makes_it_its_own() {
    let directory = directory();
    let old = start(&directory, Durability::None);
    let store = open(old.url()).await;
    let session = begin(&store, "alice").await;
    let live = begin(&store, "alice").await;
    // The old cluster has seen many more transactions than the new one will have.
    at(
        &old,
        "DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
    )
    .await;
    let first = end(&store, &session).await;
    at(
        &old,
        "INSERT INTO gatepass.revocations (session, until)
         SELECT decode(lpad(to_hex(n), 36, '0'), 'hex'), 9e12 FROM generate_series(1, 6000) n",
    )
    .await;
    let new = start(&directory, Durability::None);
    old.dump_into(&new, &directory).unwrap();
    let future = "SELECT count(*)::text FROM gatepass.revocations
                  WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())";
    assert_eq!(at(&new, future).await.unwrap(), (MANY + 1).to_string());

    // A service that only reads cannot change the numbers.
    let log = PostgresLog::at(new.url()).timeout(PATIENCE);
    let log = log.open().await.unwrap();
    let (entries, cursor) = few_pulls(&log, None).await;
    assert_eq!(entries.len(), MANY + 1);
    assert_eq!(distinct(&entries).len(), MANY + 1);
    let (entries, cursor) = few_pulls(&log, Some(cursor)).await;
    assert_eq!(entries, [], "what was restored does not come again");

    let store = open(new.url()).await;
    assert_eq!(at(&new, future).await.unwrap(), "0");
    let (entries, cursor) = few_pulls(&log, Some(cursor)).await;
    assert_eq!(distinct(&entries).len(), MANY + 1);
    let later = end(&store, &live).await;
    let (entries, cursor) = few_pulls(&log, Some(cursor)).await;
    assert_eq!(entries, later);
    assert_eq!(few_pulls(&log, Some(cursor)).await.0, []);
    let (entries, _) = few_pulls(&store, None).await;
    let all = distinct(&entries);
    assert_eq!(all.len(), MANY + 2);
    assert!(all.contains(&first[0].target) && all.contains(&later[0].target));
}
