//! Linearizability: simultaneous operations on three nodes look as if one node had done them one
//! after another.
//!
//! Clients log in, refresh, log out, log out everywhere, log out everywhere else, change rights,
//! list, and check. All use the same few sessions, and the clock ticks meanwhile. For example, a
//! logout everywhere ends all earlier sessions in one act: no refresh, list or check on any node
//! may see some of them end before others.

mod model;
mod record;
mod search;

use std::{env, sync::Arc, time::Duration};

use gatepass_servers::Durability;
use gatepass_tests::nodes::{Backend, Node};

use self::{model::Policy, record::World, search::Seen};
use crate::nodes::{faults::PATIENCE, on, own::Own};

/// Number of operations in a run of one seed.
const OPERATIONS: usize = 10_000;
/// Number of simultaneous operations.
const CLIENTS: usize = 16;
/// Average number of bytes on a connection until it is reset: some hundred refreshes.
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

/// The seeds of a run: `usual` ones, or as many as `GATEPASS_TEST_SEEDS` says.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let more = env::var("GATEPASS_TEST_SEEDS").ok();
    0..more.map_or(usual, |more| more.parse().unwrap())
}

async fn whatever_happens_at_once_happens_in_an_order(backend: Backend) {
    for seed in seeds(2) {
        let rules = match seed % 2 {
            0 => Policy::Overlap,
            _ => Policy::NoOverlap,
        };
        let world = World::new(backend.site(), PATIENCE, rules);
        let mut nodes = Vec::new();
        for number in 0..3 {
            nodes.push(world.node(number, false).await);
        }
        let seen = check(seed, world, nodes, 0).await;
        // Without these, the claim would be empty.
        assert!(seen.advanced >= 100, "{seen:?}");
        assert!(seen.replayed >= 50, "{seen:?}");
        assert!(seen.reused >= 20, "{seen:?}");
        assert!(seen.ended_meanwhile >= 50, "{seen:?}");
        assert!(seen.changed >= 200, "{seen:?}");
        assert!(seen.changed_meanwhile >= 50, "{seen:?}");
        assert!(seen.stale >= 20, "{seen:?}");
        match rules {
            Policy::Overlap => assert!(seen.kept >= 50, "{seen:?}"),
            Policy::NoOverlap => assert_eq!(seen.kept, 0, "{seen:?}"),
        }
    }
}

async fn so_it_does_while_connections_are_reset(backend: Backend) {
    for seed in seeds(1) {
        let world = World::new(backend.site(), PATIENCE, Policy::Overlap);
        let mut nodes = Vec::new();
        for number in 0..3 {
            let node = world.node(number, true).await;
            node.proxy().reset_at_random(seed + number as u64, BYTES);
            nodes.push(node);
        }
        check(seed, world, nodes, 20).await;
    }
}

/// A proxy can't be in front of the nodes of a cluster, so the servers close their connections.
async fn so_it_does_while_servers_close_connections(backend: Backend) {
    let own = Arc::new(Own::start(backend, Durability::None));
    for seed in seeds(1) {
        let world = World::new(own.site(), PATIENCE, Policy::Overlap);
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
        check(seed, world, nodes, 20).await;
        closing.abort();
    }
}

async fn check(seed: u64, world: World, nodes: Vec<Node>, least_lost: usize) -> Seen {
    let histories = world.run(seed, nodes, OPERATIONS, CLIENTS).await;
    let mut seen = Seen::default();
    for history in &histories {
        if let Err(wrong) = history.check() {
            panic!("seed {seed}: no order of these has these outcomes:\n{wrong}");
        }
        seen.add(history);
    }
    // Without failures, the claim about failures would be empty.
    assert!(seen.lost >= least_lost, "too few were lost: {seen:?}");
    seen
}
