//! What becomes of a session, in a few lines that keep every generation of it.

use std::collections::BTreeMap;

use gatepass::{Refusal, SessionId};

use crate::steps::Edge;

pub(crate) const ACCESS: i64 = 15 * 60_000;
pub(crate) const IDLE: i64 = 3_600_000;
pub(crate) const ABSOLUTE: i64 = 5 * IDLE / 2;
pub(crate) const OVERLAP: i64 = 30_000;
pub(crate) const RECOVERY: i64 = 10 * 60_000;
pub(crate) const LEEWAY: i64 = 30_000;

/// A set of scopes, one bit for each.
pub(crate) type Scopes = u8;

/// What the application allows a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Granted {
    pub(crate) scopes: Scopes,
    /// The lifetime of access tokens, where it is another than the configured one.
    pub(crate) ttl: Option<i64>,
}

/// A user, as the application has it now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) granted: Granted,
    pub(crate) state: UserState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum UserState {
    /// Whoever reads it again learns nothing new.
    Unchanged,
    Changed,
    Gone,
}

/// A session as the model has it. All times are milliseconds.
pub(crate) struct Modelled {
    pub(crate) id: SessionId,
    pub(crate) client: usize,
    pub(crate) granted: Granted,
    /// The scopes that the client asked for at login, which it never exceeds.
    limit: Option<Scopes>,
    /// When each generation before the current one was spent.
    spent_at: Vec<i64>,
    /// Of every generation, the current one too, whether it was handed out again.
    recovered: Vec<bool>,
    pub(crate) created_at: i64,
    pub(crate) authenticated_at: i64,
    last_seen: i64,
    pub(crate) idle_until: i64,
    absolute_until: i64,
    pub(crate) access_until: i64,
    pub(crate) ended: bool,
    /// The node that ended it, which must enforce that at once.
    pub(crate) ended_by: Option<usize>,
}

/// Who asks for something: at which node, for which client, and what that node learns of the user if it
/// reads it again.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) node: usize,
    pub(crate) client: usize,
    pub(crate) user: Option<User>,
    pub(crate) now: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The current refresh token was spent for its successor.
    Advanced,
    /// As [`Advanced`](Self::Advanced), for a token that the store says was never issued.
    Jumped,
    Replayed,
    Recovered,
    /// The access token is good, and nothing was issued.
    Valid,
    /// An access token, and no refresh token.
    Renewed,
    Refused(Refusal),
}

impl Modelled {
    pub(crate) fn begun(
        id: SessionId,
        client: usize,
        granted: Granted,
        limit: Option<Scopes>,
        now: i64,
    ) -> Self {
        let mut session = Self {
            id,
            client,
            granted,
            limit,
            spent_at: Vec::new(),
            recovered: vec![false],
            created_at: now,
            authenticated_at: now,
            last_seen: now,
            idle_until: now + IDLE,
            absolute_until: now + ABSOLUTE,
            access_until: now,
            ended: false,
            ended_by: None,
        };
        session.allow_access(now);
        session
    }

    pub(crate) fn current(&self) -> usize {
        self.spent_at.len()
    }

    pub(crate) fn ttl(&self) -> i64 {
        self.granted.ttl.unwrap_or(ACCESS)
    }

    pub(crate) fn live(&self, now: i64) -> bool {
        !self.ended && now.max(self.last_seen) < self.absolute_until
    }

    pub(crate) fn usable(&self, now: i64) -> bool {
        let until = self.idle_until.max(self.access_until);
        self.live(now) && now.max(self.last_seen) < until
    }

    pub(crate) fn refreshable(&self, now: i64) -> bool {
        self.live(now) && now.max(self.last_seen) < self.idle_until
    }

    pub(crate) fn end(&mut self, node: usize) -> bool {
        if self.ended {
            return false;
        }
        self.ended = true;
        self.ended_by = Some(node);
        true
    }

