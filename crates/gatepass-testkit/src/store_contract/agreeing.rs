//! A store answers any list of operations as the store in memory does.

use std::{num::NonZeroU32, time::Duration};

use gatepass::{
    ClientId, Clock, Identity, MemoryStore, Scopes, Session, SessionFilter, SessionId,
    SessionState, Subject, Timestamp,
    store::{
        AccountId, Advance, AdvanceCause, Audience, ChangeIdentity, Cursor, EndReason, EndSessions,
        Generation, GrantEffect, GrantVersion, Issuer, NewSession, PullResult, Recover, Renew,
        Revocation, RevocationTarget, RevokeToken, SeenFrom, SessionNumber, SessionStore, TokenId,
    },
};
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::clock::ManualClock;

/// The number of lists to play.
const CASES: usize = 32;

/// Plays random lists of operations on the store and on [`MemoryStore`], which applies the core's
/// own methods. All answers must be the same. If they differ, the failure shows the shortest list
/// that it finds.
pub async fn it_answers_as_the_store_in_memory_does<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let mut runner = TestRunner::default();
    let steps = vec(step(), 1..80);
    for _ in 0..CASES {
        let mut drawn = steps.new_tree(&mut runner).unwrap();
        let mut found = None;
        loop {
            let differs = difference(&fresh, drawn.current()).await;
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

/// The difference, if any, between the store's answers and those of the store in memory.
async fn difference<S: SessionStore>(
    fresh: &impl AsyncFn(ManualClock) -> S,
    steps: Vec<Step>,
) -> Option<String> {
    let clock = ManualClock::new();
    let mut memory = World {
        store: MemoryStore::with_clock(clock.clone()),
        clock: &clock,
        cursor: None,
        begun: 0,
    };
    let mut other = World {
        store: fresh(clock.clone()).await,
        clock: &clock,
        cursor: None,
        begun: 0,
    };
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Pass(by) => clock.advance(secs(*by)),
            Step::SetBack(by) => clock.step_wall_back(secs(*by)),
            _ => {}
        }
        let expected = memory.answer(step.clone()).await;
        let answer = other.answer(step.clone()).await;
        if answer != expected {
            return Some(format!(
                "step {number} of {steps:#?}\nis answered with {answer:?}\ninstead of {expected:?}"
            ));
        }
    }
    let (expected, state) = (memory.state().await, other.state().await);
    (state != expected)
        .then(|| format!("after {steps:#?}\nthere is {state:?}\ninstead of {expected:?}"))
}

/// Small numbers for everything, so operations often meet the same session.
#[derive(Clone, Debug)]
enum Step {
    Begin(u8, u8, Option<NonZeroU32>),
    Advance(u8, u8, u32, u32, AdvanceCause, u16),
    Recover(u8, u8, u32, u16),
    Renew(u8, u8, u16),
    Change(u8, u32, u8, GrantEffect),
    Load(u8),
    End(u8, u8, u8),
    Revoke(u8, u8, u16),
    RevokeMany(u8, u8),
    Sessions(u8),
    Status(u8, u8, u32),
    Scan(u8),
    Pull,
    Purge(u32),
    Pass(u32),
    SetBack(u16),
}

fn cause() -> impl Strategy<Value = AdvanceCause> {
    prop_oneof![
        3 => Just(AdvanceCause::Refresh),
        1 => Just(AdvanceCause::Resume),
        1 => Just(AdvanceCause::Reauthenticate),
    ]
}

