//! Decisions about refresh tokens: every row of the table, up to its boundaries.

use std::time::Duration;

use gatepass::{
    ClientId, OnReuse, Refusal, ReusePolicy, Session, Timestamp,
    store::{
        AdvanceCause, Audience, Decision, EndReason, Ended, Generation, Issuer, Presenter,
        Rotation, SessionNumber, decide,
    },
};
use gatepass_testkit::{
    ManualClock,
    sessions::{advance_of, new_session, recovery_of},
};
use proptest::{collection::vec, option, prelude::*};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const START: Timestamp = ManualClock::START;

const MS: Duration = Duration::from_millis(1);
const OVERLAP: Duration = Duration::from_secs(30);

/// A session that has just begun.
fn begun() -> Session {
    let mut new = new_session("alice");
    new.client = ClientId::new("default").unwrap();
    new.idle_ttl = 14 * DAY;
    new.absolute_ttl = 90 * DAY;
    new.access_ttl = 15 * MINUTE;
    Session::begin(new, SessionNumber::new(1), START)
}

/// A session that was refreshed every minute, up to generation 5.
fn session() -> Session {
    let mut session = begun();
    session.generation = Generation::new(5);
    session.rotated = Some(rotation(4, after(Duration::ZERO)));
    session.last_seen_at = after(Duration::ZERO);
    session.idle_expires_at = after(14 * DAY);
    session
}

fn rotation(from: u32, at: Timestamp) -> Rotation {
    let from = Generation::new(from);
    Rotation { from, at }
}

/// The instant at which generation 4 was spent, and so much more.
fn after(duration: Duration) -> Timestamp {
    START + 5 * MINUTE + duration
}

/// The instant so long before generation 4 was spent.
fn before(duration: Duration) -> Timestamp {
    START + (5 * MINUTE - duration)
}

const ADVANCE: Decision = Decision::Advance {
    from: Generation::new(5),
    to: Generation::new(6),
};

fn advance_to(to: u32) -> Decision {
    Decision::Advance {
        from: Generation::new(5),
        to: Generation::new(to),
    }
}

fn reuse(gap: u32, age: impl Into<Option<Duration>>) -> Decision {
    Decision::Reuse {
        gap,
        age: age.into(),
    }
}

#[test]
fn every_row_of_the_table_decides_up_to_its_boundary() {
    let idle = || Decision::Refuse(Refusal::RefreshExpired);
    let now = after(Duration::ZERO);
    let cases = [
        ("just rotated", 5, now, Decision::Replay),
        ("overlap", 5, after(OVERLAP), Decision::Replay),
        ("past the overlap", 5, after(OVERLAP + MS), ADVANCE),
        ("not yet idle", 5, after(14 * DAY - MS), ADVANCE),
        ("idle", 5, after(14 * DAY), idle()),
        ("idle, and spent", 4, after(14 * DAY), idle()),
        ("idle, and ancient", 0, after(14 * DAY), idle()),
        ("spent just now", 4, now, Decision::Replay),
        ("spent, overlap", 4, after(OVERLAP), Decision::Replay),
        ("overlap over", 4, after(OVERLAP + MS), Decision::Recover),
        ("recovery", 4, after(HOUR), Decision::Recover),
        ("recovery over", 4, after(HOUR + MS), reuse(1, HOUR + MS)),
        ("an ancestor was spent earlier", 3, now, reuse(2, None)),
        ("the first one", 0, now, reuse(5, None)),
        ("the store lost a write", 6, after(MS), advance_to(7)),
        ("the store lost many", 40, after(MS), advance_to(41)),
        ("the last generation", u32::MAX, now, advance_to(u32::MAX)),
    ];
    for (name, presented, now, expected) in cases {
        assert_eq!(decided(&session(), presented, now), expected, "{name}");
    }
}

fn decided(session: &Session, presented: u32, now: Timestamp) -> Decision {
    decided_by(session, presented, OWN, &ReusePolicy::default(), now)
}

