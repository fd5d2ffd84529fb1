//! A node that loses its store stops answering in time, recovers by itself, and refuses no user
//! because of it. The other nodes continue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gatepass::{Error, Issued, Refusal};
use gatepass_testkit::proxy::Proxy;
use gatepass_tests::nodes::{Backend, Node, Site, Timing};
use tokio::time::timeout;

use crate::nodes::{load::Load, on};

on! {
    Postgres: postgres {
        a_node_whose_connections_are_reset_makes_others
        a_node_that_is_refused_stops_in_time_and_comes_back
        a_node_whose_network_hangs_stops_in_time_and_comes_back
        a_node_whose_network_is_too_slow_stops_in_time_and_comes_back
        a_node_whose_connections_are_half_closed_stops_in_time_and_comes_back
        a_node_whose_answers_are_lost_stops_in_time_and_comes_back
        a_node_whose_connections_are_abandoned_makes_others
    }
    PgBouncer: pgbouncer {
        a_node_whose_connections_are_reset_makes_others
        a_node_that_is_refused_stops_in_time_and_comes_back
        a_node_whose_network_hangs_stops_in_time_and_comes_back
        a_node_whose_connections_are_half_closed_stops_in_time_and_comes_back
        a_node_whose_answers_are_lost_stops_in_time_and_comes_back
    }
    Redis: redis {
        a_node_whose_connections_are_reset_makes_others
        a_node_that_is_refused_stops_in_time_and_comes_back
        a_node_whose_network_hangs_stops_in_time_and_comes_back
        a_node_whose_network_is_too_slow_stops_in_time_and_comes_back
        a_node_whose_connections_are_half_closed_stops_in_time_and_comes_back
        a_node_whose_answers_are_lost_stops_in_time_and_comes_back
        a_node_whose_connections_are_abandoned_makes_others
    }
}

/// How long a test waits for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Additional time for a step on a machine that is busy with other tests.
const BUSY: Duration = Duration::from_secs(5);

async fn a_node_whose_connections_are_reset_makes_others(backend: Backend) {
    momentary(backend, Proxy::cut).await;
}

async fn a_node_whose_connections_are_abandoned_makes_others(backend: Backend) {
    momentary(backend, Proxy::abandon).await;
}

async fn a_node_that_is_refused_stops_in_time_and_comes_back(backend: Backend) {
    lasting(backend, Proxy::refuse).await;
}

async fn a_node_whose_network_hangs_stops_in_time_and_comes_back(backend: Backend) {
    lasting(backend, Proxy::hang).await;
}

async fn a_node_whose_network_is_too_slow_stops_in_time_and_comes_back(backend: Backend) {
    lasting(backend, |proxy| proxy.delay(2 * Timing::SHORT.node)).await;
}

async fn a_node_whose_connections_are_half_closed_stops_in_time_and_comes_back(backend: Backend) {
    lasting(backend, Proxy::half_close).await;
}

async fn a_node_whose_answers_are_lost_stops_in_time_and_comes_back(backend: Backend) {
    lasting(backend, Proxy::lose_answers).await;
}

/// Maximum time of any operation with this configuration. An operation asks the store at most
/// twice, and then waits for a pull in progress and for its own pull.
pub(crate) fn longest(timing: Timing) -> Duration {
    5 * timing.node + BUSY
}

/// A node behind a proxy with short time limits, and two nodes with long ones.
struct Nodes {
    cut_off: Arc<Node>,
    others: [Arc<Node>; 2],
}

impl Nodes {
    async fn start(backend: Backend) -> Self {
        let site = backend.site();
        let others = [site_node(&site).await, site_node(&site).await];
        let site = site.timeout(Timing::SHORT.store);
        let cut_off = Node::start_behind_proxy(&site, Timing::SHORT).await;
        Self {
            cut_off: Arc::new(cut_off),
            others,
        }
    }

    fn proxy(&self) -> &Proxy {
        self.cut_off.proxy()
    }
}

/// A node with long time limits for the store, and the same bound as the others.
async fn site_node(site: &Site) -> Arc<Node> {
    let timing = Timing {
        node: PATIENCE,
        ..Timing::SHORT
    };
    Arc::new(Node::start(site, timing).await)
}

/// Logs in, and repeats that until it succeeds.
async fn login(node: &Node) -> Issued {
    insist(async || node.login("alice").await).await
}

