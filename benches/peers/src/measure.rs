//! Requests on several routes in turn, so other work of the machine affects all of them alike.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::client::{Connection, requests};

/// The amount of measurement.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) batch: Duration,
}

/// Seconds for each request in one round.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Wall time.
    pub(crate) wall: f64,
    /// The processor time of all threads of this process except the client's.
    pub(crate) server: f64,
}

/// The costs of a request on each route, round by round.
pub(crate) fn rounds(
    client: &Runtime,
    routes: &mut [Vec<Connection>],
    effort: Effort,
) -> anyhow::Result<Vec<Vec<Cost>>> {
    let mut sizes = Vec::new();
    for route in &mut *routes {
        sizes.push(size_of_batch(client, route, effort.batch)?);
    }
    let mut measured = Vec::with_capacity(effort.rounds);
    for round in 0..effort.rounds {
        let mut costs = vec![Cost::default(); routes.len()];
        for turn in 0..routes.len() {
            // The first route finds the caches of the last one, so they take turns.
            let at = (turn + round) % routes.len();
            let (Some(route), Some(size)) = (routes.get_mut(at), sizes.get(at)) else {
                continue;
            };
            let cost = batch(client, route, *size)?;
            if let Some(place) = costs.get_mut(at) {
                *place = cost;
            }
        }
        measured.push(costs);
    }
    Ok(measured)
}

fn size_of_batch(
    client: &Runtime,
    route: &mut Vec<Connection>,
    batch_time: Duration,
) -> anyhow::Result<u32> {
    let mut size = 1_u32;
    loop {
        let requests = f64::from(size) * route.len() as f64;
        if batch(client, route, size)?.wall * requests >= batch_time.as_secs_f64() / 2.0 {
            return Ok(size);
        }
        size = size.checked_mul(2).context("a request takes no time")?;
    }
}

fn batch(client: &Runtime, route: &mut Vec<Connection>, times: u32) -> anyhow::Result<Cost> {
    let (start, before) = (Instant::now(), server_time()?);
    client.block_on(requests(route, times))?;
    let (wall, server) = (start.elapsed().as_secs_f64(), server_time()? - before);
    let requests = f64::from(times) * route.len() as f64;
    Ok(Cost {
        wall: wall / requests,
        server: server / requests,
    })
}

/// Seconds of processor time of all threads except this one. Linux updates the figure of a thread
/// when it stops. All servers have stopped when the client has read the last answer.
fn server_time() -> anyhow::Result<f64> {
    let own = fs::read_link("/proc/thread-self")?;
    let own = own
        .file_name()
        .context("no name of this thread")?
        .to_owned();
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if task.file_name() != own {
            nanos += on_processor(&task.path()).unwrap_or(0);
        }
    }
    Ok(nanos as f64 / 1e9)
}

/// Nanoseconds. `None` for a thread that has just ended.
fn on_processor(task: &Path) -> Option<u64> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The median of the measurements, and the limits of their middle half.
#[derive(Clone, Copy)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Quartiles {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let quantile = |part: f64| {
            let place = (values.len().saturating_sub(1) as f64 * part).round() as usize;
            values.get(place).copied().unwrap_or(f64::NAN)
        };
        Self {
            lower: quantile(0.25),
            median: quantile(0.5),
            upper: quantile(0.75),
        }
    }
}