fn effect() -> impl Strategy<Value = GrantEffect> {
    prop_oneof![
        1 => Just(GrantEffect::None),
        1 => Just(GrantEffect::Offer),
        2 => Just(GrantEffect::Enforce),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..6_u8;
    let ttl = || 1..2000_u16;
    prop_oneof![
        6 => (session(), 0..2_u8, option::of((1..4_u32).prop_map(|n| NonZeroU32::new(n).unwrap())))
            .prop_map(|(s, c, max)| Step::Begin(s, c, max)),
        12 => (session(), 0..2_u8, 0..4_u32, 0..3_u32, cause(), ttl())
            .prop_map(|(s, c, from, by, cause, ttl)| Step::Advance(s, c, from, by, cause, ttl)),
        4 => (session(), 0..2_u8, 0..4_u32, ttl())
            .prop_map(|(s, c, of, ttl)| Step::Recover(s, c, of, ttl)),
        4 => (session(), 0..2_u8, ttl()).prop_map(|(s, c, ttl)| Step::Renew(s, c, ttl)),
        6 => (session(), 0..4_u32, 0..3_u8, effect())
            .prop_map(|(s, from, identity, effect)| Step::Change(s, from, identity, effect)),
        2 => session().prop_map(Step::Load),
        3 => (session(), 0..4_u8, 0..8_u8).prop_map(|(s, how, why)| Step::End(s, how, why)),
        4 => (session(), any::<u8>(), ttl()).prop_map(|(s, t, ttl)| Step::Revoke(s, t, ttl)),
        2 => (session(), 1..40_u8).prop_map(|(s, n)| Step::RevokeMany(s, n)),
        2 => (0..2_u8).prop_map(Step::Sessions),
        3 => (session(), any::<u8>(), 0..4_u32).prop_map(|(s, t, of)| Step::Status(s, t, of)),
        2 => any::<u8>().prop_map(Step::Scan),
        3 => Just(Step::Pull),
        2 => (0..4000_u32).prop_map(Step::Purge),
        6 => (0..1500_u32).prop_map(Step::Pass),
        1 => (0..2000_u16).prop_map(Step::SetBack),
    ]
}

/// The answer of an operation, in a form that does not depend on the store.
#[derive(Debug, PartialEq)]
enum Answer {
    BeginOutcome(Session, Option<Revocation>),
    Session(Option<Session>),
    Sessions(Vec<Session>),
    Revocations(Vec<Revocation>),
    Other(String),
}

struct World<'a, S> {
    store: S,
    clock: &'a ManualClock,
    cursor: Option<Cursor>,
    begun: u8,
}

fn client(number: u8) -> ClientId {
    ClientId::new(format!("client {number}")).unwrap()
}

fn subject(number: u8) -> Subject {
    Subject::new(["alice", "bob"][usize::from(number) % 2]).unwrap()
}

fn identity(subject: Subject, number: u8) -> Identity {
    let identity = Identity::of(subject).scopes(Scopes::parse("profile").unwrap());
    match number {
        0 => identity,
        1 => identity
            .claims(&serde_json::json!({ "n": [number] }))
            .unwrap(),
        _ => identity.access_ttl(Duration::from_secs(300)),
    }
}

/// A filter for each number: with and without a state, a subject or an index.
fn filter(number: u8) -> SessionFilter {
    let states = [SessionState::Live, SessionState::Ended, SessionState::Any];
    let filter = SessionFilter::new().state(states[usize::from(number) % 3]);
    match number / 3 % 5 {
        0 => filter,
        1 => filter.subject(subject(number / 15)),
        2 => filter.subject(subject(number / 15)).issuer(issuer()),
        3 => filter.subject_prefix(Subject::new("al").unwrap()),
        _ => filter.client(client(number / 15 % 2)),
    }
}

fn issuer() -> Issuer {
    Issuer::new("https://shop.example").unwrap()
}

fn account(number: u8) -> AccountId {
    AccountId::of(&issuer(), &subject(number))
}

/// The id of the `number`th session, which decides its subject.
fn session_id(number: u8) -> SessionId {
    let mut id = [number; 18];
    let [first, second] = account(number).prefix();
    (id[0], id[1]) = (first, second);
    SessionId::from_bytes(id)
}

