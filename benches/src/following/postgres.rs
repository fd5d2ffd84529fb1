//! Revocations in PostgreSQL and the nodes that follow them: revocations per second, the cost of a
//! pull, and the queries of an idle node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{
    Authority, KeySet, MasterSecret, SessionId, Verifier,
    store::{Cursor, EndReason, EndSessions, PullResult, RevocationLog, SessionStore},
};
use gatepass_postgres::{PostgresLog, PostgresStore};
use gatepass_servers::{Directory, Durability, Postgres};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{runtime::Runtime, task::JoinSet, time::MissedTickBehavior};

use crate::{
    counted::Counted,
    growth::new_session,
    measure::quantile,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, Key},
};

/// Clients that log out at the same time.
const CLIENTS: usize = 32;
/// Logouts of all clients together.
const LOGOUTS: usize = 8000;
/// Log entries after the start of a transaction that is still open.
const ENTRIES: usize = 600_000;
/// Restored entries.
const RESTORED: usize = 1000;
/// How long it watches.
const WATCHED: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let directory = servers::servers()?;
    let server = Postgres::start(&directory, Durability::Crash)?;
    runtime.block_on(async {
        let store = open(&server).await?;
        let pool = PgPool::connect(&server.url()).await?;
        revocations(table, &store).await?;
        pulls(table, &server, &store, &pool).await?;
        beside_an_open_transaction(table, &store, &pool).await?;
        restored(table, &directory, &server, &pool).await
    })
}

pub(crate) async fn open(server: &Postgres) -> anyhow::Result<PostgresStore> {
    let store = PostgresStore::at(server.url()).timeout(PATIENCE);
    Ok(store.open_timeout(PATIENCE).open().await?)
}

/// Begins this many sessions.
pub(crate) async fn begin(store: &PostgresStore, many: usize) -> anyhow::Result<Vec<SessionId>> {
    let mut making = JoinSet::new();
    for maker in 0..CLIENTS {
        let store = store.clone();
        making.spawn(async move {
            let mut ids = Vec::new();
            for number in (maker..many).step_by(CLIENTS) {
                ids.push(store.begin(new_session(number)?).await?.session.id);
            }
            anyhow::Ok(ids)
        });
    }
    let made: anyhow::Result<Vec<_>> = making.join_all().await.into_iter().collect();
    Ok(made?.concat())
}

pub(crate) async fn end(store: &PostgresStore, id: SessionId) -> anyhow::Result<()> {
    store
        .end(EndSessions::Session(id), EndReason::Logout)
        .await?;
    Ok(())
}

/// The number of sessions that many clients end per second.
async fn revocations(table: &mut Table, store: &PostgresStore) -> anyhow::Result<()> {
    let ids = begin(store, LOGOUTS).await?;
    let start = Instant::now();
    let mut ending = JoinSet::new();
    for part in ids.chunks(LOGOUTS / CLIENTS) {
        let (store, part) = (store.clone(), part.to_vec());
        ending.spawn(async move {
            for id in part {
                end(&store, id).await?;
            }
            anyhow::Ok(())
        });
    }
    ending
        .join_all()
        .await
        .into_iter()
        .collect::<anyhow::Result<()>>()?;
    let rate = LOGOUTS as f64 / start.elapsed().as_secs_f64();
    let what = "revocations/s, PostgreSQL (fsync on), 32 clients over 10 connections";
    table.figure(what, rate, "", Goal::Known);
    Ok(())
}

