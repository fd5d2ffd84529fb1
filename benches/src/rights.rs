//! A change to the rights of a whole tenant, and the refreshes that follow, at the default pace and
//! without a bound.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use gatepass::{
    Authority, Change, Device, Error, Issued, MasterSecret, Refusal, Requirements, Scopes,
};
use gatepass_sqlite::SqliteStore;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};

use crate::{
    measure::quantile,
    servers,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, identity},
};

const QUICK: usize = 5_000;
const FULL: usize = 100_000;
/// Tasks that log in at once to make the sessions.
const MAKERS: usize = 64;
/// The time in which each client sends one request.
const ROUND: Duration = Duration::from_secs(2);
/// The steps of a round, which spread the requests evenly.
const STEPS: u32 = 100;
/// A slow call is measured and not refused.
const PATIENCE: Duration = Duration::from_secs(60);
const NO_BOUND: NonZeroU32 = NonZeroU32::MAX;

pub(crate) fn sqlite(table: &mut Table) -> anyhow::Result<()> {
    let directory = servers::directory()?;
    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    Runtime::new()?.block_on(run(table, store))
}

async fn run(table: &mut Table, store: SqliteStore) -> anyhow::Result<()> {
    let many = table.size.pick(QUICK, FULL);
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let authority = builder.store_timeout(PATIENCE).build().await?;
    println!("   making {many} sessions");
    let mut clients = log_in(&authority, many).await?;
    for (pace, name) in [(None, "1,000 a second"), (Some(NO_BOUND), "no bound")] {
        println!("   changing them, {name}");
        let entries = authority.health().entries;
        let busy = change_all(&authority, clients, pace).await?;
        clients = busy.clients;
        let what = |what: &str| format!("{many} sessions change, {name}: {what}");
        table.figure(&what("time"), busy.seconds, " s", Goal::Known);
        let busiest = busy.refreshes.iter().max().copied().unwrap_or(0);
        let refreshes = what("refreshes in the busiest second");
        table.figure(&refreshes, f64::from(busiest), "", Goal::Known);
        let mut waits = busy.waits;
        waits.sort_by(f64::total_cmp);
        let wait = what("wait of a refresh, p99");
        table.figure(&wait, quantile(&waits, 0.99), " ms", Goal::Known);
        let logged = authority.health().entries.saturating_sub(entries);
        println!("   {logged} more entries in the replica");
    }
    Ok(())
}

async fn log_in(authority: &Authority, many: usize) -> anyhow::Result<Vec<Issued>> {
    let mut makers = JoinSet::new();
    for maker in 0..MAKERS {
        let authority = authority.clone();
        makers.spawn(async move {
            let mut made = Vec::new();
            for number in (maker..many).step_by(MAKERS) {
                let identity = identity(number)?;
                made.push(authority.issue(identity, Device::default()).await?);
            }
            anyhow::Ok(made)
        });
    }
    let made: anyhow::Result<Vec<_>> = makers.join_all().await.into_iter().collect();
    Ok(made?.concat())
}

/// The change of all sessions, and the work of their clients.
struct Busy {
    clients: Vec<Issued>,
    seconds: f64,
    /// In each second.
    refreshes: Vec<u32>,
    /// In milliseconds.
    waits: Vec<f64>,
}

/// Changes all sessions. Meanwhile their clients continue to send requests, and refresh when a gate
/// refuses them.
async fn change_all(
    authority: &Authority,
    mut clients: Vec<Issued>,
    pace: Option<NonZeroU32>,
) -> anyhow::Result<Busy> {
    let scope = Scopes::parse(if pace.is_none() { "one" } else { "two" })?;
    let mut change = Change::enforced(move |identity| Ok(identity.scopes(scope.clone())));
    if let Some(pace) = pace {
        change = change.sessions_per_second(pace);
    }
    let many = clients.len();
    let start = Instant::now();
    let changing = tokio::spawn({
        let authority = authority.clone();
        async move {
            let changed = authority.change_where(|_| true, &change).await?;
            anyhow::ensure!(changed == many as u64, "{changed} of {many} have changed");
            anyhow::Ok(start.elapsed().as_secs_f64())
        }
    });
    let (refreshed, mut answers) = mpsc::unbounded_channel();
    let (mut waits, mut refreshes, mut asked) = (Vec::new(), Vec::new(), vec![false; many]);
    let none = Arc::new(Requirements::new());
    let mut step = tokio::time::interval(ROUND / STEPS);
    let share = many.div_ceil(STEPS as usize);
    for first in (0..many).step_by(share).cycle() {
        step.tick().await;
        for (number, asked) in asked.iter_mut().enumerate().skip(first).take(share) {
            let client = clients.get(number).context("a client")?;
            let token = client.access_token.as_str();
            let stale = match authority.verifier().verify(token, &none).await {
                Ok(_) => false,
                Err(Error::Refused(Refusal::StaleGrant)) => true,
                Err(error) => return Err(error.into()),
            };
            if stale && !*asked {
                *asked = true;
                let (authority, refreshed) = (authority.clone(), refreshed.clone());
                let token = client.refresh_token.clone();
                tokio::spawn(async move {
                    let asked = Instant::now();
                    let answer = authority.refresh(token.as_str()).await;
                    // The receiver is gone if the benchmark has failed.
                    let _ = refreshed.send((number, asked, asked.elapsed(), answer));
                });
            }
        }
        while let Ok((number, at, wait, answer)) = answers.try_recv() {
            *clients.get_mut(number).context("a client")? = answer?;
            let second = usize::try_from(at.duration_since(start).as_secs())?;
            refreshes.resize(refreshes.len().max(second + 1), 0);
            *refreshes.get_mut(second).context("a second")? += 1;
            waits.push(wait.as_secs_f64() * 1000.0);
        }
        if waits.len() == many {
            break;
        }
    }
    Ok(Busy {
        clients,
        seconds: changing.await??,
        refreshes,
        waits,
    })
}
