//! A log that is another one than before: what is known stays, and is judged by until all of the
//! new log was read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    Authority, Clock, Error, Issued, KeySet, MasterSecret, MemoryStore, Refusal, Requirements,
    SessionId, Staleness, StoreError, Verifier, async_trait,
    keys::SigningKey,
    store::{
        Cursor, GrantVersion, PullResult, Revocation, RevocationLog, RevocationTarget,
        StoreErrorKind, TokenId, TokenStatus,
    },
};
use gatepass_testkit::{ManualClock, Op, TestStore};
use tempfile::TempDir;
use test_support::world::{
    HOUR, MINUTE, SECOND, SECRET, Store, Ticking, builder, login, refusal, sqlite, verify,
    verify_with,
};

use crate::revocation::lease::{BOUND, DOWN, Node};

/// A node whose store is about to be replaced by another one.
struct FailingOver {
    node: Node,
    clock: ManualClock,
    switch: TestStore,
    new: Store,
    /// Goes after the stores.
    _directory: TempDir,
}

impl FailingOver {
    async fn begin() -> Self {
        let (directory, clock) = (TempDir::new().unwrap(), ManualClock::new());
        let old: Store = Arc::new(sqlite(&directory, "old.db", &clock));
        let new: Store = Arc::new(sqlite(&directory, "new.db", &clock));
        let switch = TestStore::new(old);
        let node = Node::new(&(Arc::new(switch.clone()) as Store), &clock).await;
        Self {
            node,
            clock,
            switch,
            new,
            _directory: directory,
        }
    }

    fn fail_over(&self) {
        self.switch.replace(Arc::clone(&self.new));
    }
}

#[tokio::test]
async fn a_reset_reloads_the_log_and_forgets_nothing_that_was_known_here() {
    let stores = FailingOver::begin().await;
    let FailingOver { node, clock, .. } = &stores;
    let authority = &node.authority;
    let lost = login(authority, "alice").await;
    authority.logout(lost.access_token.as_str()).await.unwrap();

    stores.fail_over();
    let other = builder(Arc::clone(&stores.new), clock)
        .build()
        .await
        .unwrap();
    let revoked_there = login(&other, "alice").await;
    other
        .logout(revoked_there.access_token.as_str())
        .await
        .unwrap();
    let [before, during, within, live] = [
        login(authority, "alice").await,
        login(authority, "alice").await,
        login(authority, "alice").await,
        login(authority, "alice").await,
    ];
    let logout = |issued: &Issued| {
        let token = issued.access_token.as_str().to_owned();
        async move { authority.logout(&token).await.unwrap() }
    };
    let requirements = Staleness::Within(Duration::ZERO);
    clock.advance(SECOND);

    // First comes the answer that this is another log, then that log.
    let reset = node.handle.hold_after(Op::Pull);
    let renewal = tokio::spawn({
        let (authority, live) = (authority.clone(), live.clone());
        async move { verify_with(&authority, &live, requirements).await }
    });
    reset.reached().await;
    logout(&before).await;
    let read = node.handle.hold_after(Op::Pull);
    reset.release();
    read.reached().await;
    // The log was read, and this is not in what was read.
    logout(&during).await;
    let pass = verify(authority, &within).await.unwrap();
    authority.revoke_token(&pass).await.unwrap();
    assert_eq!(refusal(verify(authority, &lost).await), Refusal::Revoked);
    node.handle.inject(Op::Pull, DOWN);
    read.release();
    renewal.await.unwrap().unwrap();

    let (_, calls) = node
        .calls(async {
            // Revocations from the new log, those made here meanwhile, and those that only this
            // node still knows.
            for issued in [&revoked_there, &before, &during, &within, &lost] {
                assert_eq!(refusal(verify(authority, issued).await), Refusal::Revoked);
            }
            verify(authority, &live).await.unwrap();
        })
        .await;
    assert_eq!(calls, 0);
}

#[tokio::test]
async fn a_reload_that_fails_leaves_what_was_known() {
    let stores = FailingOver::begin().await;
    let FailingOver { node, clock, .. } = &stores;
    let authority = &node.authority;
    let known = login(authority, "alice").await;
    authority.logout(known.access_token.as_str()).await.unwrap();
    stores.fail_over();
    let live = login(authority, "alice").await;
    clock.advance(SECOND);

    let reset = node.handle.hold_after(Op::Pull);
    let renewal = tokio::spawn({
        let (authority, live) = (authority.clone(), live.clone());
        let requirements = Staleness::Within(Duration::ZERO);
        async move { verify_with(&authority, &live, requirements).await }
    });
    reset.reached().await;
    node.handle.inject(Op::Pull, DOWN);
    reset.release();
    assert!(matches!(renewal.await.unwrap(), Err(Error::Store(_))));
    assert_eq!(refusal(verify(authority, &known).await), Refusal::Revoked);
    authority.logout(live.access_token.as_str()).await.unwrap();
    node.handle.heal();
    clock.advance(BOUND + SECOND);
    let next = login(authority, "alice").await;
    verify(authority, &next).await.unwrap();
    clock.step_wall_back(BOUND + SECOND);
    assert_eq!(refusal(verify(authority, &live).await), Refusal::Revoked);
}