/// The `number`th session, begun by the client `by`.
fn new_session(number: u8, by: u8) -> NewSession {
    let mut new = NewSession::new(
        session_id(number),
        issuer(),
        Audience::new("shop-api").unwrap(),
        client(by),
        identity(subject(number), 0),
    );
    new.idle_ttl = secs(2000_u32);
    new.absolute_ttl = secs(10_000_u32);
    new.access_ttl = secs(900_u32);
    new
}

/// The `number`th session as a node may know it, of the client `by` and this generation. The store
/// may not have it.
fn known(number: u8, by: u8, generation: Generation) -> Session {
    let new = new_session(number, by);
    let mut session = Session::begin(new, SessionNumber::default(), Timestamp::EPOCH);
    session.generation = generation;
    session
}

/// The `number`th token of the session. No two sessions share a token.
fn token_id(session: u8, number: u8) -> TokenId {
    let mut id = [number; 16];
    id[0] = session;
    TokenId::from_bytes(id)
}

fn secs(secs: impl Into<u64>) -> Duration {
    Duration::from_secs(secs.into())
}

fn in_order(mut revocations: Vec<Revocation>) -> Answer {
    revocations.sort_by_key(|revocation| match revocation.target {
        RevocationTarget::Session(id) => (id.as_bytes().to_vec(), revocation.until),
        RevocationTarget::Token(id) => (id.as_bytes().to_vec(), revocation.until),
        RevocationTarget::Sessions(id, _) => (id.as_bytes().to_vec(), revocation.until),
        // A session can have an entry of both kinds.
        RevocationTarget::Grant(id, grant) => {
            let version = grant.newest.get().to_be_bytes();
            (
                [id.as_bytes().as_slice(), &version].concat(),
                revocation.until,
            )
        }
    });
    Answer::Revocations(revocations)
}

