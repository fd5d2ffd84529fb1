//! Changes of all sessions that match.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gatepass::{MasterSecret, MemoryStore};
use gatepass_testkit::{ManualClock, Op, TestStore};
use serde_json::json;
use test_support::world::{SECOND, SECRET, Store, Ticking, World, builder, subject, verify};
use tokio::time::{Instant, timeout};

use super::*;

#[derive(serde::Deserialize)]
struct Tenant {
    tenant: u32,
}

fn is_of(wanted: u32) -> impl Fn(&Session) -> bool + Send {
    move |session| {
        let claims = session.identity.custom_claims();
        claims.is_ok_and(|Tenant { tenant }| tenant == wanted)
    }
}

/// A session of a user of this tenant, with the scope `write`.
async fn of_tenant(node: &Authority, name: &str, tenant: u32) -> Issued {
    let claims = json!({ "tenant": tenant });
    let identity = identity(name, "write").claims(&claims).unwrap();
    node.issue(identity, Device::default()).await.unwrap()
}

fn pace(change: Change, pace: u32) -> Change {
    change.sessions_per_second(NonZeroU32::new(pace).unwrap())
}

test_support::on_both_stores! {
    a_tenant_changes_and_no_other_does
    a_session_that_matches_no_more_when_its_turn_comes_stays_as_it_is
}

/// They are more than a part has, and of many users.
async fn a_tenant_changes_and_no_other_does(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock).max_sessions(None);
    let node = node.build().await.unwrap();
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    let foreign = Authority::builder(
        "https://bank.example",
        "bank-api",
        secret,
        Arc::clone(&world.store),
    );
    let foreign = foreign.clock(world.clock.clone()).share_store();
    let foreign = foreign.build().await.unwrap();
    let theirs = of_tenant(&foreign, "user 0", 7).await;
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for number in 0..250 {
        let name = format!("user {}", number % 60);
        match number % 5 {
            0 => others.push(of_tenant(&node, &name, 8).await),
            1 => others.push(begin(&node, &name, "write").await),
            _ => matching.push(of_tenant(&node, &name, 7).await),
        }
    }
    let freeze = pace(Change::enforced(to("")), 100_000);
    let changed = node.change_where(is_of(7), &freeze).await.unwrap();
    assert_eq!(changed, matching.len() as u64);
    for issued in &matching {
        assert!(is_stale(&node, issued).await);
    }
    for issued in &others {
        verify(&node, issued).await.unwrap();
    }
    let theirs = stored(&world.store, &theirs).await;
    assert_eq!(*theirs.identity.granted_scopes(), scopes("write"));
    assert_eq!(theirs.grant, gatepass::store::Grant::default());
    assert_eq!(node.change_where(is_of(7), &freeze).await.unwrap(), 0);
}

async fn a_session_that_matches_no_more_when_its_turn_comes_stays_as_it_is(world: World) {
    let store = TestStore::new(Arc::clone(&world.store));
    let handle = store.clone();
    let node = builder(store, &world.clock).build().await.unwrap();
    let moved = of_tenant(&node, "alice", 7).await;
    let held = handle.hold_before(Op::Change);
    let freezing = tokio::spawn({
        let node = node.clone();
        async move { node.change_where(is_of(7), &enforced("")).await.unwrap() }
    });
    held.reached().await;
    let move_on = Change::enforced(claiming(json!({ "tenant": 8 })));
    assert!(
        node.change_session(moved.session_id, &move_on)
            .await
            .unwrap()
    );
    held.release();
    assert_eq!(freezing.await.unwrap(), 0);
    let moved = stored(&world.store, &moved).await;
    assert_eq!(*moved.identity.granted_scopes(), scopes("write"));
    assert!(is_of(8)(&moved));
}

/// A node with so many sessions, in tokio's paused time.
async fn crowded(sessions: u32) -> (Store, Authority) {
    let clock = Ticking::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let node = builder(Arc::clone(&store), &ManualClock::new()).clock(clock);
    let node = node.build().await.unwrap();
    for number in 0..sessions {
        begin(&node, &format!("user {number}"), "write").await;
    }
    (store, node)
}

/// How many sessions have changed by now.
async fn changed_in(store: &Store) -> usize {
    let mut changed = 0;
    for number in 0_u32.. {
        let account = gatepass::store::AccountId::of(
            &gatepass::store::Issuer::new("https://shop.example").unwrap(),
            &subject(&format!("user {number}")),
        );
        let sessions = store.sessions(account, None, 1).await.unwrap();
        let Some(session) = sessions.first() else {
            break;
        };
        changed += usize::from(session.grant.newest.get() > 0);
    }
    changed
}

#[tokio::test(start_paused = true)]
async fn a_change_of_many_sessions_keeps_its_pace_from_the_first_to_the_last() {
    let (store, node) = crowded(100).await;
    let began = Instant::now();
    let changing = tokio::spawn(async move {
        let slow = pace(enforced(""), 10);
        node.change_where(|_| true, &slow).await.unwrap()
    });
    for second in 1..=7 {
        tokio::time::sleep_until(began + second * SECOND).await;
        let changed = changed_in(&store).await;
        let expected = 10 * second as usize;
        let about = expected * 3 / 4 - 2..=expected * 5 / 4 + 2;
        assert!(about.contains(&changed), "{changed} after {second} s");
    }
    assert_eq!(changing.await.unwrap(), 100);
    let took = began.elapsed();
    assert!((8 * SECOND..13 * SECOND).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_many_that_is_dropped_stops_and_goes_on_when_it_is_called_again() {
    let (store, node) = crowded(250).await;
    let slow = pace(enforced(""), 50);
    let change = node.change_where(|_| true, &slow);
    assert!(timeout(3 * SECOND, change).await.is_err());
    let changed = changed_in(&store).await;
    assert!((90..=210).contains(&changed), "{changed}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(changed_in(&store).await, changed);
    let left = node.change_where(|_| true, &slow).await.unwrap();
    assert_eq!(left as usize + changed, 250);
    assert_eq!(changed_in(&store).await, 250);
}

/// It costs what reading them costs.
#[tokio::test(start_paused = true)]
async fn sessions_that_do_not_match_hold_nothing_up() {
    let (_, node) = crowded(250).await;
    let began = Instant::now();
    let slow = pace(enforced(""), 1);
    assert_eq!(node.change_where(|_| false, &slow).await.unwrap(), 0);
    assert_eq!(
        node.change_where(|_| true, &pace(enforced("write"), 1))
            .await
            .unwrap(),
        0
    );
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}