/// A log that answers as it is told, one answer after the other, and remembers what it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Scripted>>);

#[derive(Default)]
struct Scripted {
    answers: VecDeque<Result<PullResult, StoreError>>,
    /// The cursors that it was asked with since the last call of `asked`.
    asked: Vec<Option<String>>,
}

impl Script {
    fn answers(&self, answers: impl IntoIterator<Item = Result<PullResult, StoreError>>) {
        self.0.lock().unwrap().answers.extend(answers);
    }

    /// Takes the cursors that it was asked with since the last call.
    fn asked(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    async fn verifier(&self, clock: impl Clock, bound: Duration) -> Verifier {
        let secret = MasterSecret::from_bytes(SECRET).unwrap();
        let keys = KeySet::signing(SigningKey::derived(&secret));
        let verifier = Verifier::builder("https://shop.example", "shop-api", keys, self.clone())
            .clock(clock)
            .max_staleness(bound)
            .poll_interval(bound / 2);
        verifier.build().await.unwrap()
    }
}

#[async_trait]
impl RevocationLog for Script {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let mut script = self.0.lock().unwrap();
        let after = after.map(|cursor| cursor.as_str().to_owned());
        script.asked.push(after.clone());
        // With nothing left to say, there is nothing new.
        let next = after.unwrap_or_else(|| "start".into());
        script
            .answers
            .pop_front()
            .unwrap_or_else(|| last(&next, &[]))
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
    }

