//! Attacks that were tried: each claim survived an attempt to refute it.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Clock, Credentials, Device, Identity, KeySet, MemoryStore,
    Refusal, ReusePolicy, Session, SessionId, Staleness, StoreError, Timestamp, UserUpdate,
    Verifier, async_trait,
    keys::SigningKey,
    store::{Cursor, PullResult, RevocationLog, SessionStore, TokenId, TokenStatus},
    wire::{Endpoints, RequestBody, RequestHead},
};
use gatepass_testkit::{Fault, ManualClock, Op, TestStore};
use test_support::world::{
    DAY, HOUR, MINUTE, SECOND, Store, World, builder, login, refresh, refusal, subject, verify,
    verify_with,
};
use tokio::{task::JoinSet, time::Instant};

const TIMEOUT: Duration = Duration::from_secs(1);

/// tokio's clock, which tests pause.
#[derive(Clone)]
struct Ticking(Instant);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        ManualClock::START + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_hang_up_do_not_prolong_the_wait_of_others() {
    let clock = Ticking(Instant::now());
    let faulty = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let handle = faulty.clone();
    let node = builder(faulty, &ManualClock::new())
        .clock(clock)
        .store_timeout(TIMEOUT);
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    handle.inject_everywhere(Fault::Hang);
    tokio::time::sleep(5 * SECOND).await;

    // At every phase of the follower's own pulls.
    for _ in 0..15 {
        tokio::time::sleep(SECOND / 10).await;
        // Each waits in line, and hangs up a moment before the pull that it has begun by then times
        // out.
        let nearly = TIMEOUT * 9 / 10;
        let mut others = JoinSet::new();
        for number in 1..=20 {
            let (node, first) = (node.clone(), first.clone());
            others.spawn(async move {
                let _ = tokio::time::timeout(nearly * number, verify(&node, &first)).await;
            });
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        verify(&node, &first).await.unwrap_err();
        assert!(began.elapsed() <= 2 * TIMEOUT, "{:?}", began.elapsed());
        others.shutdown().await;
    }
}

async fn a_session_that_nobody_can_refresh_pushes_out_no_other(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock)
        .idle_ttl(HOUR)
        .max_sessions(NonZeroU32::new(2));
    let node = node.build().await.unwrap();
    let used = login(&node, "alice").await;
    world.clock.advance(MINUTE);
    let _abandoned = login(&node, "alice").await;
    world.clock.advance(50 * MINUTE);
    let used = refresh(&node, &used).await.unwrap();
    world.clock.advance(11 * MINUTE);
    assert_eq!(
        node.sessions(&subject("alice"), None)
            .await
            .unwrap()
            .sessions
            .len(),
        1
    );

    login(&node, "alice").await;
    refresh(&node, &used).await.unwrap();
}

/// Waits until the session has ended; for ever if it does not.
async fn ended(store: &Store, id: SessionId) {
    while store.load(id).await.unwrap().0.unwrap().ended.is_none() {
        tokio::task::yield_now().await;
    }
}

