//! Attempts to log in.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Clock, LoginThrottle, MemoryStore, ThrottledBy,
    store::{AttemptKey, AttemptOutcome, CountAttempt, SessionStore, SettleAttempt},
};
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::given::{Given, MILLISECOND, MINUTE, SECOND};
use crate::clock::ManualClock;

const THROTTLE: LoginThrottle = LoginThrottle {
    per_pair: 3,
    per_name: 5,
    per_address: 8,
    first_delay: SECOND,
    max_delay: Duration::from_secs(10),
    known_for: Duration::from_secs(1000),
};

const COUNTED: AttemptOutcome = AttemptOutcome::Counted { known: false };
const KNOWN: AttemptOutcome = AttemptOutcome::Counted { known: true };

/// The refusal of an attempt that must wait for this many seconds.
fn refused(by: ThrottledBy, secs: u64) -> AttemptOutcome {
    let retry_after = Duration::from_secs(secs);
    AttemptOutcome::Refused { by, retry_after }
}

fn key(kind: u8, name: u8, address: u8) -> AttemptKey {
    // A store could take these bytes for the end of a text, or for invalid text.
    let mut bytes = [0xff; 16];
    (bytes[0], bytes[1], bytes[15]) = (kind, name, address);
    bytes[7] = 0;
    AttemptKey::from_bytes(bytes)
}

/// An attempt with this name from this address, or from an unknown one.
fn attempt(name: u8, address: impl Into<Option<u8>>) -> CountAttempt {
    let mut attempt = CountAttempt::new(key(b'n', name, 0), THROTTLE);
    attempt.address_and_pair = address.into().map(|address| {
        let of_pair = key(b'p', name, address);
        (key(b'a', 0, address), of_pair)
    });
    attempt
}

async fn count<S: SessionStore>(given: &Given<S>, attempt: CountAttempt) -> AttemptOutcome {
    given.store.count_attempt(attempt).await.unwrap()
}

async fn counted<S: SessionStore>(given: &Given<S>, attempt: CountAttempt, times: u32) {
    for _ in 0..times {
        assert_eq!(count(given, attempt).await, COUNTED);
    }
}

async fn settle<S: SessionStore>(
    given: &Given<S>,
    attempt: CountAttempt,
    known: bool,
    succeeded: bool,
) {
    let mut settled = SettleAttempt::new(attempt, known);
    settled.succeeded = succeeded;
    given.store.settle_attempt(settled).await.unwrap();
}

/// The delay doubles with each attempt beyond the free ones, up to the longest delay.
pub async fn attempts_are_free_up_to_the_bound_and_wait_longer_each_time<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let guess = attempt(1, 1);
    counted(&given, guess, 3).await;
    // The store forgets one attempt every ten seconds, so a delay of eight is too short four times.
    for delay in [1, 2, 4, 8, 8, 8, 8, 10, 10, 10] {
        let last = count(&given, guess).await;
        assert_eq!(last, refused(ThrottledBy::Pair, delay));
        given
            .clock
            .advance(Duration::from_secs(delay) - MILLISECOND);
        let retry_after = MILLISECOND;
        let by = ThrottledBy::Pair;
        let early = AttemptOutcome::Refused { by, retry_after };
        assert_eq!(count(&given, guess).await, early);
        given.clock.advance(MILLISECOND);
        assert_eq!(count(&given, guess).await, COUNTED);
    }
}

/// A client that keeps asking waits no longer than one that asks once.
pub async fn an_attempt_that_is_refused_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    counted(&given, attempt(1, 1), 3).await;
    for _ in 0..20 {
        let outcome = count(&given, attempt(1, 1)).await;
        assert_eq!(outcome, refused(ThrottledBy::Pair, 1));
    }
    // A refused attempt counts neither for the name nor for the address.
    counted(&given, attempt(1, 2), 2).await;
    counted(&given, attempt(2, 1), 3).await;
    counted(&given, attempt(3, 1), 2).await;
    given.clock.advance(SECOND);
    let last = count(&given, attempt(4, 1)).await;
    assert_eq!(last, COUNTED);
}

/// The store forgets one attempt per longest delay.
pub async fn attempts_are_forgotten_one_after_the_other<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let guess = attempt(1, None);
    counted(&given, guess, 5).await;
    given.clock.advance(Duration::from_secs(20));
    counted(&given, guess, 2).await;
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Name, 1));
    given.clock.advance(Duration::from_secs(50));
    counted(&given, guess, 5).await;
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Name, 1));
}