    async fn status(
        &self,
        _: SessionId,
        _: TokenId,
        _: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}

fn part(next: &str, revoked: &[&Issued], more: bool) -> Result<PullResult, StoreError> {
    let entries = revoked.iter().map(|issued| Revocation {
        target: RevocationTarget::Session(issued.session_id),
        until: issued.expires_at,
    });
    let entries = entries.collect();
    Ok(PullResult::entries(entries, Cursor::new(next), more))
}

/// A part that more follow.
fn first(next: &str, revoked: &[&Issued]) -> Result<PullResult, StoreError> {
    part(next, revoked, true)
}

/// The last part.
fn last(next: &str, revoked: &[&Issued]) -> Result<PullResult, StoreError> {
    part(next, revoked, false)
}

fn down() -> Result<PullResult, StoreError> {
    Err(StoreError::new(StoreErrorKind::Unavailable))
}

fn places<const N: usize>(places: [Option<&str>; N]) -> Vec<Option<String>> {
    places.map(|place| place.map(str::to_owned)).into()
}

/// An authority that logs users in, over a store of its own.
async fn issuer(clock: &(impl Clock + Clone)) -> Authority {
    let store = MemoryStore::with_clock(clock.clone());
    let issuer = builder(store, &ManualClock::new()).clock(clock.clone());
    issuer.build().await.unwrap()
}

async fn judge(verifier: &Verifier, issued: &Issued, staleness: Staleness) -> Result<(), Error> {
    let requirements = Requirements::new().staleness(staleness);
    let token = issued.access_token.as_str();
    verifier.verify(token, &requirements).await.map(drop)
}

const NOW: Staleness = Staleness::Within(Duration::ZERO);

#[tokio::test]
async fn a_reload_that_fails_goes_on_where_it_was_and_renews_the_lease_at_its_end() {
    let clock = ManualClock::new();
    let issuer = issuer(&clock).await;
    let [known, lost, next, live] = [
        login(&issuer, "alice").await,
        login(&issuer, "alice").await,
        login(&issuer, "alice").await,
        login(&issuer, "alice").await,
    ];
    let log = Script::default();
    log.answers([last("old", &[&known, &lost])]);
    let verifier = log.verifier(clock.clone(), MINUTE).await;
    clock.advance(SECOND);
    log.asked();
    log.answers([
        Ok(PullResult::Reset),
        first("one", &[]),
        first("two", &[&next]),
        down(),
    ]);
    judge(&verifier, &live, NOW).await.unwrap_err();
    assert_eq!(
        log.asked(),
        places([Some("old"), None, Some("one"), Some("two")])
    );
    let bounded = Staleness::Bounded;
    for issued in [&known, &lost, &next] {
        let judged = judge(&verifier, issued, bounded).await;
        assert_eq!(refusal(judged), Refusal::Revoked);
    }
    judge(&verifier, &live, bounded).await.unwrap();
    // No part renews it but the last.
    assert_eq!(verifier.health().lag, Some(SECOND));

    log.answers([first("three", &[]), last("four", &[&known])]);
    clock.advance(SECOND);
    judge(&verifier, &live, NOW).await.unwrap();
    assert_eq!(log.asked(), places([Some("two"), Some("three")]));
    assert_eq!(verifier.health().lag, Some(Duration::ZERO));
    for issued in [&known, &lost, &next] {
        let judged = judge(&verifier, issued, bounded).await;
        assert_eq!(refusal(judged), Refusal::Revoked);
    }
}

#[tokio::test]
async fn a_log_that_objects_to_its_own_cursors_is_not_read_for_ever() {
    let clock = ManualClock::new();
    let live = login(&issuer(&clock).await, "alice").await;
    let log = Script::default();
    let verifier = log.verifier(clock.clone(), MINUTE).await;
    for objection in [
        vec![Ok(PullResult::Reset), Ok(PullResult::Reset)],
        vec![
            Ok(PullResult::Reset),
            first("one", &[]),
            Ok(PullResult::Reset),
        ],
    ] {
        clock.advance(SECOND);
        log.asked();
        let asks = objection.len();
        log.answers(objection);
        judge(&verifier, &live, NOW).await.unwrap_err();
        assert_eq!(log.asked().len(), asks);
        // It is read again from its start.
        clock.advance(SECOND);
        judge(&verifier, &live, NOW).await.unwrap();
        assert_eq!(log.asked(), places([None]));
    }
}

#[tokio::test]
async fn a_wall_clock_that_goes_back_has_the_log_read_from_its_start() {
    let clock = ManualClock::new();
    let issuer = issuer(&clock).await;
    let log = Script::default();
    let verifier = log.verifier(clock.clone(), MINUTE).await;
    let slew = Duration::from_millis(999);
    // The last pull was an hour ahead, so that it may have forgotten an hour too early.
    for (back, from) in [(slew, Some("start")), (2 * SECOND, None), (HOUR, None)] {
        clock.step_wall_back(back);
        let live = login(&issuer, "alice").await;
        log.asked();
        judge(&verifier, &live, Staleness::Bounded).await.unwrap();
        assert_eq!(log.asked(), places([from]), "{back:?}");
    }
    // Once begun, that goes on where it was, like any other.
    clock.step_wall_back(HOUR);
    let live = login(&issuer, "alice").await;
    log.answers([first("one", &[]), down()]);
    judge(&verifier, &live, Staleness::Bounded)
        .await
        .unwrap_err();
    judge(&verifier, &live, Staleness::Bounded).await.unwrap();
    assert_eq!(log.asked(), places([None, Some("one"), Some("one")]));
}

#[tokio::test(start_paused = true)]
async fn nodes_do_not_all_reload_at_once_unless_they_are_out_of_lease() {
    let bound = 20 * SECOND;
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let clock = Ticking::new();
        let log = Script::default();
        let _verifier = log.verifier(clock.clone(), bound).await;
        log.answers([Ok(PullResult::Reset)]);
        while log.asked().last() != Some(&Some("start".to_owned())) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let reset = clock.monotonic();
        while log.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        pauses.push(clock.monotonic() - reset);
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*most > *least + SECOND, "{pauses:?}");
    // A quarter of what is left of the lease at most, so that the reload itself has time.
    assert!(*most < bound / 4, "{pauses:?}");

    // A request that cannot wait does not.
    let clock = Ticking::new();
    let live = login(&issuer(&clock).await, "alice").await;
    let log = Script::default();
    let verifier = log.verifier(clock.clone(), bound).await;
    log.answers([Ok(PullResult::Reset)]);
    while log.asked().last() != Some(&Some("start".to_owned())) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = clock.monotonic();
    judge(&verifier, &live, NOW).await.unwrap();
    assert_eq!(clock.monotonic(), before);
    assert_eq!(log.asked(), places([None]));

    // Neither does a node whose lease is over.
    log.answers(std::iter::repeat_with(down).take(200));
    tokio::time::sleep(2 * bound).await;
    while log.0.lock().unwrap().answers.pop_front().is_some() {}
    log.answers([Ok(PullResult::Reset)]);
    log.asked();
    tokio::time::sleep(10 * SECOND).await;
    let asked = log.asked();
    assert_eq!(asked.first(), Some(&Some("start".to_owned())));
    assert_eq!(asked.get(1), Some(&None));
    assert!(verifier.health().lag.unwrap() <= 10 * SECOND);
}
