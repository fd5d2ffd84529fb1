//! The server stops or dies under load. No node accepts or refuses anything wrongly because of
//! that, all recover by themselves, and nothing that was acknowledged is lost.

use std::{sync::Arc, time::Instant};

use gatepass::{Error, Refusal, Staleness};
use gatepass_servers::Durability;
use gatepass_tests::nodes::{Backend, Node, Site, Timing, verify};

use crate::nodes::{
    faults::{PATIENCE, insist, longest},
    load::{Acknowledged, Load, Logout},
    on,
    own::Own,
};

on! {
    Postgres: postgres {
        while_the_server_is_stopped_nothing_is_honoured_and_nobody_is_refused
        what_was_acknowledged_survives_the_death_of_the_server
    }
    Redis: redis {
        while_the_server_is_stopped_nothing_is_honoured_and_nobody_is_refused
        what_was_acknowledged_survives_the_death_of_the_server
    }
    RedisCluster: redis_cluster {
        while_the_server_is_stopped_nothing_is_honoured_and_nobody_is_refused
        what_was_acknowledged_survives_the_death_of_the_server
    }
}

/// The number of answered operations before a fault.
const ENOUGH: u64 = 150;

async fn start(site: &Site) -> [Arc<Node>; 3] {
    let node = async || Arc::new(Node::start(site, Timing::SHORT).await);
    [node().await, node().await, node().await]
}

fn load(nodes: &[Arc<Node>; 3]) -> [Load; 3] {
    nodes.each_ref().map(|node| Load::on(node, 3))
}

async fn while_the_server_is_stopped_nothing_is_honoured_and_nobody_is_refused(backend: Backend) {
    let own = Own::start(backend, Durability::None);
    let nodes = start(&own.site().timeout(Timing::SHORT.store)).await;
    let mut live = Vec::new();
    for node in &nodes {
        live.push(insist(async || node.login("alice").await).await);
    }
    let loads = load(&nodes);
    for load in &loads {
        load.seen.answer(ENOUGH / 3).await;
    }
    own.pause();
    let paused = Instant::now();
    for (node, issued) in nodes.iter().zip(&live) {
        loop {
            let began = Instant::now();
            let verified = node.verify(issued).await;
            let took = began.elapsed();
            assert!(took <= longest(Timing::SHORT), "{took:?}");
            match verified {
                Ok(_) => assert!(began <= paused + Timing::SHORT.max_staleness),
                Err(Error::Store(_)) => break,
                Err(error) => panic!("{error:?}"),
            }
            tokio::task::yield_now().await;
        }
        let pending = node.refresh(issued).await;
        assert!(matches!(pending, Err(Error::Store(_))), "{pending:?}");
    }
    for load in &loads {
        load.seen.fail(3).await;
    }
    own.resume();
    for (node, issued) in nodes.iter().zip(&live) {
        let next = insist(async || node.refresh(issued).await).await;
        insist(async || node.verify(&next).await).await;
    }
    for load in loads {
        load.seen.answer(ENOUGH / 3).await;
        load.stop(longest(Timing::SHORT)).await;
    }
}

async fn what_was_acknowledged_survives_the_death_of_the_server(backend: Backend) {
    let mut own = Own::start(backend, Durability::Crash);
    let site = own.site().timeout(Timing::SHORT.store);
    let nodes = start(&site).await;
    for _ in 0..2 {
        let loads = load(&nodes);
        for load in &loads {
            load.seen.answer(ENOUGH).await;
        }
        own.kill();
        let mut acknowledged = Vec::new();
        for load in loads {
            // From now on, the clients get no answers, and note nothing.
            load.seen.fail(3).await;
            let seen = load.stop(longest(Timing::SHORT)).await;
            acknowledged.append(&mut seen.acknowledged.lock().unwrap());
        }
        own.restart();
        let store = site.reopen(PATIENCE).await;
        let fresh = Node::over(Arc::clone(&store), None, patient()).await;
        assert!(acknowledged.iter().any(|one| one.logout == Logout::Done));
        assert!(acknowledged.iter().any(|one| one.rotations > 0));
        for one in &acknowledged {
            survived(&fresh, &*store, one).await;
        }
        // The other nodes continue without a restart.
        for node in &nodes {
            let issued = insist(async || node.login("alice").await).await;
            insist(async || node.verify(&issued).await).await;
        }
    }
}

fn patient() -> Timing {
    Timing {
        node: PATIENCE,
        ..Timing::SHORT
    }
}

async fn survived(node: &Node, store: &dyn gatepass::store::SessionStore, one: &Acknowledged) {
    let (session, _) = store.load(one.issued.session_id).await.unwrap();
    let session = session.unwrap_or_else(|| panic!("its login is lost: {one:?}"));
    // The last refresh may be done, but not answered.
    let generation = session.generation.get();
    assert!(
        (one.rotations..=one.rotations + 1).contains(&generation),
        "{generation}: {one:?}"
    );
    let verified = verify(&node.authority, &one.issued, Staleness::Bounded).await;
    match one.logout {
        Logout::Done => {
            assert!(session.ended.is_some(), "its logout is lost: {one:?}");
            let revoked = matches!(verified, Err(Error::Refused(Refusal::Revoked)));
            assert!(revoked, "{verified:?}");
        }
        Logout::Not => {
            assert!(session.ended.is_none(), "it has ended: {one:?}");
            verified.unwrap();
            node.refresh(&one.issued).await.unwrap();
        }
        Logout::Asked => {}
    }
}

/// Enough subjects for each part of the cluster.
const SUBJECTS: usize = 48;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_follow_a_cluster_that_elects_another_master() {
    let mut own = Own::cluster_with_replicas();
    let nodes = start(&own.site().timeout(Timing::SHORT.store)).await;
    let (mut live, mut ended) = (Vec::new(), Vec::new());
    for number in 0..SUBJECTS {
        let name = format!("user {number}");
        for sessions in [&mut live, &mut ended] {
            sessions.push(insist(async || nodes[0].login(&name).await).await);
        }
    }
    for issued in &ended {
        let id = issued.session_id;
        insist(async || nodes[0].authority.end_session(id).await).await;
    }
    let masters = 3;
    for master in &own.cluster().nodes()[..masters] {
        // The replicas have all writes, so the failover loses none.
        let reached = master.ask(&["wait", "1", "60000"]).unwrap();
        assert_eq!(reached.trim(), "1");
    }
    own.cluster().nodes_mut()[0].kill().unwrap();
    let killed = Instant::now();
    // A part of the log can't be reached, so the node refuses to judge all tokens.
    for node in &nodes {
        loop {
            let began = Instant::now();
            match node.verify(&live[0]).await {
                Ok(_) => assert!(began <= killed + Timing::SHORT.max_staleness),
                Err(Error::Store(_)) => break,
                Err(error) => panic!("{error:?}"),
            }
            tokio::task::yield_now().await;
        }
    }
    for node in &nodes {
        for issued in &live {
            let next = insist(async || node.refresh(issued).await).await;
            insist(async || node.verify(&next).await).await;
        }
        for issued in &ended {
            let verified = insist(async || match node.verify(issued).await {
                Err(Error::Refused(refusal)) => Ok(refusal),
                other => other.map(|pass| panic!("{pass:?}")),
            });
            assert_eq!(verified.await, Refusal::Revoked);
        }
    }
}
