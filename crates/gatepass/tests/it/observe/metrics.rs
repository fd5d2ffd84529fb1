//! The metrics: each event counts once, under its stable name, and a gauge has the age of the
//! replica.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gatepass::{Credentials, Device, MemoryStore, Requirements, Staleness, store::StoreErrorKind};
use gatepass_testkit::{ManualClock, OnePassword, Op, StoreFault, TestStore};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use test_support::world::{
    MINUTE, SECOND, World, builder, login, refresh, refusal, verify, verify_with,
};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);

/// All counters and gauges, by name and labels.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Recorded {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            name += &format!(" {}={}", label.key(), label.value());
        }
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn count(&self, name: &str) -> u64 {
        let recorded = self.0.lock().unwrap();
        recorded
            .get(name)
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.count(name))
    }

    /// All counters that are not nought.
    fn counters(&self) -> Vec<(String, u64)> {
        let recorded = self.0.lock().unwrap();
        let all = recorded
            .iter()
            .map(|(name, cell)| (name.clone(), cell.load(Ordering::Relaxed)));
        all.filter(|(name, count)| name.contains("_total") && *count > 0)
            .collect()
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Times(self.cell(key))))
    }
}

/// Counts how often something was measured.
struct Times(Arc<AtomicU64>);

impl HistogramFn for Times {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_until_an_end_is_enforced_is_measured_by_what_ended_it() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let store = TestStore::new(MemoryStore::with_clock(ManualClock::new())).durable();
    for beats in [false, true] {
        let node = builder(store.clone(), &ManualClock::new());
        let node = match beats {
            true => node.heartbeat(5 * SECOND),
            false => node,
        };
        let node = node.build().await.unwrap();
        let issued = login(&node, "alice").await;
        let ending = node.logout(issued.access_token.as_str()).await.unwrap();
        ending.enforced().await;
    }
    for by in ["bound", "acknowledgement"] {
        let name = format!("gatepass_revocation_enforced_seconds by={by}");
        assert_eq!(recorded.count(&name), 1, "{by}");
    }
}

#[tokio::test]
async fn each_event_is_counted_once_and_nobody_is_named() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let world = World::sqlite();
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    handle.inject(Op::Changed, StoreFault::Hang);
    let node = builder(store, &world.clock).authenticator(OnePassword::new("right"));
    // So rarely that every pull is one that a request asked for.
    let node = node.max_staleness(60 * MINUTE).poll_interval(30 * MINUTE);
    let node = node.build().await.unwrap();

    let first = login(&node, "alice").await;
    let wrong = Credentials::new("alice", "wrong");
    refusal(node.login(&wrong, Device::default()).await);
    let second = refresh(&node, &first).await.unwrap();
    refresh(&node, &first).await.unwrap();
    world.clock.advance(31 * SECOND);
    refresh(&node, &first).await.unwrap();
    let pass = verify(&node, &second).await.unwrap();
    let right = Credentials::new("alice", "right");
    let third = node
        .reauthenticate(&pass, &right, &Device::default())
        .await
        .unwrap();
    refusal(node.reauthenticate(&pass, &wrong, &Device::default()).await);
    let pass = verify(&node, &third).await.unwrap();
    node.revoke_token(&pass).await.unwrap();
    refusal(verify(&node, &third).await);
    node.verifier().ended(&pass).await;
    // Every one of them is counted, also those of a flood that are not traced.
    for _ in 0..100 {
        refusal(
            node.verifier()
                .verify("nonsense", &Requirements::new())
                .await,
        );
    }
    world.clock.advance(31 * SECOND);
    refusal(refresh(&node, &first).await);
    let other = login(&node, "bob").await;
    node.logout(other.refresh_token.as_str()).await.unwrap();
    let strict = Staleness::Strict;
    handle.inject_everywhere(DOWN);
    for _ in 0..2 {
        verify_with(&node, &first, strict).await.unwrap_err();
        verify_with(&node, &first, Staleness::Within(Duration::ZERO))
            .await
            .unwrap_err();
    }
    node.logout(first.access_token.as_str()).await.unwrap_err();

    let expected = [
        ("gatepass_connections_ended_total reason=revoked", 1),
        ("gatepass_denylist_stale_total", 2),
        ("gatepass_logins_refused_total reason=bad_credentials", 1),
        ("gatepass_pulls_failed_total", 2),
        (
            "gatepass_reauthentications_refused_total reason=bad_credentials",
            1,
        ),
        ("gatepass_refreshes_refused_total reason=reused", 1),
        ("gatepass_sessions_ended_total reason=logout", 1),
        ("gatepass_sessions_ended_total reason=reuse", 1),
        ("gatepass_sessions_issued_total", 2),
        ("gatepass_sessions_reauthenticated_total", 1),
        ("gatepass_sessions_recovered_total", 1),
        ("gatepass_sessions_refreshed_total", 2),
        ("gatepass_sessions_replayed_total", 2),
        ("gatepass_sessions_reuse_detected_total", 1),
        ("gatepass_store_unavailable_total operation=end", 1),
        ("gatepass_store_unavailable_total operation=pull", 1),
        ("gatepass_store_unavailable_total operation=status", 2),
        ("gatepass_tokens_refused_total reason=malformed", 100),
        ("gatepass_tokens_refused_total reason=revoked", 1),
        ("gatepass_tokens_revoked_total", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(recorded.counters(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_shown_while_pulls_fail_or_hang_and_after() {
    const LAG: &str = "gatepass_replica_lag_seconds";
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let handle = store.clone();
    let node = builder(store, &clock).build().await.unwrap();
    let ended = login(&node, "alice").await;
    node.logout(ended.access_token.as_str()).await.unwrap();
    tokio::time::sleep(MINUTE).await;
    assert!(recorded.gauge(LAG).abs() < f64::EPSILON);
    assert!((recorded.gauge("gatepass_replica_entries") - 1.0).abs() < f64::EPSILON);
    for fault in [DOWN, StoreFault::Hang] {
        handle.inject(Op::Pull, fault);
        tokio::time::sleep(SECOND).await;
        for lag in [3.0, 6.0] {
            clock.advance(3 * SECOND);
            tokio::time::sleep(SECOND).await;
            assert!(
                (recorded.gauge(LAG) - lag).abs() < f64::EPSILON,
                "{fault:?}"
            );
        }
        clock.step_wall_back(MINUTE);
        tokio::time::sleep(SECOND).await;
        assert!(recorded.gauge(LAG).is_infinite());
        handle.heal();
        // A pull that hangs is given up first.
        tokio::time::sleep(5 * MINUTE).await;
        assert!(recorded.gauge(LAG).abs() < f64::EPSILON, "{fault:?}");
    }
}

#[tokio::test]
async fn going_on_without_the_store_is_told_each_time_that_it_begins() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let world = World::sqlite();
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    let node = builder(store, &world.clock).danger_judge_by_stale_revocations(60 * MINUTE);
    let node = node.max_staleness(MINUTE).build().await.unwrap();
    for times in 1..=2 {
        let issued = login(&node, "alice").await;
        handle.inject_everywhere(DOWN);
        world.clock.advance(2 * MINUTE);
        for _ in 0..3 {
            verify(&node, &issued).await.unwrap();
        }
        let told = recorded.count("gatepass_denylist_judging_stale_total");
        assert_eq!(told, times);
        handle.heal();
        verify_with(&node, &issued, Staleness::Within(Duration::ZERO))
            .await
            .unwrap();
    }
    assert_eq!(recorded.count("gatepass_denylist_stale_total"), 0);
}
