//! Readers miss no entry of the log: not if it commits late, and not if a listener has died.

use std::{str::FromStr, time::Duration};

use gatepass::{
    SessionId,
    store::{Cursor, PullResult, Revocation, RevocationLog, RevocationTarget, TokenId},
};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::{
    proxy::Proxy,
    sessions::{begin, end},
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::support::{self, PATIENCE, proxy_before, sent_through, through};

async fn pull(store: &PostgresStore, after: Option<&Cursor>) -> (Vec<Revocation>, Cursor) {
    let pulled = store.pull(after).await.unwrap();
    let PullResult::Entries {
        entries,
        next,
        more: false,
        ..
    } = pulled
    else {
        panic!("{pulled:?}")
    };
    (entries, next)
}

/// A connection that has begun a transaction and written an entry in `schema`.
async fn writer(schema: &str, token: u8) -> PgConnection {
    let mut conn = PgConnection::connect(&support::postgres()).await.unwrap();
    let write = format!(
        "BEGIN; INSERT INTO {schema}.revocations (session, token, until)
         VALUES (decode(repeat('00', 18), 'hex'), decode(repeat('{token:02x}', 16), 'hex'), 9e12)"
    );
    sqlx::raw_sql(AssertSqlSafe(write))
        .execute(&mut conn)
        .await
        .unwrap();
    conn
}

async fn finish(mut conn: PgConnection, how: &'static str) {
    sqlx::raw_sql(how).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

fn token(number: u8) -> RevocationTarget {
    RevocationTarget::Token(TokenId::from_bytes([number; 16]))
}

fn targets(entries: &[Revocation]) -> Vec<RevocationTarget> {
    entries.iter().map(|entry| entry.target).collect()
}

#[tokio::test]
async fn an_entry_that_was_numbered_early_and_committed_late_is_not_missed() {
    let schema = support::unique("late");
    let pool = support::pool(&support::postgres());
    let store = support::over(pool).schema(&schema).open().await.unwrap();
    let early = writer(&schema, 1).await;
    let never = writer(&schema, 2).await;
    let session = begin(&store, "alice").await;
    let later = end(&store, &session).await;

    let (entries, cursor) = pull(&store, None).await;
    assert_eq!(
        entries, later,
        "the later one is there, the earlier not yet"
    );
    let (entries, unchanged) = pull(&store, Some(&cursor)).await;
    assert_eq!(entries, [], "what was seen does not come again meanwhile");

    finish(early, "COMMIT").await;
    finish(never, "ROLLBACK").await;
    for cursor in [cursor, unchanged] {
        let changed = store.changed(&cursor);
        timeout(PATIENCE, changed).await.unwrap();
        let (entries, next) = pull(&store, Some(&cursor)).await;
        assert_eq!(targets(&entries), [token(1)]);
        let (entries, _) = pull(&store, Some(&next)).await;
        assert_eq!(entries, []);
    }
}

/// More entries than one pull returns.
const MANY: usize = 5_000 + 700;

#[tokio::test]
async fn an_entry_that_commits_between_two_parts_of_a_pull_is_not_missed() {
    let schema = support::unique("parts");
    let pool = support::pool(&support::postgres());
    let store = support::over(pool).schema(&schema).open().await.unwrap();
    let early = writer(&schema, 1).await;
    support::execute(format!(
        "INSERT INTO {schema}.revocations (session, until)
         SELECT decode(lpad(to_hex(n), 36, '0'), 'hex'), 9e12 FROM generate_series(1, {MANY}) n"
    ))
    .await;
    let PullResult::Entries {
        entries: first,
        next,
        more,
        ..
    } = store.pull(None).await.unwrap()
    else {
        panic!("the log is new")
    };
    assert!(more);
    let meanwhile = writer(&schema, 2).await;
    finish(early, "COMMIT").await;
    finish(meanwhile, "COMMIT").await;
    let (second, next) = pull(&store, Some(&next)).await;
    let all = targets(&[first, second].concat());
    let session = |number: usize| {
        let mut id = [0; 18];
        id[10..].copy_from_slice(&number.to_be_bytes());
        RevocationTarget::Session(SessionId::from_bytes(id))
    };
    let mut expected: Vec<_> = (1..=MANY).map(session).collect();
    expected.extend([token(1), token(2)]);
    assert_eq!(all.len(), expected.len(), "each once");
    assert!(expected.iter().all(|target| all.contains(target)));
    assert_eq!(pull(&store, Some(&next)).await.0, []);
}

#[tokio::test]
async fn entries_with_the_number_of_a_transaction_that_still_runs_are_each_brought_once() {
    let schema = support::unique("borrowed");
    let pool = support::pool(&support::postgres());
    let store = support::over(pool).schema(&schema).open().await.unwrap();
    let mut running = writer(&schema, 1).await;
    let number = "SELECT pg_current_xact_id()::text";
    let number: String = sqlx::query_scalar(number)
        .fetch_one(&mut running)
        .await
        .unwrap();
    // Like entries of a dump from a cluster in which the number belonged to another transaction.
    support::execute(format!(
        "INSERT INTO {schema}.revocations (xid, session, until)
         SELECT '{number}', decode(lpad(to_hex(n), 36, '0'), 'hex'), 9e12 FROM generate_series(1, {MANY}) n"
    ))
    .await;
    let PullResult::Entries { entries, next, .. } = store.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    let (rest, cursor) = pull(&store, Some(&next)).await;
    assert_eq!(entries.len() + rest.len(), MANY);
    let first = targets(&entries);
    assert!(targets(&rest).iter().all(|target| !first.contains(target)));
    let (entries, cursor) = pull(&store, Some(&cursor)).await;
    assert_eq!(entries, [], "what was restored does not come again");
    finish(running, "COMMIT").await;
    let PullResult::Entries { entries, next, .. } = store.pull(Some(&cursor)).await.unwrap() else {
        panic!("it is the same log")
    };
    let (rest, cursor) = pull(&store, Some(&next)).await;
    assert!(targets(&[entries, rest].concat()).contains(&token(1)));
    assert_eq!(pull(&store, Some(&cursor)).await.0, []);
}

#[tokio::test]
async fn a_place_that_the_database_has_not_reached_is_none() {
    let pool = support::pool(&support::postgres());
    let store = support::over(pool).open().await.unwrap();
    let (_, cursor) = pull(&store, None).await;
    let (log, _) = cursor.as_str().split_once('/').unwrap();
    // Like a database that was put back to an earlier state, for example from a snapshot of its
    // disk.
    let later = 9_000_000_000_000_000_i64;
    for place in [
        format!("{log}/{later}:{later}:"),
        format!("{cursor}/{later}:{later}:/7/1", cursor = cursor.as_str()),
    ] {
        let pulled = store.pull(Some(&Cursor::new(place))).await.unwrap();
        assert!(matches!(pulled, PullResult::Reset), "{pulled:?}");
    }
    let pulled = store.pull(Some(&cursor)).await.unwrap();
    assert!(matches!(pulled, PullResult::Entries { .. }), "{pulled:?}");
}

#[tokio::test]
async fn who_waits_is_told_although_the_listener_died_without_a_word() {
    let schema = support::unique("silent");
    let direct = PgConnectOptions::from_str(&support::postgres()).unwrap();
    let proxy = proxy_before(&support::postgres()).await;
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(through(direct, &proxy));
    // Its connections also fall silent, and the store must notice.
    let waiting = support::over(pool)
        .schema(&schema)
        .timeout(Duration::from_secs(1));
    let waiting = waiting.open().await.unwrap();
    let pool = support::pool(&support::postgres());
    let other = support::over(pool).schema(&schema).open().await.unwrap();
    let session = begin(&other, "alice").await;
    let (_, cursor) = pull(&other, None).await;

    // Resolves although nothing has happened. From now on, it listens.
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
    proxy.abandon();
    end(&other, &session).await;
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
}

/// A store that listens through its own proxy, which carries nothing else. It already listens.
async fn listening() -> (
    PostgresStore,
    PostgresStore,
    Cursor,
    Proxy,
    impl Fn() -> String,
) {
    let schema = support::unique("listening");
    let direct = PgConnectOptions::from_str(&support::postgres()).unwrap();
    let proxy = proxy_before(&support::postgres()).await;
    let take_sent = sent_through(&proxy);
    let store = |options| {
        support::at(support::postgres())
            .schema(&schema)
            .listen_over(options)
    };
    let waiting = store(through(direct.clone().application_name(&schema), &proxy));
    let waiting = waiting.open().await.unwrap();
    let other = store(direct).open().await.unwrap();
    let (_, cursor) = pull(&other, None).await;
    take_sent();
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
    assert!(!take_sent().is_empty());
    (waiting, other, cursor, proxy, take_sent)
}

#[tokio::test]
async fn a_listener_that_died_without_a_word_is_found_out_and_replaced() {
    let (waiting, other, cursor, proxy, take_sent) = listening().await;
    proxy.abandon();
    // Only a new connection gets through.
    let replaced = async {
        while take_sent().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, replaced).await.unwrap();
    let session = begin(&other, "alice").await;
    end(&other, &session).await;
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_is_thrown_out_comes_back() {
    let (waiting, other, cursor, proxy, take_sent) = listening().await;
    for _ in 0..3 {
        proxy.cut();
        timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
        assert!(
            !take_sent().is_empty(),
            "who was told was told by a new listener"
        );
    }
    let session = begin(&other, "alice").await;
    end(&other, &session).await;
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
}

#[tokio::test]
async fn a_node_that_listens_asks_nothing_between_its_pulls() {
    let schema = support::unique("quiet");
    let direct = PgConnectOptions::from_str(&support::postgres()).unwrap();
    let proxy = proxy_before(&support::postgres()).await;
    let take_sent = sent_through(&proxy);
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(through(direct.clone(), &proxy));
    let waiting = support::over(pool).schema(&schema).listen_over(direct);
    let waiting = waiting.open().await.unwrap();
    let pool = support::pool(&support::postgres());
    let other = support::over(pool).schema(&schema).open().await.unwrap();
    let session = begin(&other, "alice").await;
    let (_, cursor) = pull(&waiting, None).await;
    // Resolves although nothing has happened. From now on, it listens.
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
    let (_, cursor) = pull(&waiting, Some(&cursor)).await;
    take_sent();
    let told = tokio::spawn({
        let (waiting, cursor) = (waiting.clone(), cursor.clone());
        async move { waiting.changed(&cursor).await }
    });
    end(&other, &session).await;
    timeout(PATIENCE, told).await.unwrap().unwrap();
    // The store was notified after its last pull, so it doesn't need to wait again.
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
    let sent = take_sent();
    // A connection that goes back to the pool sends an S (Sync).
    assert_eq!(sent.replace('S', ""), "");
    assert_eq!(pull(&waiting, Some(&cursor)).await.0.len(), 1);
}
