//! One subject with 10,000 sessions logs out everywhere. Measures how long others wait meanwhile.
//!
//! Compares the time of the logout with that of a subject with 100 sessions, in the same run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{
    Authority, Device, Identity, Issued, MasterSecret, ReusePolicy, Subject, store::SessionStore,
};
use gatepass_postgres::PostgresStore;
use gatepass_redis::RedisStore;
use gatepass_sqlite::SqliteStore;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    measure::quantile,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, identity},
};

const MANY: usize = 10_000;
const FEW: usize = 100;
/// Subjects of each kind. Each logs out everywhere once.
const ROUNDS: usize = 5;
/// Clients that refresh meanwhile, with a pause between two refreshes.
const CLIENTS: usize = 16;
const PAUSE: Duration = Duration::from_millis(2);
/// Tasks that log in at once to make the sessions.
const MAKERS: usize = 64;
/// A slow call is measured and not refused.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn sqlite(table: &mut Table) -> anyhow::Result<()> {
    let directory = servers::directory()?;
    let runtime = Runtime::new()?;
    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    runtime.block_on(run(table, "SQLite", Arc::new(store), None))
}

pub(crate) fn postgres(table: &mut Table) -> anyhow::Result<()> {
    let server = servers::own_postgres()?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let store = PostgresStore::at(server.url()).timeout(PATIENCE);
        let store = store.open().await?;
        let pool = PgPool::connect(server.url()).await?;
        run(table, "PostgreSQL", Arc::new(store), Some(pool)).await
    })
}

/// Copies the newest session until its account has [`MANY`]. Beginning them all would take minutes,
/// since each waits for the disk and for the one before it.
async fn copy(pool: &PgPool) -> anyhow::Result<()> {
    let columns = "account, issuer, audience, client, identity_json, own_access_ttl, device_json, generation, \
        created_at, authenticated_at, last_seen_at, seen_from, idle_expires_at, absolute_expires_at, \
        access_until, purge_at";
    let copy = format!(
        "INSERT INTO gatepass.sessions (id, number, {columns})
         SELECT uuid_send(gen_random_uuid()) || substr(uuid_send(gen_random_uuid()), 1, 2), number - n, {columns}
         FROM (SELECT * FROM gatepass.sessions ORDER BY number DESC LIMIT 1) AS newest,
             generate_series(1, {}) n",
        MANY - 1
    );
    sqlx::raw_sql(AssertSqlSafe(copy)).execute(pool).await?;
    sqlx::raw_sql("VACUUM ANALYZE gatepass.sessions")
        .execute(pool)
        .await?;
    Ok(())
}

pub(crate) fn redis(table: &mut Table) -> anyhow::Result<()> {
    let server = servers::own_redis()?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let store = RedisStore::at(server.url()).timeout(PATIENCE);
        let store = store.open().await?;
        run(table, "Redis", Arc::new(store), None).await
    })
}

async fn run(
    table: &mut Table,
    name: &str,
    store: Arc<dyn SessionStore>,
    copied_in: Option<PgPool>,
) -> anyhow::Result<()> {
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    // The store must write each refresh of the clients.
    let every = ReusePolicy {
        overlap: Duration::ZERO,
        ..ReusePolicy::default()
    };
    let builder = builder
        .max_sessions(None)
        .reuse(every)
        .store_timeout(PATIENCE);
    let authority = builder.build().await?;
    let mut last = Vec::new();
    for round in 0..ROUNDS {
        last.push(begin(&authority, &format!("few {round}"), FEW).await?);
    }
    let begun = if copied_in.is_some() { 1 } else { MANY };
    last.push(begin(&authority, "many", begun).await?);
    if let Some(pool) = copied_in {
        copy(&pool).await?;
    }

    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (authority, over) = (authority.clone(), Arc::clone(&over));
        clients.spawn(async move { refresh(&authority, client, &over).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut few = Vec::new();
    for round in 0..ROUNDS {
        few.push(log_out(&authority, &format!("few {round}")).await?);
    }
    let start = Instant::now();
    let many = log_out(&authority, "many").await?;
    let end = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    let mut during = Vec::new();
    for client in clients.join_all().await {
        for (began, wait) in client? {
            waits.push(wait);
            if began <= end && began + Duration::from_secs_f64(wait / 1000.0) >= start {
                during.push(wait);
            }
        }
    }
    for issued in last {
        let refused = authority.refresh(issued.refresh_token.as_str()).await;
        anyhow::ensure!(refused.is_err(), "a session goes on after the logout");
    }

    few.sort_by(f64::total_cmp);
    waits.sort_by(f64::total_cmp);
    during.sort_by(f64::total_cmp);
    let what = format!("logout of 100 sessions at once, {name}, median of {ROUNDS}");
    table.figure(&what, quantile(&few, 0.5), " ms", Goal::Known);
    let what = format!("logout of 10,000 sessions at once, {name}");
    table.figure(&what, many, " ms", Goal::AtMost(50.0));
    let what = format!("wait of refreshes by {CLIENTS} others, {name}, p99");
    table.figure(&what, quantile(&waits, 0.99), " ms", Goal::Known);
    let what = format!("the same during the logout of 10,000 sessions, {name}, longest");
    table.figure(&what, quantile(&during, 1.0), " ms", Goal::AtMost(20.0));
    Ok(())
}

/// Begins `count` sessions of `subject`, and returns one of them.
async fn begin(authority: &Authority, subject: &str, count: usize) -> anyhow::Result<Issued> {
    let subject = Subject::new(subject)?;
    let mut makers = JoinSet::new();
    for _ in 0..MAKERS.min(count) {
        let (authority, subject) = (authority.clone(), subject.clone());
        makers.spawn(async move {
            let mut last = None;
            for _ in 0..count / MAKERS.min(count) {
                let identity = Identity::of(subject.clone());
                last = Some(authority.issue(identity, Device::default()).await?);
            }
            anyhow::Ok(last)
        });
    }
    let mut last = None;
    for maker in makers.join_all().await {
        last = maker?;
    }
    last.ok_or_else(|| anyhow::anyhow!("no session was begun"))
}

/// The milliseconds of a logout everywhere.
async fn log_out(authority: &Authority, subject: &str) -> anyhow::Result<f64> {
    let subject = Subject::new(subject)?;
    let start = Instant::now();
    authority.logout_all(&subject).await?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// Refreshes until the logout is over. Returns when each refresh began, and its milliseconds.
async fn refresh(
    authority: &Authority,
    client: usize,
    over: &AtomicBool,
) -> anyhow::Result<Vec<(Instant, f64)>> {
    let mut issued = authority
        .issue(identity(client)?, Device::default())
        .await?;
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        issued = authority.refresh(issued.refresh_token.as_str()).await?;
        waits.push((start, start.elapsed().as_secs_f64() * 1000.0));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(waits)
}