/// Parallel guesses on any number of nodes gain nothing over guesses one after the other.
pub async fn of_many_attempts_at_once_as_many_count_as_are_free<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Arc::new(Given::fresh(fresh).await);
    let guesses = (0..48_u8).map(|number| {
        let given = Arc::clone(&given);
        // From eight addresses, each with its own pair.
        tokio::spawn(async move { count(&given, attempt(1, number % 8)).await })
    });
    let mut admitted = 0;
    for guess in Vec::from_iter(guesses) {
        admitted += u32::from(guess.await.unwrap() == COUNTED);
    }
    assert_eq!(admitted, THROTTLE.per_name);

    let guesses = (0..48_u8).map(|number| {
        let given = Arc::clone(&given);
        tokio::spawn(async move { count(&given, attempt(100 + number, 9)).await })
    });
    let mut admitted = 0;
    for guess in Vec::from_iter(guesses) {
        admitted += u32::from(guess.await.unwrap() == COUNTED);
    }
    assert_eq!(admitted, THROTTLE.per_address);
}

/// A login clears the failures of its pair of name and address. Other failures with the name or
/// from the address stay, or else a thief with an account could guess without limit.
pub async fn a_login_clears_its_pair_and_takes_its_attempt_back<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    counted(&given, attempt(1, 1), 2).await;
    let own = attempt(7, 1);
    for _ in 0..10 {
        let known = count(&given, own).await == KNOWN;
        settle(&given, own, known, true).await;
    }
    counted(&given, attempt(1, 1), 1).await;
    settle(&given, attempt(1, 1), false, true).await;
    assert_eq!(count(&given, attempt(1, 1)).await, KNOWN);
    // The name and the address each keep two of the counted attempts.
    counted(&given, attempt(1, 2), 3).await;
    let more = count(&given, attempt(1, 3)).await;
    assert_eq!(more, refused(ThrottledBy::Name, 1));
    counted(&given, attempt(2, 1), 3).await;
    counted(&given, attempt(3, 1), 3).await;
    let more = count(&given, attempt(4, 1)).await;
    assert_eq!(more, refused(ThrottledBy::Address, 1));
}

/// Strangers can't lock a user out at an address where the user has logged in before.
pub async fn a_known_pair_is_bound_by_its_own_attempts_alone<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let own = attempt(1, 1);
    counted(&given, own, 1).await;
    settle(&given, own, false, true).await;
    for stranger in 2..7 {
        count(&given, attempt(1, stranger)).await;
        count(&given, attempt(stranger, 1)).await;
        count(&given, attempt(stranger, 1)).await;
    }
    let stranger = count(&given, attempt(1, 8)).await;
    assert_eq!(stranger, refused(ThrottledBy::Name, 1));
    let stranger = count(&given, attempt(8, 1)).await;
    assert_eq!(stranger, refused(ThrottledBy::Address, 1));

    for _ in 0..3 {
        assert_eq!(count(&given, own).await, KNOWN);
    }
    assert_eq!(count(&given, own).await, refused(ThrottledBy::Pair, 1));
    given.clock.advance(SECOND);
    assert_eq!(count(&given, own).await, KNOWN);
    settle(&given, own, true, true).await;
    // The known pair counts for nothing else.
    given.clock.advance(THROTTLE.known_for - MILLISECOND);
    assert_eq!(count(&given, own).await, KNOWN);
    given.clock.advance(MILLISECOND);
    assert_eq!(count(&given, own).await, COUNTED);
}

/// An attempt is no guess if the password was not checked, for example because the users could not
/// be read.
pub async fn an_attempt_that_is_taken_back_never_was<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let guess = attempt(1, 1);
    for _ in 0..20 {
        counted(&given, guess, 1).await;
        settle(&given, guess, false, false).await;
    }
    counted(&given, guess, 3).await;
    settle(&given, guess, false, false).await;
    // The delay that began with it is over as well.
    counted(&given, guess, 1).await;
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Pair, 1));
    // The store has forgotten the key, so it takes nothing back.
    given.clock.advance(MINUTE);
    given.purge().await;
    settle(&given, guess, false, false).await;
    counted(&given, guess, 3).await;
}

/// The client must wait for all bounds, so it learns of the longest wait.
pub async fn the_bound_with_the_longest_wait_is_told<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    counted(&given, attempt(1, None), 5).await;
    given.clock.advance(SECOND);
    counted(&given, attempt(1, None), 1).await;
    for name in 10..18 {
        counted(&given, attempt(name, 1), 1).await;
    }
    let outcome = count(&given, attempt(1, 1)).await;
    assert_eq!(outcome, refused(ThrottledBy::Name, 2));
    given.clock.advance(SECOND);
    let outcome = count(&given, attempt(1, 1)).await;
    assert_eq!(outcome, refused(ThrottledBy::Name, 1));
    let outcome = count(&given, attempt(2, 1)).await;
    assert_eq!(outcome, COUNTED);
}

