//! The heartbeats of nodes.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Clock,
    store::{Audience, Heartbeat, Heartbeats, NodeId, RecordedHeartbeat, SessionStore},
};

use super::given::{Given, MILLISECOND, MINUTE, SECOND, issuer};
use crate::clock::ManualClock;

/// How long the store keeps heartbeats here.
const KEPT: Duration = MINUTE;

fn heartbeat<S: SessionStore>(given: &Given<S>, node: u8) -> Heartbeat {
    // A store could misread these characters as quotes, escapes or placeholders.
    let audience = Audience::new(r#"shop 'é' \n "$1" {=} @"#).unwrap();
    let node = NodeId::from_bytes([node; 16]);
    Heartbeat::new(node, issuer(), audience, given.clock.now())
}

async fn beat<S: SessionStore>(given: &Given<S>, heartbeat: &Heartbeat) -> Heartbeats {
    sorted(given.store.beat(heartbeat, KEPT).await.unwrap())
}

async fn beating<S: SessionStore>(given: &Given<S>) -> Heartbeats {
    sorted(given.store.heartbeats().await.unwrap())
}

fn sorted(mut heartbeats: Heartbeats) -> Heartbeats {
    heartbeats.nodes.sort_by_key(|one| one.heartbeat.node);
    heartbeats
}

/// The store keeps a whole heartbeat with its own time. The next heartbeat of the node replaces it.
pub async fn a_heartbeat_takes_the_place_of_the_last_one_of_its_node<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let start = given.clock.now();
    assert_eq!(beating(&given).await, Heartbeats::new(start, Vec::new()));
    let (one, mut other) = (heartbeat(&given, 1), heartbeat(&given, 2));
    let first = RecordedHeartbeat::new(one.clone(), start);
    assert_eq!(
        beat(&given, &one).await,
        Heartbeats::new(start, vec![first.clone()])
    );
    other.keys = vec!["k".repeat(64); 20];
    given.clock.advance(SECOND);
    let second = RecordedHeartbeat::new(other.clone(), start + SECOND);
    let both = Heartbeats::new(start + SECOND, vec![first, second.clone()]);
    assert_eq!(beat(&given, &other).await, both);
    assert_eq!(beating(&given).await, both);

    given.clock.advance(MILLISECOND);
    let now = given.clock.now();
    let mut later = one;
    later.asks = 7;
    later.acknowledges = [(other.node, 3)].into();
    let later = RecordedHeartbeat::new(later, now);
    let both = Heartbeats::new(now, vec![later.clone(), second]);
    assert_eq!(beat(&given, &later.heartbeat).await, both);
    assert_eq!(beating(&given).await, both);
}

/// The store forgets nodes that have gone. A node that is late appears again.
pub async fn an_old_heartbeat_is_forgotten_by_the_next_one<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (gone, stays) = (heartbeat(&given, 1), heartbeat(&given, 2));
    let nodes = |heartbeats: Heartbeats| {
        let nodes = heartbeats.nodes.into_iter();
        nodes.map(|one| one.heartbeat.node).collect::<Vec<_>>()
    };
    beat(&given, &gone).await;
    given.clock.advance(KEPT);
    assert_eq!(
        nodes(beat(&given, &stays).await),
        [gone.node, stays.node],
        "as old as may be"
    );
    given.clock.advance(MILLISECOND);
    assert_eq!(nodes(beat(&given, &stays).await), [stays.node]);
    assert_eq!(nodes(beating(&given).await), [stays.node]);
    assert_eq!(nodes(beat(&given, &gone).await), [gone.node, stays.node]);
}

/// A node that asks after a commit learns of all nodes that have beaten before. A node that starts
/// is visible to every node that looks later.
pub async fn a_heartbeat_that_has_returned_is_in_every_later_answer<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Arc::new(Given::fresh(fresh).await);
    let nodes = (1..=8).map(|node| {
        let given = Arc::clone(&given);
        tokio::spawn(async move {
            let mut own = heartbeat(&given, node);
            for asks in 1..=10 {
                own.asks = asks;
                for read in [beat(&given, &own).await, beating(&given).await] {
                    let mut found = read.nodes.iter();
                    let found = found.find(|one| one.heartbeat.node == own.node);
                    assert_eq!(found.unwrap().heartbeat, own);
                }
            }
        })
    });
    for node in Vec::from_iter(nodes) {
        node.await.unwrap();
    }
    let all = beating(&given).await.nodes;
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|one| one.heartbeat.asks == 10));
}

/// Heartbeats notify no follower of the log, and a purge keeps them.
pub async fn heartbeats_and_sessions_do_not_touch_each_other<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.ended("bob").await;
    let (log, cursor) = given.log().await;
    beat(&given, &heartbeat(&given, 1)).await;
    assert_eq!(given.load(&session).await, session);
    assert_eq!(given.log().await.0, log);
    assert_eq!(given.log_after(Some(cursor)).await.0, []);
    given.advance_to(session.purge_at());
    given.purge().await;
    assert_eq!(beating(&given).await.nodes.len(), 1);
}