impl<S: SessionStore> World<'_, S> {
    async fn answer(&mut self, step: Step) -> Answer {
        match step {
            Step::Begin(number, by, max_sessions) => {
                let mut new = new_session(self.begun, by);
                new.identity = identity(subject(self.begun), number % 3);
                new.max_sessions = max_sessions;
                self.begun += 1;
                let begun = self.store.begin(new).await.unwrap();
                Answer::BeginOutcome(begun.session, begun.ended)
            }
            Step::Advance(number, by, behind, by_generations, cause, ttl) => {
                let from = self.generation(number, behind).await;
                let mut advance = Advance::new(&known(number, by, from));
                advance.to = Generation::new(from.get() + by_generations);
                advance.cause = cause;
                advance.overlap = secs(ttl / 8);
                advance.seen_from = SeenFrom::from_bits(i64::from(ttl % 3));
                advance.idle_ttl = secs(ttl);
                advance.access_ttl = secs(ttl / 2);
                Answer::Session(self.store.advance(advance).await.unwrap())
            }
            Step::Recover(number, by, behind, ttl) => {
                let generation = self.generation(number, behind).await;
                let mut recover = Recover::new(&known(number, by, generation));
                recover.access_ttl = secs(ttl);
                Answer::Session(self.store.recover(recover).await.unwrap())
            }
            Step::Renew(number, by, ttl) => {
                let mut renew = Renew::new(&known(number, by, Generation::FIRST));
                renew.access_ttl = secs(ttl);
                Answer::Session(self.store.renew(renew).await.unwrap())
            }
            Step::Change(number, behind, new, effect) => {
                let session = known(number, 0, Generation::FIRST);
                let identity = identity(subject(number), new);
                let mut change = ChangeIdentity::new(&session, identity);
                change.from = self.version(number, behind).await;
                change.effect = effect;
                Answer::Session(self.store.change(change).await.unwrap())
            }
            Step::Load(number) => {
                let (session, time) = self.store.load(session_id(number)).await.unwrap();
                assert_eq!(time, self.clock.now());
                Answer::Session(session)
            }
            Step::End(number, how, why) => {
                let id = session_id(number);
                let target = match how {
                    0 => EndSessions::Session(id),
                    1 => EndSessions::SessionOf(id, account(why)),
                    2 => EndSessions::AllOf(account(number)),
                    _ => EndSessions::AllOfBut(account(number), session_id(why)),
                };
                let ended = self.store.end(target, EndReason::Reuse).await.unwrap();
                Answer::Revocations(ended.into_iter().collect())
            }
            Step::Revoke(number, token, ttl) => self.revoke(number, token, ttl).await,
            Step::RevokeMany(number, count) => {
                let mut last = Answer::Other(String::new());
                for token in 0..count {
                    last = self.revoke(number, token, 900).await;
                }
                last
            }
            Step::Sessions(number) => {
                let listed = self.store.sessions(account(number), None, 4).await;
                Answer::Sessions(listed.unwrap())
            }
            Step::Status(number, token, behind) => {
                let version = self.version(number, behind).await;
                let (session, token) = (session_id(number), token_id(number, token));
                let status = self.store.status(session, token, version).await;
                Answer::Other(format!("{:?}", status.unwrap()))
            }
            Step::Scan(number) => Answer::Sessions(self.scan(&filter(number)).await),
            Step::Pull => in_order(self.pull().await),
            Step::Purge(ahead) => {
                let behind = self.clock.now().unix_millis() - 1_000_000;
                let horizon = Timestamp::from_unix_millis(behind) + secs(ahead);
                let purged = self.store.purge(horizon, usize::MAX).await.unwrap();
                Answer::Other(purged.removed.to_string())
            }
            // Both stores share the clock, which moves once.
            Step::Pass(_) | Step::SetBack(_) => Answer::Other(String::new()),
        }
    }

    /// The session's generation or one next to it, since a random one would never fit.
    async fn generation(&self, number: u8, behind: u32) -> Generation {
        let (session, _) = self.store.load(session_id(number)).await.unwrap();
        let current = session.map_or(0, |session| session.generation.get());
        // Right in two of four cases, too old in one and too new in one.
        match behind {
            0 | 1 => Generation::new(current),
            2 => Generation::new(current.saturating_sub(1)),
            _ => Generation::new(current + 1),
        }
    }

    /// The version of the session's rights or one next to it.
    async fn version(&self, number: u8, behind: u32) -> GrantVersion {
        let (session, _) = self.store.load(session_id(number)).await.unwrap();
        let newest = session.map_or(0, |session| session.grant.newest.get());
        match behind {
            0 | 1 => GrantVersion::new(newest),
            2 => GrantVersion::new(newest.saturating_sub(1)),
            _ => GrantVersion::new(newest + 1),
        }
    }

    /// The sessions that the filter matches, in the order of their ids.
    async fn scan(&self, filter: &SessionFilter) -> Vec<Session> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let part = self.store.scan(filter, next.as_ref(), 2).await.unwrap();
            all.extend(part.sessions);
            next = part.next;
            if next.is_none() {
                all.sort_by_key(|session| session.id);
                return all;
            }
        }
    }

    async fn revoke(&self, number: u8, token: u8, ttl: u16) -> Answer {
        let session = known(number, 0, Generation::FIRST);
        let mut token = RevokeToken::new(token_id(number, token), &session);
        token.until = self.clock.now() + secs(ttl);
        let revocation = self.store.revoke_token(token).await.unwrap();
        Answer::Revocations(revocation.into_iter().collect())
    }

    async fn pull(&mut self) -> Vec<Revocation> {
        match self.store.pull(self.cursor.as_ref()).await.unwrap() {
            PullResult::Entries {
                entries,
                next,
                more,
                ..
            } => {
                assert!(!more);
                self.cursor = Some(next);
                entries
            }
            PullResult::Reset => panic!("the cursor is of this log"),
        }
    }

    /// Everything that callers can see of the store.
    async fn state(&mut self) -> Vec<Answer> {
        self.cursor = None;
        let mut state = vec![in_order(self.pull().await)];
        for number in 0..self.begun {
            let (session, _) = self.store.load(session_id(number)).await.unwrap();
            state.push(Answer::Session(session));
        }
        state
    }
}