/// The issuer, the audience and the client that present a token.
type Names = (&'static str, &'static str, &'static str);

/// Those of the session.
const OWN: Names = ("https://shop.example", "shop-api", "default");

fn decided_by(
    session: &Session,
    presented: u32,
    names: Names,
    policy: &ReusePolicy,
    now: Timestamp,
) -> Decision {
    decided_of(Some(session), presented, names, policy, now)
}

fn decided_of(
    session: Option<&Session>,
    presented: u32,
    (issuer, audience, client): Names,
    policy: &ReusePolicy,
    now: Timestamp,
) -> Decision {
    let presenter = Presenter {
        issuer: &Issuer::new(issuer).unwrap(),
        audience: &Audience::new(audience).unwrap(),
        client: &ClientId::new(client).unwrap(),
    };
    decide(session, Generation::new(presented), presenter, policy, now)
}

#[test]
fn all_generations_that_a_rotation_spent_are_replayed_within_its_overlap() {
    let mut session = session();
    // The store had lost the writes of generations 3 and 4 when generation 4 came back.
    session.rotated = Some(rotation(2, after(Duration::ZERO)));
    for presented in 2..=5 {
        let now = after(OVERLAP);
        assert_eq!(decided(&session, presented, now), Decision::Replay);
    }
    assert_eq!(decided(&session, 1, after(OVERLAP)), reuse(4, None));
    let (late, age) = (after(OVERLAP + MS), OVERLAP + MS);
    assert_eq!(decided(&session, 4, late), Decision::Recover);
    assert_eq!(decided(&session, 3, late), reuse(2, age));
    assert_eq!(decided(&session, 2, late), reuse(3, age));
}

#[test]
fn a_token_that_no_remembered_rotation_spent_is_reused() {
    let mut session = session();
    session.rotated = None;
    let now = after(Duration::ZERO);
    assert_eq!(decided(&session, 4, now), reuse(1, None));
    assert_eq!(decided(&session, 5, now), ADVANCE);
}

#[test]
fn a_session_that_never_rotated_advances_at_once() {
    let first = Decision::Advance {
        from: Generation::FIRST,
        to: Generation::new(1),
    };
    assert_eq!(decided(&begun(), 0, START), first);
}

#[test]
fn a_clock_that_goes_back_by_a_little_is_not_believed() {
    let session = session();
    for back in [MS, Session::CLOCK_JITTER] {
        let now = before(back);
        assert_eq!(decided(&session, 4, now), Decision::Replay, "{back:?}");
        assert_eq!(decided(&session, 5, now), Decision::Replay, "{back:?}");
        assert_eq!(decided(&session, 3, now), reuse(2, None), "{back:?}");
    }
    let mut ending = session;
    ending.absolute_expires_at = ending.last_seen_at;
    let end = Decision::Refuse(Refusal::SessionEnded);
    assert_eq!(decided(&ending, 5, before(MS)), end);
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_holds_no_overlap_open() {
    let mut session = session();
    for back in [Session::CLOCK_JITTER + MS, 5 * MINUTE] {
        let now = before(back);
        assert_eq!(decided(&session, 5, now), ADVANCE, "{back:?}");
        // The answer may have been lost. A second loss, of the same token, is a reuse.
        assert_eq!(decided(&session, 4, now), Decision::Recover, "{back:?}");
        assert_eq!(decided(&session, 3, now), reuse(2, None), "{back:?}");
        session.recovered = Some(Generation::new(4));
        assert_eq!(decided(&session, 4, now), reuse(1, None), "{back:?}");
        session.recovered = None;
    }
    let mut ending = session;
    ending.absolute_expires_at = ending.last_seen_at;
    let now = before(Session::CLOCK_JITTER + MS);
    assert_eq!(
        decided(&ending, 5, now),
        ADVANCE,
        "it ends by the true clock"
    );
}

#[test]
fn what_was_recovered_is_not_recovered_again() {
    let mut session = session();
    let now = after(MINUTE);
    // Generation 5 was handed out again. Its holder has lost nothing yet, and may ask again.
    session.recovered = Some(Generation::new(5));
    assert_eq!(decided(&session, 4, now), Decision::Recover);
    assert_eq!(decided(&session, 5, now), ADVANCE);
    // Generation 4 was handed out again, and spent: two clients have it.
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
    let decided = |presented, now| decided_by(&session(), presented, OWN, &policy, now);
    assert_eq!(decided(4, after(MS)), reuse(1, MS));
    // Simultaneous is not later.
    assert_eq!(decided(4, after(Duration::ZERO)), Decision::Replay);
    // A clock that was ahead makes no exception.
    let now = before(Session::CLOCK_JITTER + MS);
    assert_eq!(decided(4, now), reuse(1, None));
    let policy = ReusePolicy {
        overlap: OVERLAP,
        ..policy
    };
    let now = after(OVERLAP + MS);
    let strict = decided_by(&session(), 4, OWN, &policy, now);
    assert_eq!(strict, reuse(1, OVERLAP + MS));
}

#[test]
fn without_an_overlap_the_current_token_advances_at_once() {
    let policy = ReusePolicy {
        overlap: Duration::ZERO,
        ..ReusePolicy::default()
    };
    for now in [before(MS), after(Duration::ZERO), after(MS)] {
        assert_eq!(decided_by(&session(), 5, OWN, &policy, now), ADVANCE);
    }
}

/// Presenters that are not the session's, and why they are refused: by the first name that differs.
const OTHERS: [(Names, Refusal); 5] = [
    (
        ("https://other.example", "shop-api", "default"),
        Refusal::WrongIssuer,
    ),
    (
        ("https://other.example", "admin-api", "mobile"),
        Refusal::WrongIssuer,
    ),
    (
        ("https://shop.example", "admin-api", "default"),
        Refusal::WrongAudience,
    ),
    (
        ("https://shop.example", "admin-api", "mobile"),
        Refusal::WrongAudience,
    ),
    (
        ("https://shop.example", "shop-api", "mobile"),
        Refusal::WrongClient,
    ),
];

#[test]
fn an_ended_session_is_ended_for_every_presenter_and_token() {
    let mut ended = session();
    ended.ended = Some(Ended {
        at: START,
        reason: EndReason::Logout,
    });
    let mut over = session();
    over.idle_expires_at = START + 90 * DAY;
    let policy = ReusePolicy::default();
    let end = Decision::Refuse(Refusal::SessionEnded);
    for presented in [0, 3, 4, 5, 6, u32::MAX] {
        for names in OTHERS.into_iter().map(|(names, _)| names).chain([OWN]) {
            let now = after(MS);
            assert_eq!(decided_by(&ended, presented, names, &policy, now), end);
            let now = START + 90 * DAY;
            assert_eq!(decided_by(&over, presented, names, &policy, now), end);
            assert_eq!(decided_of(None, presented, names, &policy, now), end);
        }
    }
    let last = START + (90 * DAY - MS);
    assert_eq!(decided(&over, 5, last), ADVANCE);
}

#[test]
fn another_issuer_audience_or_client_changes_nothing_with_any_token() {
    let policy = ReusePolicy::default();
    for (names, refusal) in OTHERS {
        let wrong = Decision::Refuse(refusal);
        for presented in [0, 3, 4, 5, 6] {
            for now in [START, after(MS), after(HOUR), after(14 * DAY)] {
                let decided = decided_by(&session(), presented, names, &policy, now);
                assert_eq!(decided, wrong);
            }
        }
    }
}

/// The facts that the table asks for, in whole seconds.
#[derive(Clone, Copy, Debug)]
struct Facts {
    ended: bool,
    own: [bool; 3],
    now: i64,
    last_seen: i64,
    idle: i64,
    absolute: i64,
    generation: u32,
    presented: u32,
    /// The last rotation: the generation before it, and when.
    rotated: Option<(u32, i64)>,
    recovered: Option<u32>,
    overlap: i64,
    recovery: i64,
}

/// The table once more, row by row, over plain numbers.
fn table(facts: Facts) -> Decision {
    let Facts {
        generation,
        presented,
        overlap,
        recovery,
        ..
    } = facts;
    let jitter = (1..=10).contains(&(facts.last_seen - facts.now));
    let now = if jitter { facts.last_seen } else { facts.now };
    if facts.ended || now >= facts.absolute {
        return Decision::Refuse(Refusal::SessionEnded);
    }
    match facts.own {
        [false, ..] => return Decision::Refuse(Refusal::WrongIssuer),
        [_, false, _] => return Decision::Refuse(Refusal::WrongAudience),
        [.., false] => return Decision::Refuse(Refusal::WrongClient),
        _ => {}
    }
    if now >= facts.idle {
        return Decision::Refuse(Refusal::RefreshExpired);
    }
    if presented >= generation {
        return match facts.rotated {
            Some((_, at))
                if presented == generation && overlap > 0 && at <= now && now - at <= overlap =>
            {
                Decision::Replay
            }
            _ => Decision::Advance {
                from: Generation::new(generation),
                to: Generation::new(presented + 1),
            },
        };
    }
    let gap = generation - presented;
    let reuse = |age: Option<i64>| Decision::Reuse {
        gap,
        age: age.map(|age| Duration::from_secs(age.unsigned_abs())),
    };
    let once_more = gap == 1 && recovery > 0 && facts.recovered != Some(presented);
    match facts.rotated {
        Some((from, at)) if from <= presented => match now - at {
            ..0 if once_more => Decision::Recover,
            ..0 => reuse(None),
            age if age <= overlap => Decision::Replay,
            age if once_more && age <= recovery => Decision::Recover,
            age => reuse(Some(age)),
        },
        _ => reuse(None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_that_of_the_table(
        ended in prop::bool::weighted(0.1),
        own in prop::array::uniform3(prop::bool::weighted(0.95)),
        now in 0..40_i64,
        last_seen in 0..40_i64,
        idle in 10..70_i64,
        absolute in 10..70_i64,
        generation in 0..8_u32,
        back in -2..6_i64,
        rotated in option::weighted(0.9, (0..4_u32, 0..40_i64)),
        recovered_back in option::of(0..3_u32),
        overlap in 0..8_i64,
        recovery in 0..30_i64,
    ) {
        let at = |secs: i64| Timestamp::from_unix_secs(START.unix_secs() + secs);
        let secs = |secs: i64| Duration::from_secs(secs.unsigned_abs());
        let facts = Facts {
            ended,
            own,
            now,
            last_seen,
            idle,
            absolute,
            generation,
            presented: u32::try_from(i64::from(generation) - back).unwrap_or(0),
            rotated: rotated.and_then(|(over, at)| Some((generation.checked_sub(1 + over)?, at))),
            recovered: recovered_back.and_then(|back| generation.checked_sub(back)),
            overlap,
            recovery,
        };
        let mut session = session();
        session.ended = ended.then_some(Ended { at: START, reason: EndReason::Logout });
        session.last_seen_at = at(last_seen);
        session.idle_expires_at = at(idle);
        session.absolute_expires_at = at(absolute);
        session.generation = Generation::new(generation);
        session.rotated = facts.rotated.map(|(from, when)| rotation(from, at(when)));
        session.recovered = facts.recovered.map(Generation::new);
        let policy = ReusePolicy {
            overlap: secs(overlap),
            recovery: secs(recovery),
            on_reuse: OnReuse::EndSession,
        };
        let [issuer, audience, client] = own;
        let names = (
            if issuer { OWN.0 } else { "https://other.example" },
            if audience { OWN.1 } else { "admin-api" },
            if client { OWN.2 } else { "mobile" },
        );
        let decided = decided_by(&session, facts.presented, names, &policy, at(now));
        prop_assert_eq!(decided, table(facts), "{:?}", facts);
    }
}

/// Something that the holders of a session's tokens do, or that happens to its store.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A client presents the refresh token of so many generations before the current one.
    Present(u32),
    /// The user proves again who they are.
    StepUp,
    /// Time passes, in milliseconds.
    Pass(u64),
    /// The store's clock goes back by so many milliseconds.
    SetBack(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4_u32).prop_map(Act::Present),
        2 => Just(Act::StepUp),
        4 => prop_oneof![0..15_000_u64, Just(29_999), Just(30_000), Just(30_001), Just(60_000)]
            .prop_map(Act::Pass),
        1 => prop_oneof![0..10_000_u64, Just(10_000)].prop_map(Act::SetBack),
    ]
}

/// A session to which is done what was decided.
struct Life {
    session: Session,
    /// The store's clock.
    now: Timestamp,
    /// Milliseconds since the start, by a clock that is never set back.
    passed: u64,
    /// When each token before the current one was spent, by that clock.
    spent: Vec<u64>,
}

impl Life {
    fn act(&mut self, act: Act) {
        match act {
            Act::Present(back) => {
                let current = self.session.generation.get();
                self.present(current.saturating_sub(back));
            }
            Act::StepUp => {
                let from = self.session.generation;
                let just = self.session.has_just_rotated(OVERLAP, self.now);
                let to = if just { from } else { from.next() };
                self.advance(from, to, AdvanceCause::Reauthenticate);
            }
            Act::Pass(millis) => {
                self.passed += millis;
                self.now = self.now + Duration::from_millis(millis);
            }
            Act::SetBack(millis) => {
                let millis = i64::try_from(millis).unwrap();
                let back = Timestamp::from_unix_millis(self.now.unix_millis() - millis);
                // A clock that is further behind is believed.
                if self.session.last_seen_at.since(back) <= Session::CLOCK_JITTER {
                    self.now = back;
                }
            }
        }
    }

    fn present(&mut self, presented: u32) {
        let now = self.now;
        match decided(&self.session, presented, now) {
            Decision::Advance { from, to } => self.advance(from, to, AdvanceCause::Refresh),
            Decision::Recover => {
                let mut recover = recovery_of(&self.session);
                recover.access_ttl = MINUTE;
                assert!(self.session.recover(recover, now));
            }
            Decision::Replay => {}
            Decision::Reuse { .. } => {
                let spent = self.spent[presented as usize];
                let age = Duration::from_millis(self.passed - spent);
                assert!(age > OVERLAP, "reuse of a token that was spent {age:?} ago");
            }
            Decision::Refuse(refusal) => panic!("{refusal:?}"),
        }
    }

    fn advance(&mut self, from: Generation, to: Generation, cause: AdvanceCause) {
        let mut advance = advance_of(&self.session);
        advance.from = from;
        advance.to = to;
        advance.cause = cause;
        advance.overlap = OVERLAP;
        advance.idle_ttl = 14 * DAY;
        advance.access_ttl = MINUTE;
        assert!(self.session.advance(advance, self.now));
        if to != from {
            let last = self.spent.last().map(|last| self.passed - last);
            let soon = last.is_some_and(|last| u128::from(last) <= OVERLAP.as_millis());
            assert!(!soon, "rotated twice within {last:?} ms");
            self.spent.push(self.passed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn within_the_overlap_of_being_spent_no_token_is_reuse(acts in vec(act(), 1..60)) {
        let mut life = Life {
            session: begun(),
            now: START,
            passed: 0,
            spent: Vec::new(),
        };
        for act in acts {
            life.act(act);
        }
    }
}
