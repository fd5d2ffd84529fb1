//! Gates and tower-http's time-outs: the shorter one answers.

use std::{future::pending, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use gatepass::{Requirements, Staleness};
use gatepass_axum::Auth;
use gatepass_testkit::{Op, StoreFault};
use test_support::world::{HOUR, PATIENCE, SECOND};
use tokio::time::Instant;
use tower_http::timeout::TimeoutLayer;

use crate::rig::{Rig, asked, send};

fn cut_off(after: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, after)
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_cut_off_and_a_refused_request_does_not_wait_for_it() {
    let rig = Rig::start().await;
    let handler = rig.handler();
    let hangs = async move |auth: Auth| {
        handler(auth).await;
        pending::<()>().await;
    };
    let routes = || Router::new().route("/", get(hangs.clone()));
    let bearer = rig.bearer("alice", "").await;
    for app in [
        routes().layer(rig.gate()).layer(cut_off(SECOND)),
        routes().layer(cut_off(SECOND)).layer(rig.gate()),
    ] {
        for (bearer, status, runs, waited) in [
            (None, 401, 0, Duration::ZERO),
            (Some(&*bearer), 504, 1, SECOND),
        ] {
            let began = Instant::now();
            let answer = send(&app, asked("GET", "/", bearer)).await;
            assert_eq!(answer.status, status);
            assert_eq!(rig.runs(), runs);
            assert_eq!(began.elapsed(), waited);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_behind_a_strict_gate_is_answered_by_whoever_waits_shorter() {
    let rig = Rig::start().await;
    let strict = || {
        rig.gate()
            .require(Requirements::new().staleness(Staleness::Strict))
    };
    let routes = || Router::new().route("/", get(rig.handler()));
    let bearer = rig.bearer("alice", "").await;
    rig.store.inject(Op::Status, StoreFault::Hang);
    let patient = Some("store_unavailable".to_owned());
    for (app, status, reason, waited) in [
        (
            routes().layer(strict()).layer(cut_off(HOUR)),
            503,
            patient.clone(),
            PATIENCE,
        ),
        (
            routes().layer(strict()).layer(cut_off(SECOND)),
            504,
            None,
            SECOND,
        ),
        // A time-out layer inside the gate doesn't count the time that the gate takes.
        (
            routes().layer(cut_off(SECOND)).layer(strict()),
            503,
            patient,
            PATIENCE,
        ),
    ] {
        let began = Instant::now();
        let answer = send(&app, asked("GET", "/", Some(&bearer))).await;
        assert_eq!((answer.status, answer.reason()), (status, reason));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert_eq!(began.elapsed(), waited);
        assert_eq!(rig.runs(), 0);
    }
}
