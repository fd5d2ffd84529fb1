use axum::{body::Body, http::Request};
use gatepass::{SessionId, store::RevocationLog};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore, store_contract};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::ServiceExt;

use super::*;
use crate::timed::SLOW;

async fn fresh(clock: ManualClock) -> Timed<MemoryStore> {
    Timed::new(MemoryStore::with_clock(clock))
}

// The suite has one test for each promise of a store.
store_contract!(fresh);

#[tokio::test(start_paused = true)]
async fn a_slow_call_and_one_that_never_returns_are_counted() {
    let within = TestStore::new(MemoryStore::new());
    let store = Timed::new(within.clone());
    let load = async || {
        let loaded = store.load(SessionId::from_bytes([7; 18]));
        timeout(SLOW * 10, loaded).await.is_ok()
    };
    let counts = |calls, slow| {
        let expected = format!("store_calls_total {calls}\nstore_slow_calls_total {slow}\n");
        assert_eq!(store.counts().to_string(), expected);
    };
    assert!(load().await);
    counts(1, 0);
    within.inject(Op::Load, StoreFault::Delay(SLOW));
    assert!(load().await);
    counts(2, 1);
    within.inject(Op::Load, StoreFault::Hang);
    assert!(!load().await);
    counts(3, 2);
}

#[tokio::test]
async fn a_store_within_that_forgets_makes_one_that_forgets() {
    assert!(Timed::new(MemoryStore::new()).is_volatile());
    let durable = TestStore::new(MemoryStore::new()).durable();
    assert!(!Timed::new(durable).is_volatile());
}

#[tokio::test]
async fn a_login_asks_the_store_and_a_page_of_metrics_tells() {
    let store = TestStore::new(MemoryStore::new()).durable();
    let app = app(store.clone()).await.unwrap();
    let login = Request::post("/auth/login").header("content-type", "application/json");
    let login = login.body(Body::from(
        r#"{"username":"alice","password":"wonderland"}"#,
    ));
    let answer = app.clone().oneshot(login.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(store.calls_of(Op::Begin), 1);
    let metrics = Request::get("/metrics").body(Body::empty()).unwrap();
    let metrics = app.oneshot(metrics).await.unwrap().into_body();
    let metrics = metrics.collect().await.unwrap().to_bytes();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let calls = metrics
        .lines()
        .next()
        .unwrap()
        .strip_prefix("store_calls_total ");
    assert!(calls.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
}
