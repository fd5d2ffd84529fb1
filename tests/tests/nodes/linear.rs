//! What nodes do at the same time looks as if one had done it after the other.

mod model;
mod record;
mod search;

use std::{env, sync::Arc, time::Duration};

use gatepass_servers::Durability;
use gatepass_tests::nodes::{Backend, Node};

use self::record::World;
use crate::{faults::PATIENCE, on, own::Own};

/// Operations in a run of one seed.
const OPERATIONS: usize = 10_000;
/// Those that begin about at the same time.
const CLIENTS: usize = 16;
/// How much a connection carries on average until it is reset: some hundred refreshes.
const BYTES: u64 = 60_000;

on! {
    Sqlite: sqlite {
        whatever_happens_at_once_happens_in_an_order
    }
    Postgres: postgres {
        whatever_happens_at_once_happens_in_an_order
        so_it_does_while_connections_are_reset
    }
    PgBouncer: pgbouncer {
        so_it_does_while_connections_are_reset
    }
    Redis: redis {
        whatever_happens_at_once_happens_in_an_order
        so_it_does_while_connections_are_reset
    }
    RedisCluster: redis_cluster {
        whatever_happens_at_once_happens_in_an_order
        so_it_does_while_servers_close_connections
    }
}

/// The seeds of a run: so many, or as many as `GATEPASS_TEST_SEEDS` says.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let more = env::var("GATEPASS_TEST_SEEDS").ok();
    0..more.map_or(usual, |more| more.parse().unwrap())
}

async fn whatever_happens_at_once_happens_in_an_order(backend: Backend) {
    for seed in seeds(2) {
        let world = World::new(backend.site(), PATIENCE);
        let mut nodes = Vec::new();
        for number in 0..3 {
            nodes.push(world.node(number, false).await);
        }
        check(seed, nodes, 0).await;
    }
}

async fn so_it_does_while_connections_are_reset(backend: Backend) {
    for seed in seeds(1) {
        let world = World::new(backend.site(), PATIENCE);
        let mut nodes = Vec::new();
        for number in 0..3 {
            let node = world.node(number, true).await;
            node.proxy().reset_at_random(seed + number, BYTES);
            nodes.push(node);
        }
        check(seed, nodes, 20).await;
    }
}

/// Before the nodes of a cluster there can be no proxies.
async fn so_it_does_while_servers_close_connections(backend: Backend) {
    let own = Arc::new(Own::start(backend, Durability::None));
    for seed in seeds(1) {
        let world = World::new(own.site(), PATIENCE);
        let mut nodes = Vec::new();
        for number in 0..3 {
            nodes.push(world.node(number, false).await);
        }
        let closing = tokio::spawn({
            let own = Arc::clone(&own);
            async move {
                for number in 0.. {
                    let own = Arc::clone(&own);
                    let close = move || own.close_connections(number);
                    tokio::task::spawn_blocking(close).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        check(seed, nodes, 20).await;
        closing.abort();
    }
}

async fn check(seed: u64, nodes: Vec<Node>, least_lost: usize) {
    let histories = record::run(seed, nodes, OPERATIONS, CLIENTS).await;
    let mut lost = 0;
    for history in &histories {
        if let Err(wrong) = history.check() {
            panic!("seed {seed}: no order of these has these outcomes:\n{wrong}");
        }
        lost += history.lost();
    }
    // Without failures the claim about them would be empty.
    assert!(lost >= least_lost, "only {lost} operations were lost");
}
