//! Revocations at a steady rate: how often each node pulls, and how soon it knows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{
    Authority, Device, Error, KeySet, MasterSecret, Refusal, Requirements, Verifier,
    store::SessionStore,
};
use gatepass_sqlite::SqliteStore;
use tokio::{runtime::Runtime, task::JoinSet, time::MissedTickBehavior};

use crate::{
    counted::Counted,
    measure::quantile,
    servers::directory,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, identity},
};

/// Sessions to end per second.
const A_SECOND: u32 = 100;

pub(crate) fn sqlite(table: &mut Table) -> anyhow::Result<()> {
    let directory = directory()?;
    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    Runtime::new()?.block_on(run(table, "SQLite", Arc::new(store)))
}

/// Ends sessions on one node, and measures when another node knows.
async fn run(table: &mut Table, name: &str, store: Arc<dyn SessionStore>) -> anyhow::Result<()> {
    let secret = MasterSecret::generate()?;
    let keys = KeySet::signing(gatepass::keys::SigningKey::derived(&secret));
    let authority = Authority::builder(ISSUER, AUDIENCE, secret, Arc::clone(&store));
    let authority = authority.build().await?;
    let pulls = Arc::new(AtomicU64::new(0));
    let log = Counted {
        log: store,
        pulls: Arc::clone(&pulls),
    };
    let node = Verifier::builder(ISSUER, AUDIENCE, keys, log);
    let node = node.build().await?;
    let mut sessions = Vec::new();
    for number in 0..usize::try_from(A_SECOND * table.size.pick(2, 10))? {
        let issued = authority
            .issue(identity(number)?, Device::default())
            .await?;
        sessions.push(issued.access_token.as_str().to_owned());
    }

    let mut ticks = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pulls.store(0, Ordering::Relaxed);
    let start = Instant::now();
    let mut ends = JoinSet::new();
    for token in sessions {
        ticks.tick().await;
        let (authority, node) = (authority.clone(), node.clone());
        ends.spawn(async move {
            authority.logout(&token).await?;
            until_known(&node, &token).await
        });
    }
    let seconds = start.elapsed().as_secs_f64();
    let pulled = pulls.load(Ordering::Relaxed);
    let mut waits = Vec::new();
    for wait in ends.join_all().await {
        waits.push(wait?.as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    let what = format!("pulls/s of a node at {A_SECOND} revocations/s, {name}");
    table.figure(&what, pulled as f64 / seconds, "", Goal::AtMost(20.0));
    for (which, part) in [("median", 0.5), ("p99", 0.99)] {
        let what = format!("until another node knows of a revocation, {name}, {which}");
        table.figure(&what, quantile(&waits, part), " ms", Goal::Known);
    }
    Ok(())
}

/// The time until `node` refuses `token` as revoked.
async fn until_known(node: &Verifier, token: &str) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        match node.verify(token, &Requirements::new()).await {
            Err(Error::Refused(Refusal::Revoked)) => return Ok(start.elapsed()),
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => return Err(error.into()),
        }
    }
}
