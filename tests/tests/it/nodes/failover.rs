//! The server is lost, and a replica without the last acknowledged changes takes its place. Nothing
//! else is lost: a user whose session survived stays logged in, no session is forked, and the log
//! tells the operator.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Authority, Error, Issued, Refusal, ReusePolicy,
    store::{Generation, StoreErrorKind},
};
use gatepass_servers::Durability;
use gatepass_testkit::{Op, StoreFault, TestStore, proxy::Proxy};
use gatepass_tests::nodes::{Backend, Node, Site, Timing, builder};
use test_support::log::Log;
use tracing::Level;

use crate::nodes::{faults::insist, own::Own};

mod postgres {
    use super::*;

    /// On one thread, so that the test can capture the log.
    #[tokio::test]
    async fn a_failover_that_loses_writes_logs_nobody_out_and_is_told() {
        super::a_failover_that_loses_writes_logs_nobody_out_and_is_told(Backend::Postgres).await;
    }
}

mod redis {
    use super::*;

    #[tokio::test]
    async fn a_failover_that_loses_writes_logs_nobody_out_and_is_told() {
        super::a_failover_that_loses_writes_logs_nobody_out_and_is_told(Backend::Redis).await;
    }
}

/// A node that rotates at each refresh, without an overlap.
async fn hasty(site: &Site) -> Authority {
    let every = ReusePolicy {
        overlap: Duration::ZERO,
        ..ReusePolicy::default()
    };
    let store = site.open(None).await;
    let node = builder(store, Timing::SHORT).reuse(every);
    node.build().await.unwrap()
}

/// Number of additional revocations that the replica lacks.
const LOST: usize = 5;

async fn a_failover_that_loses_writes_logs_nobody_out_and_is_told(backend: Backend) {
    let mut primary = Own::start(backend, Durability::Crash);
    let site = primary.site().timeout(Timing::SHORT.store);
    let (node, log_of_node) = node_that_can_be_deaf(&site).await;
    let nodes = [node, Node::start_behind_proxy(&site, Timing::SHORT).await];
    let [node, other] = &nodes;
    let login = async |name: &str| insist(async || node.login(name).await).await;
    let refresh = async |issued: &Issued| insist(async || node.refresh(issued).await).await;
    // A node that rotates at each refresh, to get several generations ahead of the replica.
    let hasty = hasty(&site).await;
    let rotate = async |issued: &Issued| {
        insist(async || hasty.refresh(issued.refresh_token.as_str()).await).await
    };

    // The replica has these changes.
    let refreshed_before = login("alice").await;
    let ended_before = login("alice").await;
    let mut rotated = vec![login("alice").await];
    rotated.push(rotate(&rotated[0]).await);
    let ended_later = login("alice").await;
    let ended_after = login("alice").await;
    logout(node, &ended_before).await;
    let mut replica = primary.left_behind();

    // The replica lacks these changes.
    let next = refresh(&refreshed_before).await;
    for _ in 0..3 {
        rotated.push(rotate(rotated.last().unwrap()).await);
    }
    let begun_later = login("alice").await;
    for _ in 0..LOST {
        logout(node, &login("alice").await).await;
    }
    logout(node, &ended_later).await;
    for node in &nodes {
        insist(async || is_revoked(node, &ended_later).await).await;
    }

    // The node polls again only after the log has grown.
    log_of_node.inject(Op::Pull, StoreFault::Fail(StoreErrorKind::Unavailable));
    primary.kill();
    replica.take_over();
    for proxy in nodes.iter().map(Node::proxy) {
        Proxy::redirect(proxy, replica.address());
    }
    let (log, _listening) = Log::listen();

    // The first client presents a token that the store doesn't know yet.
    let newest = rotated.last().unwrap();
    let after = refresh(newest).await;
    let session = newest.session_id.to_string();
    let fields = [
        ("subject", "alice"),
        ("session", session.as_str()),
        ("gap", "3"),
    ];
    log.has(Level::ERROR, "store.behind", &fields);
    // No node takes this token or the earlier ones for stolen.
    for issued in &rotated[1..] {
        let again = insist(async || other.refresh(issued).await).await;
        assert!(again.refresh_token == after.refresh_token, "it was forked");
    }
    let store = site.open(node.proxy.as_ref()).await;
    let (stored, _) = store.load(newest.session_id).await.unwrap();
    assert_eq!(stored.unwrap().generation, Generation::new(5));
    // One client missed the answer to its last refresh, the other got it.
    let one = insist(async || other.refresh(&refreshed_before).await).await;
    let two = refresh(&next).await;
    assert_eq!(one.session_id, two.session_id);
    insist(async || other.verify(&two).await).await;

    // An ended session stays ended. A session that ends from now on ends on all nodes.
    logout(other, &ended_after).await;
    // Until the log is as long as the log that the other node has seen. Without that, the node
    // would see new entries after its cursor.
    for _ in 0..2 * LOST {
        logout(other, &login("alice").await).await;
    }
    log_of_node.heal();
    for node in &nodes {
        insist(async || is_revoked(node, &ended_before).await).await;
        insist(async || is_revoked(node, &ended_after).await).await;
    }
    assert!(
        !log.text().contains("session.reuse_detected"),
        "{}",
        log.text()
    );

    // Two things are lost: the end of a session, and a new session, which the replica hadn't
    // received.
    insist(async || other.refresh(&ended_later).await).await;
    let lost = insist(async || match node.refresh(&begun_later).await {
        Err(Error::Refused(refusal)) => Ok(refusal),
        other => other.map(|issued| panic!("{issued:?}")),
    });
    assert_eq!(lost.await, Refusal::SessionEnded);
}

async fn node_that_can_be_deaf(site: &Site) -> (Node, TestStore) {
    let proxy = Proxy::before(site.address()).await.unwrap();
    let store = TestStore::new(site.open(Some(&proxy)).await);
    let handle = store.clone();
    let node = Node::over(Arc::new(store), Some(proxy), Timing::SHORT).await;
    (node, handle)
}

async fn logout(node: &Node, issued: &Issued) {
    let token = issued.refresh_token.as_str();
    insist(async || node.authority.logout(token).await).await;
}

/// Waits until the node also refuses it. Within the bound, a node may accept a session that another
/// node has ended.
async fn is_revoked(node: &Node, issued: &Issued) -> Result<(), Error> {
    loop {
        match node.verify(issued).await {
            Err(Error::Refused(Refusal::Revoked)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}