async fn a_logout_that_arrived_is_done_even_if_its_client_hangs_up(world: World) {
    let faulty = TestStore::new(Arc::clone(&world.store));
    let gate = faulty.clone().hold_before(Op::End);
    let node = builder(faulty, &world.clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    let logout = tokio::spawn({
        let (node, token) = (node.clone(), first.refresh_token.clone());
        async move { node.logout(token.as_str()).await }
    });
    gate.reached().await;
    logout.abort();
    assert!(logout.await.unwrap_err().is_cancelled());
    gate.release();
    ended(&world.store, first.session_id).await;
    assert_eq!(refusal(refresh(&node, &first).await), Refusal::SessionEnded);
}

async fn a_thief_who_hangs_up_is_detected_all_the_same(world: World) {
    let faulty = TestStore::new(Arc::clone(&world.store));
    let handle = faulty.clone();
    let node = builder(faulty, &world.clock).build().await.unwrap();
    let stolen = login(&node, "alice").await;
    let second = refresh(&node, &stolen).await.unwrap();
    world.clock.advance(MINUTE);
    let third = refresh(&node, &second).await.unwrap();
    world.clock.advance(MINUTE);
    let gate = handle.hold_before(Op::End);
    let replay = tokio::spawn({
        let node = node.clone();
        async move { refresh(&node, &stolen).await }
    });
    gate.reached().await;
    replay.abort();
    assert!(replay.await.unwrap_err().is_cancelled());
    gate.release();
    ended(&world.store, third.session_id).await;
    assert_eq!(refusal(refresh(&node, &third).await), Refusal::SessionEnded);
}

/// Users who are read again when the test says so.
#[derive(Clone)]
struct Waiting {
    asked: Arc<AtomicU32>,
    answers: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Authenticator for Waiting {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        Ok(UserUpdate::Unchanged)
    }
}

async fn a_refresh_that_lost_its_race_ends_no_session_however_slow_the_users_are(world: World) {
    let users = Waiting {
        asked: Arc::default(),
        answers: Arc::new(tokio::sync::Semaphore::new(0)),
    };
    let node = builder(Arc::clone(&world.store), &world.clock)
        .reuse(ReusePolicy {
            overlap: 2 * SECOND,
            recovery: Duration::ZERO,
            ..ReusePolicy::default()
        })
        .authenticator(users.clone());
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    // Two tabs at once. The users are read for both while the token is still unspent.
    let mut tabs = JoinSet::new();
    for _ in 0..2 {
        let (node, first) = (node.clone(), first.clone());
        tabs.spawn(async move { refresh(&node, &first).await });
    }
    while users.asked.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    users.answers.add_permits(1);
    tabs.join_next().await.unwrap().unwrap().unwrap();
    world.clock.advance(3 * SECOND);
    // The second tab loses the race, and its user is read once more for the answer to it.
    users.answers.add_permits(2);
    tabs.join_next().await.unwrap().unwrap().unwrap();
}

test_support::on_both_stores! {
    a_session_that_nobody_can_refresh_pushes_out_no_other
    a_logout_that_arrived_is_done_even_if_its_client_hangs_up
    a_thief_who_hangs_up_is_detected_all_the_same
    a_refresh_that_lost_its_race_ends_no_session_however_slow_the_users_are
}

/// A process that starts while the clock is wrong purges by it from the first minute on.
#[tokio::test(start_paused = true)]
async fn nothing_that_ended_lives_again_where_a_process_starts_while_the_clock_is_ahead() {
    let clock = ManualClock::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let node = builder(Arc::clone(&store), &clock).purge_interval(SECOND);
    let node = node.build().await.unwrap();
    tokio::time::sleep(5 * SECOND).await;
    let revoked = login(&node, "alice").await;
    let live = login(&node, "alice").await;
    node.logout(revoked.access_token.as_str()).await.unwrap();
    drop(node);

    let right = clock.now();
    clock.suspend(400 * DAY);
    let wrong = builder(Arc::clone(&store), &clock).purge_interval(SECOND);
    let wrong = wrong.build().await.unwrap();
    clock.advance(5 * SECOND);
    tokio::time::sleep(5 * SECOND).await;
    drop(wrong);
    clock.set_wall(right + 5 * SECOND);

    let node = builder(Arc::clone(&store), &clock).build().await.unwrap();
    assert_eq!(refusal(verify(&node, &revoked).await), Refusal::Revoked);
    refresh(&node, &live).await.unwrap();
}

/// A log that sends a reader without a cursor back to the start.
struct Lost;

#[async_trait]
impl RevocationLog for Lost {
    async fn pull(&self, _: Option<&Cursor>) -> Result<PullResult, StoreError> {
        Ok(PullResult::Reset)
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
    }

    async fn status(&self, _: SessionId, _: TokenId) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}

#[test]
fn a_log_that_resets_for_ever_fails_the_build_and_stops_no_thread() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
        let keys = KeySet::verifying([key.verifying_key().clone()]);
        let built = runtime.block_on(Verifier::builder("i", "a", keys, Lost).build());
        done.send(built.is_err()).unwrap();
    });
    assert!(finished.recv_timeout(5 * SECOND).unwrap());
}