    /// The refresh token of generation `presented`, for an access token with `asked` or all there is.
    pub(crate) fn refresh(
        &mut self,
        presented: usize,
        asked: Option<Scopes>,
        by: Asking,
    ) -> Outcome {
        let now = by.now.max(self.last_seen);
        if !self.live(now) {
            return Outcome::Refused(Refusal::SessionEnded);
        }
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if now >= self.idle_until {
            return Outcome::Refused(Refusal::RefreshExpired);
        }
        let current = self.current();
        if presented >= current {
            return match self.reread(asked, by) {
                Ok(granted) => {
                    self.advance(presented + 1, granted, now);
                    match presented == current {
                        true => Outcome::Advanced,
                        false => Outcome::Jumped,
                    }
                }
                Err(refusal) => Outcome::Refused(refusal),
            };
        }
        let gap = current - presented;
        let age = now - self.spent_at[presented];
        if gap <= 4 && age <= OVERLAP {
            return match exceeds(asked, self.granted) {
                true => Outcome::Refused(Refusal::ScopeNotGranted),
                false => Outcome::Replayed,
            };
        }
        if gap == 1 && age <= RECOVERY && !self.recovered[presented] {
            return match self.reread(asked, by) {
                Ok(granted) => {
                    self.recovered[current] = true;
                    self.granted = granted;
                    self.allow_access(now);
                    Outcome::Recovered
                }
                Err(refusal) => Outcome::Refused(refusal),
            };
        }
        self.end(by.node);
        Outcome::Refused(Refusal::Reused)
    }

    /// A good access token of this session, together with its refresh token of generation `presented`.
    pub(crate) fn resume(&mut self, presented: usize, by: Asking) -> Outcome {
        let now = by.now.max(self.last_seen);
        if presented != self.current() || !self.live(now) || self.refreshable(now) {
            return Outcome::Valid;
        }
        match self.reread(None, by) {
            Ok(granted) => {
                self.advance(presented + 1, granted, now);
                Outcome::Advanced
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// A good access token of this session, to be exchanged for another one.
    pub(crate) fn renew(&mut self, by: Asking) -> Outcome {
        let now = by.now.max(self.last_seen);
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if !self.live(now) {
            return Outcome::Refused(Refusal::Revoked);
        }
        match self.reread(None, by) {
            Ok(granted) => {
                self.granted = granted;
                self.allow_access(now);
                Outcome::Renewed
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Somebody with a good access token of this session proves who they are, or does not.
    pub(crate) fn reauthenticate(&mut self, right: bool, user: User, by: Asking) -> Outcome {
        let now = by.now.max(self.last_seen);
        if !self.live(now) {
            return Outcome::Refused(Refusal::Revoked);
        }
        if self.client != by.client {
            return Outcome::Refused(Refusal::WrongClient);
        }
        if !right || user.state == UserState::Gone {
            return Outcome::Refused(Refusal::BadCredentials);
        }
        self.advance(self.current() + 1, self.limited(user.granted), now);
        self.authenticated_at = now;
        Outcome::Advanced
    }

    /// What the session allows once the user has been read again. Nothing of it is kept yet.
    fn reread(&mut self, asked: Option<Scopes>, by: Asking) -> Result<Granted, Refusal> {
        let granted = match by.user {
            Some(User {
                state: UserState::Gone,
                ..
            }) => {
                self.end(by.node);
                return Err(Refusal::SessionEnded);
            }
            Some(User {
                state: UserState::Changed,
                granted,
            }) => self.limited(granted),
            _ => self.granted,
        };
        match exceeds(asked, granted) {
            true => Err(Refusal::ScopeNotGranted),
            false => Ok(granted),
        }
    }

    fn limited(&self, granted: Granted) -> Granted {
        Granted {
            scopes: granted.scopes & self.limit.unwrap_or(Scopes::MAX),
            ..granted
        }
    }

    pub(crate) fn edge(&self, edge: Edge) -> i64 {
        let spent_at = self.spent_at.last().copied().unwrap_or(self.created_at);
        match edge {
            Edge::Overlap => spent_at + OVERLAP,
            Edge::Recovery => spent_at + RECOVERY,
            Edge::Access => self.access_until + LEEWAY,
            Edge::Idle => self.idle_until,
            Edge::Absolute => self.absolute_until,
        }
    }

    fn advance(&mut self, to: usize, granted: Granted, now: i64) {
        self.spent_at.resize(to, now);
        self.recovered.resize(to + 1, false);
        self.last_seen = now;
        self.idle_until = (now + IDLE).min(self.absolute_until);
        self.granted = granted;
        self.allow_access(now);
    }

    fn allow_access(&mut self, now: i64) {
        let until = (now + self.ttl()).min(self.absolute_until);
        self.access_until = self.access_until.max(until);
    }
}

fn exceeds(asked: Option<Scopes>, granted: Granted) -> bool {
    asked.is_some_and(|asked| asked & !granted.scopes != 0)
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
