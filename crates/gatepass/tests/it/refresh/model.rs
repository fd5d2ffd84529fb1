//! Rotation compared with a model: a few lines that keep every generation of every session, and
//! know nothing of how gatepass does it.
//!
//! The model also asserts two promises of its own rules. Within the overlap of being spent, no
//! refresh token is taken for a stolen one. A session rotates at most once in that time, also where
//! the user proves again who they are. Both hold as long as the store loses no write and its clock
//! goes back by no more than [`Session::CLOCK_JITTER`](gatepass::Session::CLOCK_JITTER).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gatepass_testkit::ManualClock;
use proptest::{prelude::*, test_runner::TestRunner};
use test_support::world::World;
use tokio::runtime::Runtime;

use crate::refresh::model::{
    bench::Bench,
    run::Run,
    session::Allowed,
    steps::{Step, steps},
};

mod bench;
mod checking;
mod run;
mod session;
mod steps;
#[test]
fn sessions_in_memory_do_what_the_model_does() {
    let bench = holds_in(World::memory(), 512);
    bench.reached.lock().unwrap().assert_all(&REACHED);
}

#[test]
fn sessions_in_sqlite_do_what_the_model_does() {
    // Fewer, since each step waits for the disk. The run in memory shows where the sequences go.
    holds_in(World::sqlite(), 96);
}

/// The outcomes that every run in memory must reach. Otherwise the sequences do not go where they
/// should.
const REACHED: [(&str, &[&str]); 5] = [
    (
        "login",
        &["advanced", "made_room", "bad_credentials", "invalid_scope"],
    ),
    (
        "refresh",
        &[
            "advanced",
            "jumped",
            "kept",
            "replayed",
            "recovered",
            "reused",
            "session_ended",
            "wrong_client",
            "refresh_expired",
            "invalid_scope",
            "unknown_key",
        ],
    ),
    (
        "resume",
        &[
            "valid",
            "advanced",
            "kept",
            "replayed",
            "recovered",
            "reused",
            "revoked",
            "session_ended",
            "refresh_expired",
            "ambiguous",
            "malformed",
            "wrong_type",
            "unknown_key",
            "not_yet_valid",
            "wrong_client",
        ],
    ),
    (
        "renew",
        &[
            "renewed",
            "revoked",
            "expired",
            "not_yet_valid",
            "session_ended",
            "wrong_client",
            "unknown_key",
        ],
    ),
    (
        "reauthenticate",
        &[
            "advanced",
            "kept",
            "bad_credentials",
            "revoked",
            "wrong_client",
        ],
    ),
];

fn holds_in(world: World, cases: u32) -> Bench {
    let runtime = Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::new(world));
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(run(&bench, &steps));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    bench
}

async fn run(bench: &Bench, steps: &[Step]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    bench.world.clock.set_wall(ManualClock::START);
    let mut run = Run::new(bench, number);
    for step in steps {
        // Without a live session there is little left to see.
        if !run.goes_on() {
            run.step(&LOGIN).await;
        }
        run.step(step).await;
        run.compare(4).await;
    }
    run.compare(usize::MAX).await;
    bench.world.clock.advance(Duration::from_secs(3));
    run.all_know();
    run.compare(usize::MAX).await;
}

const LOGIN: Step = Step::Login {
    client: 0,
    plain: true,
    allowed: Allowed {
        scopes: 0b0111,
        ttl: None,
    },
    limit: None,
};