/// Repeats the call until the store has answered.
pub(crate) async fn insist<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    let tried = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(Error::Store(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(PATIENCE, tried).await.unwrap()
}

async fn lasting(backend: Backend, fault: impl Fn(&Proxy)) {
    let nodes = Nodes::start(backend).await;
    let here = &nodes.cut_off;
    let live = login(here).await;
    let ended = login(here).await;
    let load = Load::on(here, 3);
    let elsewhere = nodes.others.each_ref().map(|node| Load::on(node, 2));
    load.seen.answer(20).await;

    fault(nodes.proxy());
    let broken = Instant::now();
    let other = &nodes.others[0].authority;
    other.end_session(ended.session_id).await.unwrap();
    // After the end of the lease, a client gets no answer about any session. Before, it gets the
    // answer that the node knew.
    let over = broken + Timing::SHORT.max_staleness;
    let mut refusing = false;
    while !refusing {
        let began = Instant::now();
        let known = here.verify(&ended).await;
        refusing = began > over;
        match known {
            Ok(_) if !refusing => tokio::task::yield_now().await,
            Err(Error::Store(_)) => {}
            other => panic!("{:?} after it broke: {other:?}", broken.elapsed()),
        }
        assert!(began.elapsed() <= longest(Timing::SHORT));
    }
    for issued in [&live, &ended] {
        let verified = here.verify(issued).await;
        assert!(matches!(verified, Err(Error::Store(_))), "{verified:?}");
    }
    // The node tells no client that a session is over, because it can't know that.
    let pending = here.refresh(&live).await;
    assert!(matches!(pending, Err(Error::Store(_))), "{pending:?}");
    let logout = here.authority.logout(ended.refresh_token.as_str()).await;
    assert!(matches!(logout, Err(Error::Store(_))), "{logout:?}");
    load.seen.fail(5).await;
    // The other nodes notice nothing.
    for load in &elsewhere {
        load.seen.answer(20).await;
    }

    nodes.proxy().heal();
    recovers(&nodes, &live, &ended, load, elsewhere).await;
}

/// A short fault, which a node notices only through its broken connections.
async fn momentary(backend: Backend, fault: impl Fn(&Proxy)) {
    let nodes = Nodes::start(backend).await;
    let here = &nodes.cut_off;
    let live = login(here).await;
    let ended = login(here).await;
    let load = Load::on(here, 3);
    let elsewhere = nodes.others.each_ref().map(|node| Load::on(node, 2));
    load.seen.answer(20).await;
    fault(nodes.proxy());
    let other = &nodes.others[0].authority;
    other.end_session(ended.session_id).await.unwrap();
    let over = Instant::now() + Timing::SHORT.max_staleness;
    loop {
        let began = Instant::now();
        match here.verify(&ended).await {
            Ok(_) => assert!(began <= over, "{:?} too late", over.elapsed()),
            Err(Error::Store(_)) => {}
            Err(Error::Refused(Refusal::Revoked)) => break,
            Err(error) => panic!("{error:?}"),
        }
        tokio::task::yield_now().await;
    }
    recovers(&nodes, &live, &ended, load, elsewhere).await;
}

/// Checks that the node works as before the fault, and has logged no user out.
async fn recovers(nodes: &Nodes, live: &Issued, ended: &Issued, load: Load, elsewhere: [Load; 2]) {
    let here = &nodes.cut_off;
    // With the token whose refresh got no answer.
    let next = insist(async || here.refresh(live).await).await;
    let pass = insist(async || here.verify(&next).await).await;
    assert_eq!(pass.session_id(), Some(live.session_id));
    insist(async || match here.verify(ended).await {
        Err(Error::Refused(Refusal::Revoked)) => Ok(()),
        other => other.map(|pass| panic!("{pass:?} is honoured")),
    })
    .await;
    load.seen.answer(50).await;
    load.stop(longest(Timing::SHORT)).await;
    for load in elsewhere {
        let seen = load.stop(PATIENCE).await;
        assert_eq!(seen.unavailable(), 0, "the other nodes noticed");
    }
    // On each node to which the client may come next.
    for node in &nodes.others {
        node.verify(&next).await.unwrap();
        let again = node.refresh(live).await.unwrap();
        assert!(again.refresh_token == next.refresh_token, "it was forked");
    }
}
