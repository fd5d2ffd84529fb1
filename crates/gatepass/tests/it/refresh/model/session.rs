//! The life of a session: its rights, its times and its end, around the rules of rotation.

use std::collections::BTreeMap;

use gatepass::{Refusal, SessionId, store::EndReason};
use test_support::oracle::{Chain, Decision, Rules};

use crate::refresh::model::steps::Edge;

pub(crate) const ACCESS: i64 = 15 * 60_000;
pub(crate) const IDLE: i64 = 3_600_000;
pub(crate) const ABSOLUTE: i64 = 5 * IDLE / 2;
pub(crate) const OVERLAP: i64 = 30_000;
pub(crate) const RECOVERY: i64 = 10 * 60_000;
pub(crate) const LEEWAY: i64 = 30_000;
const RULES: Rules = Rules {
    overlap: OVERLAP,
    recovery: RECOVERY,
    jitter: 10_000,
};
/// How many usable sessions a user may have.
pub(crate) const MAX_SESSIONS: usize = 4;

/// A set of scopes, one bit for each.
pub(crate) type Scopes = u8;

/// The rights that the application gives a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) scopes: Scopes,
    /// The lifetime of access tokens, where it is another than the configured one.
    pub(crate) ttl: Option<i64>,
}

/// A user, as the application has it now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) allowed: Allowed,
    pub(crate) state: UserState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum UserState {
    /// A node that reads it again learns nothing new.
    Unchanged,
    Changed,
    Deleted,
}

/// A session as the model has it. All times are milliseconds.
pub(crate) struct Modelled {
    pub(crate) id: SessionId,
    pub(crate) client: usize,
    pub(crate) allowed: Allowed,
    /// How often its scopes have changed.
    pub(crate) version: usize,
    /// The node that changed them last, which must enforce that at once.
    pub(crate) changed_by: Option<usize>,
    /// The scopes that the client asked for at login, which it never exceeds.
    limit: Option<Scopes>,
    chain: Chain,
    /// When each generation before the current one was spent, by a clock that is never set back.
    spent: Vec<i64>,
    /// The first generation that the session promises to replay within the overlap. Earlier ones
    /// were spent before the store lost a write, or before its clock was set back.
    promised_from: usize,
    created_at: i64,
    pub(crate) authenticated_at: i64,
    pub(crate) last_seen: i64,
    pub(crate) idle_until: i64,
    absolute_until: i64,
    pub(crate) access_until: i64,
    /// Its own end. It may also have ended with others.
    pub(crate) own_end: Option<End>,
    pub(crate) ended_with_others: bool,
    /// The node that ended it, which must enforce that at once.
    pub(crate) ended_by: Option<usize>,
}

/// When and why a session ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) at: i64,
    pub(crate) reason: EndReason,
}

/// A request: its node, its client, and the user as the node finds it if it reads users again.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) node: usize,
    pub(crate) client: usize,
    pub(crate) user: Option<User>,
    pub(crate) now: i64,
    /// The time by a clock that is never set back.
    pub(crate) steady: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The current refresh token was spent for its successor.
    Advanced,
    /// As [`Advanced`](Self::Advanced), for a login that ended older sessions.
    MadeRoom,
    /// As [`Advanced`](Self::Advanced), for a token that the store says was never issued.
    Jumped,
    /// The current refresh token stayed, since the session had just been rotated.
    Kept,
    /// A spent refresh token was answered with the current one.
    Replayed,
    Recovered,
    /// The access token is good, and nothing was issued.
    Valid,
    /// An access token, and no refresh token.
    Renewed,
    Refused(Refusal),
}

impl Allowed {
    pub(crate) fn ttl(&self) -> i64 {
        self.ttl.unwrap_or(ACCESS)
    }
}

impl Modelled {
    pub(crate) fn begun(
        id: SessionId,
        client: usize,
        allowed: Allowed,
        limit: Option<Scopes>,
        now: i64,
    ) -> Self {
        let mut session = Self {
            id,
            client,
            allowed,
            version: 0,
            changed_by: None,
            limit,
            chain: Chain::default(),
            spent: Vec::new(),
            promised_from: 0,
            created_at: now,
            authenticated_at: now,
            last_seen: now,
            idle_until: now + IDLE,
            absolute_until: now + ABSOLUTE,
            access_until: now,
            own_end: None,
            ended_with_others: false,
            ended_by: None,
        };
        session.allow_access(now);
        session
    }

    pub(crate) fn current(&self) -> usize {
        usize::try_from(self.chain.current).unwrap()
    }

    fn time(&self, now: i64) -> i64 {
        RULES.time(self.last_seen, now)
    }

