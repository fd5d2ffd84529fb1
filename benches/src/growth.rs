//! Many expired and ended sessions: what the purge leaves of them, and how requests fare meanwhile.

mod postgres;
mod redis;
mod sqlite;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{
    Authority, Clock, Device, MasterSecret, SessionId, SystemClock, Timestamp, async_trait,
    store::{EndReason, EndSessions, SessionStore},
};
use tokio::{runtime::Runtime, task::JoinSet};

pub(crate) use self::{postgres::run as postgres, redis::run as redis, sqlite::run as sqlite};
use crate::{
    measure::quantile,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, identity},
};

/// The sessions to fill a store with.
#[derive(Clone, Copy)]
struct Filling {
    /// Thousands of expired sessions, which a purge may remove.
    expired: usize,
    /// Thousands of these that their users ended, each with an entry in the log.
    ended: usize,
}

const QUICK: Filling = Filling {
    expired: 10_000,
    ended: 500,
};
const FULL: Filling = Filling {
    expired: 200_000,
    ended: 5_000,
};
/// Clients. With the pause that each makes between two requests, they send some hundred per second.
const CLIENTS: usize = 4;
/// The clients' users have higher numbers than the users whose sessions are purged.
const FIRST_USER: usize = 1_000_000_000;
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds between two lines of progress.
const REPORTED: u64 = 10;
/// Tasks that make sessions at once.
const MAKERS: usize = 64;

/// A store with a view of its contents.
#[async_trait]
trait Inside: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Opens it, with `clock` if given instead of its own.
    async fn open(&self, clock: Option<LongAgo>) -> anyhow::Result<Arc<dyn SessionStore>>;

    /// Makes the sessions in `store`, whose clock is [`LongAgo`]. Returns the ids of the sessions
    /// to end.
    async fn fill(
        &self,
        store: Arc<dyn SessionStore>,
        filling: Filling,
    ) -> anyhow::Result<Vec<SessionId>>;

    /// Whether the purge has removed everything but `live`.
    async fn is_clean(&self, live: &Contents) -> anyhow::Result<bool>;

    async fn contents(&self) -> anyhow::Result<Contents>;
}

/// The contents of a store.
#[derive(Clone, Copy, Debug)]
struct Contents {
    sessions: u64,
    /// Entries of the revocation log.
    entries: u64,
    bytes: u64,
}

