//! Requests while a million expired sessions are purged.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{Authority, Clock, Device, MasterSecret, SystemClock, Timestamp};
use gatepass_sqlite::SqliteStore;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::{
    measure::quantile,
    refresh::directory,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, grant},
};

const EXPIRED: usize = 1_000_000;
const LOGINS: usize = 1000;
/// Clients, and the pause that each makes between two requests: some hundred requests a second.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = directory()?;
    let path = directory.path().join("sessions.db");
    runtime.block_on(fill(&path))?;
    let mut waits = runtime.block_on(measure(&path))?;
    waits.sort_by(f64::total_cmp);
    for (what, part, goal) in [
        ("median", 0.5, Goal::Known),
        ("p99", 0.99, Goal::AtMost(50.0)),
        ("longest", 1.0, Goal::Known),
    ] {
        let what = format!("wait of a request while 1,000,000 sessions are purged, {what}");
        table.figure(&what, quantile(&waits, part), " ms", goal);
    }
    Ok(())
}

/// Some sessions that began long ago, and copies of them under other ids.
async fn fill(path: &Path) -> anyhow::Result<()> {
    let store = SqliteStore::builder(path).clock(LongAgo).open()?;
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let authority = builder.clock(LongAgo).build().await?;
    for number in 0..LOGINS {
        authority.issue(grant(number)?, Device::default()).await?;
    }
    let conn = Connection::open(path)?;
    conn.execute_batch("BEGIN; CREATE TEMP TABLE copy AS SELECT * FROM main.gatepass_sessions")?;
    for _ in 1..EXPIRED / LOGINS {
        conn.execute_batch(
            "UPDATE copy SET id = randomblob(18), subject = 'user-' || hex(randomblob(6));
             INSERT INTO gatepass_sessions SELECT * FROM copy",
        )?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(())
}

/// The milliseconds that each request took until the last expired session was gone.
async fn measure(path: &Path) -> anyhow::Result<Vec<f64>> {
    // A request that waits for long is to be measured, not to be refused.
    let store = SqliteStore::builder(path).busy_timeout(PATIENCE).open()?;
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let authority = builder
        .purge_interval(Duration::from_secs(1))
        .store_timeout(PATIENCE)
        .build()
        .await?;
    let purged = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (authority, purged) = (authority.clone(), Arc::clone(&purged));
        clients.spawn(async move { requests(&authority, client, &purged).await });
    }
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    let mut left = true;
    while left {
        tokio::time::sleep(Duration::from_millis(500)).await;
        left = conn.query_row(
            "SELECT EXISTS (SELECT 1 FROM gatepass_sessions WHERE purge_at <= ?1)",
            [SystemClock.now().unix_millis()],
            |row| row.get(0),
        )?;
    }
    purged.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for client in clients.join_all().await {
        waits.extend(client?);
    }
    Ok(waits)
}

/// Logs in, and refreshes nine times, until all is purged.
async fn requests(
    authority: &Authority,
    client: usize,
    purged: &AtomicBool,
) -> anyhow::Result<Vec<f64>> {
    let mut waits = Vec::new();
    let mut timed = |start: Instant| waits.push(start.elapsed().as_secs_f64() * 1000.0);
    while !purged.load(Ordering::Relaxed) {
        let start = Instant::now();
        let mut issued = authority.issue(grant(client)?, Device::default()).await?;
        timed(start);
        for _ in 0..9 {
            tokio::time::sleep(PAUSE).await;
            let start = Instant::now();
            issued = authority.refresh(issued.refresh_token.as_str()).await?;
            timed(start);
        }
    }
    Ok(waits)
}

/// The clock of a process that ran a year ago.
struct LongAgo;

impl Clock for LongAgo {
    fn now(&self) -> Timestamp {
        const YEAR: i64 = 366 * 86_400;
        Timestamp::from_unix_secs(SystemClock.now().unix_secs() - YEAR)
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}