/// A purge at the wrong time would let guesses through, or keep records of strangers forever.
pub async fn a_record_of_attempts_outlives_a_purge_until_nothing_needs_it<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    counted(&given, attempt(1, None), 5).await;
    counted(&given, attempt(2, 1), 1).await;
    settle(&given, attempt(2, 1), false, true).await;
    given.purge().await;
    let outcome = count(&given, attempt(1, None)).await;
    assert_eq!(outcome, refused(ThrottledBy::Name, 1));
    // Longer than the store remembers attempts, and shorter than the pair is known.
    given.clock.advance(THROTTLE.known_for - SECOND);
    given.purge().await;
    assert_eq!(count(&given, attempt(2, 1)).await, KNOWN);
    given.clock.advance(MINUTE);
    given.purge().await;
    assert_eq!(given.purge().await, 0);
    counted(&given, attempt(2, 1), 1).await;
}

/// A clock that was ahead leaves records in the future.
pub async fn a_clock_that_is_set_back_delays_no_attempt_for_longer<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let guess = attempt(1, None);
    counted(&given, guess, 5).await;
    // A small step back, as of a clock that is kept right: the delay is as long as before.
    given.clock.step_wall_back(10 * SECOND);
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Name, 1));
    given.clock.advance(11 * SECOND);
    counted(&given, guess, 1).await;
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Name, 2));
    // A larger step back, as of a clock that was wrong.
    given.clock.step_wall_back(10 * SECOND + MILLISECOND);
    counted(&given, guess, 5).await;
    assert_eq!(count(&given, guess).await, refused(ThrottledBy::Name, 1));

    let known = attempt(2, 1);
    counted(&given, known, 3).await;
    settle(&given, known, false, true).await;
    given.clock.step_wall_back(60 * MINUTE);
    assert_eq!(count(&given, known).await, KNOWN);
}

/// Attempts notify no follower of the log.
pub async fn attempts_and_sessions_do_not_touch_each_other<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let (_, cursor) = given.log().await;
    counted(&given, attempt(1, 1), 3).await;
    settle(&given, attempt(1, 1), false, true).await;
    assert_eq!(given.load(&session).await, session);
    assert_eq!(given.log_after(Some(cursor)).await.0, []);
    given.end_all("alice", None).await.unwrap();
    assert_eq!(count(&given, attempt(1, 1)).await, KNOWN);
}

/// The number of lists to play.
const CASES: usize = 32;

#[derive(Clone, Debug)]
enum Step {
    Count(u8, Option<u8>),
    Settle(u8, Option<u8>, bool, bool),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (name, address) = (|| 0..2_u8, || option::weighted(0.8, 0..3_u8));
    prop_oneof![
        12 => (name(), address()).prop_map(|(name, address)| Step::Count(name, address)),
        3 => (name(), address(), any::<bool>(), any::<bool>())
            .prop_map(|(name, address, known, good)| Step::Settle(name, address, known, good)),
        4 => (0..12_000_u32).prop_map(Step::Pass),
        1 => (0..1_200_000_u32).prop_map(Step::Pass),
    ]
}

/// Plays random lists of attempts on the store and on [`MemoryStore`], which applies the core's own
/// methods. All answers must be the same. If they differ, the failure shows the shortest list that
/// it finds.
pub async fn it_throttles_as_the_store_in_memory_does<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let mut runner = TestRunner::default();
    let steps = vec(step(), 1..80);
    for _ in 0..CASES {
        let mut drawn = steps.new_tree(&mut runner).unwrap();
        let mut found = None;
        loop {
            let differs = difference(&fresh, &drawn.current()).await;
            let goes_on = match &differs {
                Some(_) => drawn.simplify(),
                None => found.is_some() && drawn.complicate(),
            };
            found = differs.or(found);
            if !goes_on {
                break;
            }
        }
        if let Some(found) = found {
            panic!("{found}");
        }
    }
}

async fn difference<S: SessionStore>(
    fresh: &impl AsyncFn(ManualClock) -> S,
    steps: &[Step],
) -> Option<String> {
    let clock = ManualClock::new();
    let memory = MemoryStore::with_clock(clock.clone());
    let other = fresh(clock.clone()).await;
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Pass(by) => clock.advance(Duration::from_millis(by.into())),
            Step::Settle(name, address, known, succeeded) => {
                let mut settled = SettleAttempt::new(attempt(name, address), known);
                settled.succeeded = succeeded;
                memory.settle_attempt(settled).await.unwrap();
                other.settle_attempt(settled).await.unwrap();
            }
            Step::Count(name, address) => {
                let expected = memory.count_attempt(attempt(name, address)).await.unwrap();
                let answer = other.count_attempt(attempt(name, address)).await.unwrap();
                if answer != expected {
                    let now = clock.now();
                    return Some(format!(
                        "step {number} at {now:?} of {steps:#?}\nis answered with {answer:?}\ninstead of {expected:?}"
                    ));
                }
            }
        }
    }
    None
}