fn run(table: &mut Table, runtime: &Runtime, store: &dyn Inside) -> anyhow::Result<()> {
    let name = store.name();
    let filling = table.size.pick(QUICK, FULL);
    let many = filling.expired;
    println!("   {name}: making {many} sessions");
    runtime.block_on(fill(store, filling))?;
    let before = runtime.block_on(store.contents())?;
    println!("   {name}: purging {} of them", before.sessions);
    let (mut waits, live) = runtime.block_on(measure(store))?;
    let after = runtime.block_on(store.contents())?;

    waits.sort_by(f64::total_cmp);
    for (what, part, goal) in [
        ("median", 0.5, Goal::Known),
        ("p99", 0.99, Goal::AtMost(50.0)),
        ("longest", 1.0, Goal::Known),
    ] {
        let what = format!("wait of a request while {many} sessions are purged, {name}, {what}");
        table.figure(&what, quantile(&waits, part), " ms", goal);
    }
    for (what, before, after, live) in [
        ("sessions", before.sessions, after.sessions, live.sessions),
        (
            "entries of the log",
            before.entries,
            after.entries,
            live.entries,
        ),
    ] {
        let left = after.abs_diff(live) as f64;
        let what =
            format!("{what} after the purge but for {live} live ones, {name}, before {before}");
        table.figure(&what, left, "", Goal::AtMost(0.0));
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    // Databases keep their files and fill them again.
    let what = format!(
        "size after the purge, free space in files included, {name}, before {:.0} MB",
        megabytes(before.bytes)
    );
    table.figure(&what, megabytes(after.bytes), " MB", Goal::Known);
    Ok(())
}

async fn fill(inside: &dyn Inside, filling: Filling) -> anyhow::Result<()> {
    let store = inside.open(Some(LongAgo)).await?;
    let ended = inside.fill(Arc::clone(&store), filling).await?;
    anyhow::ensure!(
        ended.len() == filling.ended,
        "{} sessions to end",
        ended.len()
    );
    at_once(ended, move |id| {
        let store = Arc::clone(&store);
        async move {
            let revoked = store
                .end(EndSessions::Session(id), EndReason::Logout)
                .await?;
            anyhow::ensure!(revoked.is_some(), "a session that had ended");
            Ok(())
        }
    })
    .await
}

/// Does something with all of `what`, several at once.
async fn at_once<T, F>(
    what: Vec<T>,
    act: impl Fn(T) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    T: Clone + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let mut makers = JoinSet::new();
    for part in what.chunks(what.len().div_ceil(MAKERS).max(1)) {
        let (part, act) = (part.to_vec(), act.clone());
        makers.spawn(async move {
            for one in part {
                act(one).await?;
            }
            anyhow::Ok(())
        });
    }
    makers.join_all().await.into_iter().collect()
}

/// The milliseconds of each request until the purge was done, and the contents that the requests
/// made.
async fn measure(inside: &dyn Inside) -> anyhow::Result<(Vec<f64>, Contents)> {
    let store = inside.open(None).await?;
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let authority = builder
        .purge_interval(Duration::from_secs(1))
        // A slow request is measured and not refused.
        .store_timeout(PATIENCE)
        .build()
        .await?;
    let work = Arc::new(Work::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (authority, work) = (authority.clone(), Arc::clone(&work));
        clients.spawn(async move { requests(&authority, client, &work).await });
    }
    let start = Instant::now();
    let mut said = 0;
    while !inside.is_clean(&work.live()).await? {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let seconds = start.elapsed().as_secs();
        if seconds >= said + REPORTED {
            println!("   still purging after {seconds} s");
            said = seconds;
        }
    }
    work.over.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for client in clients.join_all().await {
        waits.extend(client?);
    }
    Ok((waits, work.live()))
}

/// The work that clients have done.
#[derive(Default)]
struct Work {
    over: AtomicBool,
    logins: AtomicU64,
    logouts: AtomicU64,
}

impl Work {
    fn live(&self) -> Contents {
        Contents {
            sessions: self.logins.load(Ordering::Relaxed),
            entries: self.logouts.load(Ordering::Relaxed),
            bytes: 0,
        }
    }
}

/// Logs in, refreshes eight times, and logs out every other time, until the purge is done.
async fn requests(authority: &Authority, client: usize, work: &Work) -> anyhow::Result<Vec<f64>> {
    let mut waits = Vec::new();
    let mut timed = |start: Instant| waits.push(start.elapsed().as_secs_f64() * 1000.0);
    for number in 0_u32.. {
        if work.over.load(Ordering::Relaxed) {
            break;
        }
        // Counts first, so the store may have fewer sessions than this, but never more.
        work.logins.fetch_add(1, Ordering::Relaxed);
        // Each login is of another user. A login above the maximum would end a session, and write
        // an entry to the log.
        let user = identity(FIRST_USER + client + CLIENTS * number as usize)?;
        let start = Instant::now();
        let mut issued = authority.issue(user, Device::default()).await?;
        timed(start);
        for _ in 0..8 {
            tokio::time::sleep(PAUSE).await;
            let start = Instant::now();
            issued = authority.refresh(issued.refresh_token.as_str()).await?;
            timed(start);
        }
        if number.is_multiple_of(2) {
            work.logouts.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            authority.logout(issued.refresh_token.as_str()).await?;
            timed(start);
        }
    }
    Ok(waits)
}

/// The clock of a process that ran a year ago.
#[derive(Clone, Copy)]
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

/// A session of its own user.
pub(crate) fn new_session(number: usize) -> anyhow::Result<gatepass::store::NewSession> {
    let identity = identity(number)?;
    let mut id = [0; 18];
    gatepass::store::Random::fill(&gatepass::store::SystemRandom, &mut id)?;
    let issuer = gatepass::store::Issuer::new("https://shop.example")?;
    let account = gatepass::store::AccountId::of(&issuer, identity.subject());
    for (byte, prefix) in id.iter_mut().zip(account.prefix()) {
        *byte = prefix;
    }
    Ok(gatepass::store::NewSession::new(
        SessionId::from_bytes(id),
        issuer,
        gatepass::store::Audience::new("shop-api")?,
        gatepass::ClientId::new("web")?,
        identity,
    ))
}