    /// Notes that the store's clock was set back to `now`.
    pub(crate) fn set_back(&mut self, now: i64) {
        if self.time(now) < self.last_seen {
            self.promised_from = self.current();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.own_end.is_some() || self.ended_with_others
    }

    pub(crate) fn live(&self, now: i64) -> bool {
        !self.has_ended() && self.time(now) < self.absolute_until
    }

    pub(crate) fn usable(&self, now: i64) -> bool {
        let until = self.idle_until.max(self.access_until);
        self.live(now) && self.time(now) < until
    }

    pub(crate) fn refreshable(&self, now: i64) -> bool {
        self.live(now) && self.time(now) < self.idle_until
    }

    /// Ends it alone, at a node.
    pub(crate) fn end(&mut self, node: usize, reason: EndReason, now: i64) {
        if self.has_ended() {
            return;
        }
        let at = self.time(now);
        self.own_end = Some(End { at, reason });
        self.access_until = self.access_until.max(at);
        self.ended_by = Some(node);
    }

    /// Ends it with others, at a node. That node then also enforces an end that came earlier.
    pub(crate) fn end_with_others(&mut self, node: usize) {
        if !self.has_ended() || node == 0 {
            self.ended_by = Some(node);
        }
        self.ended_with_others = true;
    }

    /// The refresh token of generation `presented`, for an access token with `asked` or all there
    /// is.
    pub(crate) fn refresh(
        &mut self,
        presented: usize,
        asked: Option<Scopes>,
        by: Asking,
    ) -> Outcome {
        let now = self.time(by.now);
        if !self.live(now) {
            return Outcome::Refused(Refusal::SessionEnded);
        }
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if now >= self.idle_until {
            return Outcome::Refused(Refusal::RefreshExpired);
        }
        let decision = self.chain.decide(generation(presented), now, &RULES);
        match decision {
            Decision::Keep => self.answered_again(Outcome::Kept, asked, by),
            Decision::Replay => self.answered_again(Outcome::Replayed, asked, by),
            Decision::Advance | Decision::Jump => match self.reload_user(asked, by) {
                Ok(()) => {
                    self.rotate(presented + 1, now, by.steady);
                    self.refreshed(now);
                    match decision {
                        Decision::Jump => Outcome::Jumped,
                        _ => Outcome::Advanced,
                    }
                }
                Err(refusal) => Outcome::Refused(refusal),
            },
            Decision::Recover => match self.reload_user(asked, by) {
                Ok(()) => {
                    self.chain.recover();
                    self.allow_access(now);
                    Outcome::Recovered
                }
                Err(refusal) => Outcome::Refused(refusal),
            },
            Decision::Reuse => {
                let (ago, current) = (by.steady - self.spent[presented], self.current());
                assert!(
                    ago > OVERLAP || presented < self.promised_from,
                    "a false alarm: generation {presented} of {current} was spent {ago} ms ago"
                );
                self.end(by.node, EndReason::Reuse, by.now);
                Outcome::Refused(Refusal::Reused)
            }
        }
    }

    /// An answer that changes nothing but the rights, to those that the user has now.
    fn answered_again(&mut self, outcome: Outcome, asked: Option<Scopes>, by: Asking) -> Outcome {
        match self.reload_user(asked, by) {
            Ok(()) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// A good access token of this session, together with its refresh token of generation
    /// `presented`.
    pub(crate) fn resume(&mut self, presented: usize, by: Asking) -> Outcome {
        let now = self.time(by.now);
        if presented != self.current() || !self.live(now) || self.refreshable(now) {
            return Outcome::Valid;
        }
        match self.reload_user(None, by) {
            Ok(()) => {
                self.rotate(presented + 1, now, by.steady);
                self.refreshed(now);
                Outcome::Advanced
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// A good access token of this session, to be exchanged for another one.
    pub(crate) fn renew(&mut self, by: Asking) -> Outcome {
        let now = self.time(by.now);
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if !self.live(now) {
            return Outcome::Refused(Refusal::Revoked);
        }
        match self.reload_user(None, by) {
            Ok(()) => {
                self.allow_access(now);
                Outcome::Renewed
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// A client with a good access token of this session proves who its user is, or fails to.
    pub(crate) fn reauthenticate(&mut self, right: bool, user: User, by: Asking) -> Outcome {
        let now = self.time(by.now);
        if !self.live(now) {
            return Outcome::Refused(Refusal::Revoked);
        }
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if !right || user.state == UserState::Deleted {
            return Outcome::Refused(Refusal::BadCredentials);
        }
        self.change(user.allowed, by);
        let outcome = match self.chain.has_just_rotated(now, &RULES) {
            true => Outcome::Kept,
            false => {
                self.rotate(self.current() + 1, now, by.steady);
                Outcome::Advanced
            }
        };
        self.refreshed(now);
        self.authenticated_at = now;
        outcome
    }

    /// Gives the session the rights that the user has now, if the node reads users again.
    fn reload_user(&mut self, asked: Option<Scopes>, by: Asking) -> Result<(), Refusal> {
        match by.user {
            Some(User {
                state: UserState::Deleted,
                ..
            }) => {
                self.end(by.node, EndReason::UserDeleted, by.now);
                return Err(Refusal::SessionEnded);
            }
            Some(User {
                state: UserState::Changed,
                allowed,
            }) => self.change(allowed, by),
            _ => {}
        }
        match exceeds(asked, self.allowed) {
            true => Err(Refusal::ScopeNotGranted),
            false => Ok(()),
        }
    }

    /// Changes the rights at a node. Access tokens from before are stale if they say other scopes.
    fn change(&mut self, allowed: Allowed, by: Asking) {
        let scopes = allowed.scopes & self.limit.unwrap_or(Scopes::MAX);
        if scopes != self.allowed.scopes {
            self.version += 1;
            self.changed_by = Some(by.node);
            self.access_until = self.access_until.max(self.time(by.now));
        }
        self.allowed = Allowed { scopes, ..allowed };
    }

    pub(crate) fn edge(&self, edge: Edge) -> i64 {
        let spent_at = self.chain.rotated.unwrap_or(self.created_at);
        match edge {
            Edge::Overlap => spent_at + OVERLAP,
            Edge::Recovery => spent_at + RECOVERY,
            Edge::Access => self.access_until + LEEWAY,
            Edge::Idle => self.idle_until,
            Edge::Absolute => self.absolute_until,
        }
    }

    /// Spends the current refresh token, and those up to `to` whose writes the store has lost.
    fn rotate(&mut self, to: usize, now: i64, steady: i64) {
        let from = self.current();
        if to > from + 1 {
            self.promised_from = from;
        } else if let Some(last) = self.spent.get(self.promised_from..).and_then(<[_]>::last) {
            let ago = steady - last;
            assert!(ago > OVERLAP, "rotated twice within {ago} ms");
        }
        self.spent.resize(to, steady);
        self.chain.rotate(generation(to), now);
    }

    fn refreshed(&mut self, now: i64) {
        let idle_until = (now + IDLE).min(self.absolute_until);
        self.idle_until = match self.last_seen > now {
            // The store's clock was set back, and the session lives as long as was said.
            true => idle_until.max(self.idle_until),
            false => idle_until,
        };
        self.last_seen = now;
        self.allow_access(now);
    }

    fn allow_access(&mut self, now: i64) {
        let until = (now + self.allowed.ttl()).min(self.absolute_until);
        self.access_until = self.access_until.max(until);
    }
}

fn generation(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

fn exceeds(asked: Option<Scopes>, allowed: Allowed) -> bool {
    asked.is_some_and(|asked| asked & !allowed.scopes != 0)
}

/// The master secrets that the nodes have: the active one, and until when each is accepted.
#[derive(Clone, Copy)]
pub(crate) struct Secrets {
    pub(crate) active: usize,
    pub(crate) until: [i64; SECRETS],
}

pub(crate) const SECRETS: usize = 3;
/// The end of a secret that has none.
pub(crate) const FOR_EVER: i64 = i64::MAX;
/// The end of a secret that no node has.
pub(crate) const NEVER: i64 = i64::MIN;

impl Secrets {
    pub(crate) const FIRST: Self = Self {
        active: 0,
        until: [FOR_EVER, NEVER, NEVER],
    };

    pub(crate) fn accept(&self, secret: usize, now: i64) -> bool {
        now < self.until[secret]
    }
}

/// How often each outcome of each step has come out so far.
#[derive(Default)]
pub(crate) struct Reached(BTreeMap<String, usize>);

impl Reached {
    pub(crate) fn note(&mut self, step: &str, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Refused(refusal) => refusal.reason().to_owned(),
            Outcome::MadeRoom => "made_room".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        *self.0.entry(format!("{step}: {outcome}")).or_default() += 1;
    }

    /// Fails if one of these never came out: then the code was never held to the model there.
    pub(crate) fn assert_all(&self, expected: &[(&str, &[&str])]) {
        let expected = expected.iter().flat_map(|(step, outcomes)| {
            let outcomes = outcomes.iter();
            outcomes.map(move |outcome| format!("{step}: {outcome}"))
        });
        let missed = Vec::from_iter(expected.filter(|outcome| !self.0.contains_key(outcome)));
        assert_eq!(missed, Vec::<String>::new(), "of {:?}", self.0);
    }
}
