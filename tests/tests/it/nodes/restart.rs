//! A node that starts among busy nodes judges nothing before it knows every revocation.

mod filling;
mod program;

use std::{sync::Arc, time::Duration};

use gatepass::{Error, Issued, MemoryStore, Refusal};
use gatepass_servers::Durability;
use gatepass_testkit::{Op, TestStore};
use gatepass_tests::nodes::{Backend, Node, Site, Timing, builder};
use tokio::task::JoinSet;

use crate::nodes::{faults::PATIENCE, load::Load, on, own::Own};

on! {
    Sqlite: sqlite {
        nodes_that_start_among_busy_ones_honour_nothing_that_has_ended
        among_100_000_revocations_a_fresh_node_honours_none_of_them
    }
    Postgres: postgres {
        nodes_that_start_among_busy_ones_honour_nothing_that_has_ended
        among_100_000_revocations_a_fresh_node_honours_none_of_them
    }
    PgBouncer: pgbouncer {
        nodes_that_start_among_busy_ones_honour_nothing_that_has_ended
    }
    Redis: redis {
        nodes_that_start_among_busy_ones_honour_nothing_that_has_ended
        among_100_000_revocations_a_fresh_node_honours_none_of_them
    }
    RedisCluster: redis_cluster {
        nodes_that_start_among_busy_ones_honour_nothing_that_has_ended
    }
}

/// Number of sessions without any tokens.
const OTHERS: usize = 100_000;
/// Number of sessions whose tokens the test tries. So many end before the others, after them, and
/// before each start.
const ENDED: usize = 40;

#[tokio::test]
async fn while_the_log_is_loaded_there_is_no_node() {
    let store = TestStore::new(MemoryStore::new());
    let call = store.clone().hold_before(Op::Pull);
    let node = tokio::spawn(builder(store, Timing::DEFAULT).build());
    call.reached().await;
    assert!(!node.is_finished());
    call.release();
    node.await.unwrap().unwrap();
}

async fn among_100_000_revocations_a_fresh_node_honours_none_of_them(backend: Backend) {
    let (site, own) = match backend {
        // The server's own tool fills it.
        Backend::Redis => {
            let own = Own::start(backend, Durability::None);
            (own.site(), Some(own))
        }
        _ => (backend.site(), None),
    };
    let busy = Arc::new(start(&site).await);
    let mut ended = Vec::new();
    end_some(&busy, &mut ended).await;
    filling::fill(&site, own.as_ref(), OTHERS).await;
    end_some(&busy, &mut ended).await;
    starts(&site, &busy, ended, 1).await;
}

async fn nodes_that_start_among_busy_ones_honour_nothing_that_has_ended(backend: Backend) {
    let site = backend.site();
    let busy = Arc::new(start(&site).await);
    starts(&site, &busy, Vec::new(), 8).await;
}

/// Starts a node so many times. Tries all ended sessions as soon as the node is ready.
async fn starts(site: &Site, busy: &Arc<Node>, mut ended: Vec<Arc<Issued>>, times: usize) {
    let load = Load::on(busy, 4);
    for _ in 0..times {
        end_some(busy, &mut ended).await;
        let fresh = Arc::new(start(site).await);
        let mut asked = JoinSet::new();
        for issued in &ended {
            let (fresh, issued) = (Arc::clone(&fresh), Arc::clone(issued));
            asked.spawn(async move { fresh.verify(&issued).await });
        }
        for answer in asked.join_all().await {
            let revoked = matches!(answer, Err(Error::Refused(Refusal::Revoked)));
            assert!(revoked, "{answer:?}");
        }
        load.seen.answer(10).await;
    }
    load.stop(PATIENCE).await;
}

async fn start(site: &Site) -> Node {
    let timing = Timing {
        // A busy machine loads a log of this length in parts.
        node: PATIENCE,
        max_staleness: Duration::from_secs(30),
        poll_interval: Duration::from_millis(500),
        ..Timing::DEFAULT
    };
    Node::start(site, timing).await
}

async fn end_some(node: &Node, ended: &mut Vec<Arc<Issued>>) {
    for _ in 0..ENDED {
        let issued = node.login("alice").await.unwrap();
        let end = node.authority.end_session(issued.session_id);
        end.await.unwrap();
        ended.push(Arc::new(issued));
    }
}