/// A long log, in parts of which each takes a while.
struct Long {
    parts: Arc<AtomicU32>,
    takes: Duration,
    /// The farthest part that a reader has asked for.
    asked: Arc<AtomicU32>,
}

#[async_trait]
impl RevocationLog for Long {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        tokio::time::sleep(self.takes).await;
        let parts = self.parts.load(Ordering::SeqCst);
        let at: u32 = after.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let next = (at + 1).min(parts);
        self.asked.fetch_max(next, Ordering::SeqCst);
        let cursor = Cursor::new(next.to_string());
        Ok(PullResult::entries(Vec::new(), cursor, next < parts))
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
    }

    async fn status(&self, _: SessionId, _: TokenId) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_many_parts_is_loaded_however_many_they_are() {
    let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
    let keys = KeySet::verifying([key.verifying_key().clone()]);
    let log = Long {
        parts: Arc::new(AtomicU32::new(200)),
        takes: SECOND / 50,
        asked: Arc::default(),
    };
    Verifier::builder("i", "a", keys, log)
        .build()
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_far_behind_catches_up_however_long_it_takes() {
    let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
    let keys = KeySet::verifying([key.verifying_key().clone()]);
    let parts = Arc::new(AtomicU32::new(1));
    let log = Long {
        parts: Arc::clone(&parts),
        takes: SECOND / 50,
        asked: Arc::default(),
    };
    let asked = Arc::clone(&log.asked);
    let _verifier = Verifier::builder("i", "a", keys, log)
        .build()
        .await
        .unwrap();
    parts.store(500, Ordering::SeqCst);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(asked.load(Ordering::SeqCst), 500);
}

/// An ended session must not end others, not even within the staleness of another node.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_elsewhere_manages_no_others() {
    let world = World::sqlite();
    let users = Waiting {
        asked: Arc::default(),
        answers: Arc::new(tokio::sync::Semaphore::new(0)),
    };
    let faulty = TestStore::new(Arc::clone(&world.store));
    faulty.clone().inject(Op::Changed, Fault::Hang);
    let node = builder(faulty, &world.clock)
        .authenticator(users)
        .max_staleness(HOUR)
        .poll_interval(HOUR / 2);
    let node = node.build().await.unwrap();
    let other = world.node().await;
    let thief = login(&node, "alice").await;
    let owner = login(&node, "alice").await;
    other.logout(thief.access_token.as_str()).await.unwrap();

    let endpoints = Endpoints::new(node.clone());
    let bearer = format!("Bearer {}", thief.access_token.as_str());
    for (method, path) in [
        ("POST", "/auth/logout-all".to_owned()),
        ("DELETE", "/auth/sessions".to_owned()),
        ("DELETE", format!("/auth/sessions/{}", owner.session_id)),
        ("GET", "/auth/sessions".to_owned()),
    ] {
        let head = RequestHead::collect(method, &path, |name| {
            (name == "authorization")
                .then_some(bearer.as_bytes())
                .into_iter()
        });
        let reply = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!(reply.status(), 401, "{method} {path}");
    }
    verify_with(&node, &owner, Staleness::Strict).await.unwrap();
}

/// A clock that is set back by less than has passed makes nothing younger.
#[tokio::test(start_paused = true)]
async fn a_small_step_back_does_not_prolong_the_lease() {
    let clock = ManualClock::new();
    let store: Store = Arc::new(TestStore::new(MemoryStore::with_clock(clock.clone())).durable());
    let faulty = TestStore::new(Arc::clone(&store));
    let handle = faulty.clone();
    handle.inject(Op::Changed, Fault::Hang);
    let node = builder(faulty, &clock)
        .max_staleness(HOUR)
        .poll_interval(HOUR / 2);
    let node = node.build().await.unwrap();
    let other = builder(store, &clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    other.logout(first.access_token.as_str()).await.unwrap();
    clock.advance(HOUR + SECOND);
    clock.step_wall_back(55 * MINUTE);
    assert_eq!(refusal(verify(&node, &first).await), Refusal::Revoked);
}