/// The pulls of a node while clients end 100 sessions per second, and the transactions that these
/// pulls cost.
async fn pulls(
    table: &mut Table,
    server: &Postgres,
    store: &PostgresStore,
    pool: &PgPool,
) -> anyhow::Result<()> {
    let every = Duration::from_millis(10);
    let ids = begin(store, WATCHED.as_millis() as usize / 10).await?;
    let log = PostgresLog::at(server.url()).open().await?;
    let count = Arc::new(AtomicU64::new(0));
    let keys = KeySet::verifying([Key::hs256()?.ours.verifying_key().clone()]);
    let log = Counted {
        log,
        pulls: Arc::clone(&count),
    };
    let node = Verifier::builder(ISSUER, AUDIENCE, keys, log);
    let node = node.build().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (pulls, transactions) = (count.load(Ordering::Relaxed), committed(pool).await?);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (many, start) = (ids.len(), Instant::now());
    let mut ending = JoinSet::new();
    for id in ids {
        ticks.tick().await;
        let store = store.clone();
        ending.spawn(async move { end(&store, id).await });
    }
    ending
        .join_all()
        .await
        .into_iter()
        .collect::<anyhow::Result<()>>()?;
    let seconds = start.elapsed().as_secs_f64();
    let pulls = count.load(Ordering::Relaxed) - pulls;
    drop(node);
    let others = committed(pool).await? - transactions - many as i64;
    let rate = many as f64 / seconds;
    let what = format!("pulls/s of a node at {rate:.0} revocations/s, PostgreSQL");
    table.figure(&what, pulls as f64 / seconds, "", Goal::Known);
    let what = format!("transactions/s besides {rate:.0} revocations/s, PostgreSQL, one node");
    table.figure(&what, others as f64 / seconds, "", Goal::Known);
    Ok(())
}

/// The number of transactions that the server has counted, including all that are over.
async fn committed(pool: &PgPool) -> anyhow::Result<i64> {
    // Each server process reports its counts after a second, or with its next transaction.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let asked = "SELECT sum(xact_commit)::bigint FROM pg_stat_database";
    Ok(sqlx::query_scalar(asked).fetch_one(pool).await?)
}

/// The time of a pull that brings nothing while another transaction of the cluster is open.
async fn beside_an_open_transaction(
    table: &mut Table,
    store: &PostgresStore,
    pool: &PgPool,
) -> anyhow::Result<()> {
    const PULLS: usize = 50;
    let mut open = pool.begin().await?;
    sqlx::query("SELECT pg_current_xact_id()::text")
        .execute(&mut *open)
        .await?;
    insert(pool, ENTRIES).await?;
    let mut cursor = load(store).await?;
    let mut waits = Vec::new();
    for _ in 0..PULLS {
        let start = Instant::now();
        match store.pull(Some(&cursor)).await? {
            PullResult::Entries { next, .. } => cursor = next,
            PullResult::Reset => anyhow::bail!("another log"),
        }
        waits.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    open.rollback().await?;
    waits.sort_by(f64::total_cmp);
    let what = "time of a pull that brings nothing, PostgreSQL, 600,000 entries behind an open transaction";
    table.figure(what, quantile(&waits, 0.5), " ms", Goal::AtMost(10.0));
    Ok(())
}

async fn insert(pool: &PgPool, entries: usize) -> anyhow::Result<()> {
    let insert = format!(
        "INSERT INTO gatepass.revocations (session, until)
         SELECT decode(lpad(to_hex(n), 36, '0'), 'hex'), 9e12 FROM generate_series(1, {entries}) n;
         ANALYZE gatepass.revocations"
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(pool).await?;
    Ok(())
}

/// The cursor behind the whole log.
async fn load(log: &impl RevocationLog) -> anyhow::Result<Cursor> {
    let mut cursor = None;
    loop {
        match log.pull(cursor.as_ref()).await? {
            PullResult::Entries { next, more, .. } if more => cursor = Some(next),
            PullResult::Entries { next, .. } => return Ok(next),
            PullResult::Reset => anyhow::bail!("another log"),
        }
    }
}

/// The transactions per second of an idle node on a database that `pg_dump | psql` has restored.
async fn restored(
    table: &mut Table,
    directory: &Directory,
    old: &Postgres,
    pool: &PgPool,
) -> anyhow::Result<()> {
    // The old cluster has had more transactions than the new one will have.
    for text in [
        "TRUNCATE gatepass.revocations",
        "DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
    ] {
        sqlx::raw_sql(text).execute(pool).await?;
    }
    insert(pool, RESTORED).await?;
    let new = Postgres::start(directory, Durability::Crash)?;
    old.dump_into(&new, directory)?;
    let store = open(&new).await?;
    let node = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let node = node.build().await?;
    let pool = PgPool::connect(&new.url()).await?;
    let before = committed(&pool).await?;
    let start = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let transactions = committed(&pool).await? - before;
    let rate = transactions as f64 / start.elapsed().as_secs_f64();
    drop(node);
    let what = "transactions/s of an idle node over a restored database, PostgreSQL";
    table.figure(what, rate, "", Goal::AtMost(10.0));
    Ok(())
}
