//! What becomes of a refresh token: every row of the table, up to its boundaries.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gatepass::{
    ClientId, Decision, Device, EndReason, Ended, Generation, Grant, NewSession, OnReuse, Refusal,
    ReusePolicy, Session, SessionId, Subject, Timestamp, decide,
};
use gatepass_testkit::ManualClock;
use proptest::{option, prelude::*};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const START: Timestamp = ManualClock::START;

/// A session begun at the start and refreshed every minute, up to generation 5.
fn session() -> Session {
    let new = NewSession {
        id: SessionId::from_bytes([7; 18]),
        client: ClientId::new("default").unwrap(),
        grant: Grant::new(Subject::new("alice").unwrap()),
        device: Device::default(),
        idle_ttl: 14 * DAY,
        absolute_ttl: 90 * DAY,
        access_ttl: 15 * MINUTE,
        max_sessions: None,
    };
    let mut session = Session::begin(new, START);
    session.generation = Generation::new(5);
    session.spent = [5, 4, 3, 2].map(|minute| Some(START + minute * MINUTE));
    session.last_seen_at = START + 5 * MINUTE;
    session.idle_expires_at = START + 5 * MINUTE + 14 * DAY;
    session
}

/// The instant at which generation 4 was spent, and so much more.
fn after(duration: Duration) -> Timestamp {
    START + 5 * MINUTE + duration
}

const MS: Duration = Duration::from_millis(1);

const ADVANCE: Decision = Decision::Advance {
    from: Generation::new(5),
    to: Generation::new(6),
};

fn reuse(gap: u32, age: impl Into<Option<Duration>>) -> Decision {
    Decision::Reuse {
        gap,
        age: age.into(),
    }
}

#[test]
fn every_row_of_the_table_decides_up_to_its_boundary() {
    let overlap = Duration::from_secs(30);
    let cases = [
        (
            "the current one advances",
            5,
            after(Duration::ZERO),
            ADVANCE,
        ),
        (
            "to the last instant before it is idle",
            5,
            after(14 * DAY - MS),
            ADVANCE,
        ),
        (
            "idle",
            5,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        (
            "idle, and spent",
            4,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        (
            "idle, and ancient",
            0,
            after(14 * DAY),
            Decision::Refuse(Refusal::RefreshExpired),
        ),
        ("overlap", 4, after(overlap), Decision::Replay),
        (
            "past the overlap",
            4,
            after(overlap + MS),
            Decision::Recover,
        ),
        ("recovery", 4, after(HOUR), Decision::Recover),
        (
            "past the recovery",
            4,
            after(HOUR + MS),
            reuse(1, HOUR + MS),
        ),
        (
            "an ancestor has its own window",
            3,
            after(Duration::ZERO),
            reuse(2, MINUTE),
        ),
        (
            "four back is remembered",
            1,
            after(Duration::ZERO),
            reuse(4, 3 * MINUTE),
        ),
        ("five back is not", 0, after(Duration::ZERO), reuse(5, None)),
        ("a negative age is none", 4, START, Decision::Replay),
        ("time does not run backwards", 3, START, reuse(2, MINUTE)),
        ("the store lost a write", 6, after(MS), advance_to(7)),
        ("the store lost many", 40, after(MS), advance_to(41)),
        (
            "the last generation there can be",
            u32::MAX,
            after(MS),
            advance_to(u32::MAX),
        ),
    ];
    for (name, presented, now, expected) in cases {
        assert_eq!(decided(&session(), presented, now), expected, "{name}");
    }
}

fn advance_to(to: u32) -> Decision {
    Decision::Advance {
        from: Generation::new(5),
        to: Generation::new(to),
    }
}

fn decided(session: &Session, presented: u32, now: Timestamp) -> Decision {
    let policy = ReusePolicy::default();
    decided_by(session, presented, "default", &policy, now)
}

fn decided_by(
    session: &Session,
    presented: u32,
    client: &str,
    policy: &ReusePolicy,
    now: Timestamp,
) -> Decision {
    let (presented, client) = (Generation::new(presented), ClientId::new(client).unwrap());
    decide(Some(session), presented, &client, policy, now)
}

#[test]
fn an_ancestor_within_its_own_overlap_is_replayed() {
    let mut session = session();
    session.spent = [300, 290, 280, 270].map(|secs| Some(START + Duration::from_secs(secs)));
    for presented in 1..=4 {
        assert_eq!(
            decided(&session, presented, after(Duration::ZERO)),
            Decision::Replay
        );
    }
    let late = after(MS);
    assert_eq!(
        decided(&session, 1, late),
        reuse(4, Duration::from_secs(30) + MS)
    );
    assert_eq!(decided(&session, 0, late), reuse(5, None));
}

#[test]
fn what_was_recovered_is_not_recovered_again() {
    let mut session = session();
    let now = after(MINUTE);
    // The current generation was: its holder has lost nothing yet, and may ask again.
    session.recovered = Some(Generation::new(5));
    assert_eq!(decided(&session, 4, now), Decision::Recover);
    assert_eq!(decided(&session, 5, now), ADVANCE);
    // Its successor was spent: whoever comes back with it collides with the other one.
    session.recovered = Some(Generation::new(4));
    assert_eq!(decided(&session, 4, after(MS)), Decision::Replay);
    assert_eq!(decided(&session, 4, now), reuse(1, MINUTE));
}

#[test]
fn without_recovery_and_overlap_every_spent_token_is_reused() {
    let policy = ReusePolicy {
        overlap: Duration::ZERO,
        recovery: Duration::ZERO,
        on_reuse: OnReuse::EndSession,
    };
    let decided = |now| decided_by(&session(), 4, "default", &policy, now);
    assert_eq!(decided(after(MS)), reuse(1, MS));
    // Simultaneous is not later.
    assert_eq!(decided(after(Duration::ZERO)), Decision::Replay);
    let policy = ReusePolicy {
        overlap: Duration::from_secs(30),
        ..policy
    };
    let now = after(Duration::from_secs(30) + MS);
    let strict = decided_by(&session(), 4, "default", &policy, now);
    assert_eq!(strict, reuse(1, Duration::from_secs(30) + MS));
}

#[test]
fn an_ended_session_is_ended_whoever_asks_with_whatever() {
    let mut ended = session();
    ended.ended = Some(Ended {
        at: START,
        reason: EndReason::Logout,
    });
    let mut over = session();
    over.idle_expires_at = START + 90 * DAY;
    let policy = ReusePolicy::default();
    for presented in [0, 3, 4, 5, 6, u32::MAX] {
        for client in ["default", "mobile"] {
            let end = Decision::Refuse(Refusal::SessionEnded);
            let now = after(MS);
            assert_eq!(decided_by(&ended, presented, client, &policy, now), end);
            let now = START + 90 * DAY;
            assert_eq!(decided_by(&over, presented, client, &policy, now), end);
            let (presented, client) = (Generation::new(presented), ClientId::new(client).unwrap());
            assert_eq!(decide(None, presented, &client, &policy, now), end);
        }
    }
    let last = START + (90 * DAY - MS);
    assert_eq!(decided(&over, 5, last), ADVANCE);
}

#[test]
fn another_client_changes_nothing_whatever_it_presents() {
    let policy = ReusePolicy::default();
    let wrong = Decision::Refuse(Refusal::WrongClient);
    for presented in [0, 3, 4, 5, 6] {
        for now in [START, after(MS), after(HOUR), after(14 * DAY)] {
            let decided = decided_by(&session(), presented, "mobile", &policy, now);
            assert_eq!(decided, wrong);
        }
    }
}

/// The table once more, row by row, over plain numbers.
#[expect(
    clippy::too_many_arguments,
    reason = "they are the columns of the table"
)]
fn table(
    (ended, own_client): (bool, bool),
    (now, last_seen, idle, absolute): (i64, i64, i64, i64),
    generation: u32,
    presented: u32,
    spent: [Option<i64>; 4],
    recovered: Option<u32>,
    overlap: i64,
    recovery: i64,
) -> Decision {
    let now = if now < last_seen { last_seen } else { now };
    if ended || now >= absolute {
        return Decision::Refuse(Refusal::SessionEnded);
    }
    if !own_client {
        return Decision::Refuse(Refusal::WrongClient);
    }
    if now >= idle {
        return Decision::Refuse(Refusal::RefreshExpired);
    }
    if presented >= generation {
        return Decision::Advance {
            from: Generation::new(generation),
            to: Generation::new(presented + 1),
        };
    }
    let gap = generation - presented;
    let spent = match gap {
        1 => spent[0],
        2 => spent[1],
        3 => spent[2],
        4 => spent[3],
        _ => None,
    };
    let age = spent.map(|spent| (now - spent).max(0));
    match age {
        Some(age) if age <= overlap => Decision::Replay,
        Some(age)
            if gap == 1 && recovery > 0 && age <= recovery && recovered != Some(presented) =>
        {
            Decision::Recover
        }
        _ => Decision::Reuse {
            gap,
            age: age.map(|age| Duration::from_millis(age.unsigned_abs())),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_that_of_the_table(
        ended in prop::bool::weighted(0.1),
        own_client in prop::bool::weighted(0.9),
        now in 0..40_i64,
        last_seen in 0..20_i64,
        idle in 10..60_i64,
        absolute in 10..60_i64,
        generation in 0..8_u32,
        back in -2..6_i64,
        spent in [option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64), option::weighted(0.9, 0..40_i64)],
        recovered_back in option::of(0..3_u32),
        overlap in 0..8_i64,
        recovery in 0..30_i64,
    ) {
        let at = |millis: i64| Timestamp::from_unix_millis(START.unix_millis() + millis);
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let presented = u32::try_from(i64::from(generation) - back).unwrap_or(0);
        let recovered = recovered_back.and_then(|back| generation.checked_sub(back));
        let mut session = session();
        session.ended = ended.then_some(Ended { at: START, reason: EndReason::Logout });
        session.last_seen_at = at(last_seen);
        session.idle_expires_at = at(idle);
        session.absolute_expires_at = at(absolute);
        session.generation = Generation::new(generation);
        session.spent = spent.map(|spent| spent.map(at));
        session.recovered = recovered.map(Generation::new);
        let policy = ReusePolicy {
            overlap: millis(overlap),
            recovery: millis(recovery),
            on_reuse: OnReuse::EndSession,
        };
        let client = if own_client { "default" } else { "mobile" };
        let decided = decided_by(&session, presented, client, &policy, at(now));
        let expected = table(
            (ended, own_client), (now, last_seen, idle, absolute),
            generation, presented, spent, recovered, overlap, recovery,
        );
        prop_assert_eq!(decided, expected);
    }
}
