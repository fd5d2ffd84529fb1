//! The model: the sessions of one subject, with one operation after another. The real stores must
//! look like it.
//!
//! Time passes in ticks, between operations and during them. A store reads the clock at some moment
//! of an operation, so the model tries each time that the clock showed during the operation. A
//! session that rotated at most one [`OVERLAP`] ago keeps its refresh token, and the previous token
//! is answered with the current one. After that, the previous token can be recovered once. Every
//! other spent token is a reuse. No session lives long enough to expire, and no recovery period
//! ends.

use std::{collections::BTreeSet, fmt, time::Duration};

use test_support::oracle::{Chain, Decision, Rules};

/// A session of the subject, by the order of the store's numbers.
pub(crate) type Which = usize;

/// How far the clock moves in one step.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// The same as a tick: two ticks after a rotation, the session can rotate again.
pub(crate) const OVERLAP: Duration = TICK;

/// The policy of the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A session rotates at most once per overlap, and a reuse ends it.
    #[default]
    Overlap,
    /// Every refresh rotates, so clients compete for each generation. A reuse is refused, and the
    /// session continues.
    NoOverlap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Login,
    Refresh {
        session: Which,
        generation: u32,
    },
    Logout {
        session: Which,
    },
    LogoutAll,
    /// Ends all sessions except this one, which doesn't change.
    LogoutOthers {
        session: Which,
    },
    List,
    /// Changes the rights of the session.
    Change {
        session: Which,
    },
    /// Asks the store about an access token with this version of the rights.
    Check {
        session: Which,
        version: u32,
    },
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Began(Which),
    /// The generation of the new refresh token.
    Refreshed(u32),
    SessionEnded,
    Reused,
    LoggedOut,
    /// The live sessions, newest first.
    Listed(Vec<Which>),
    Live,
    /// Live, but with a token from before a change.
    Stale,
    Revoked,
    Changed,
    /// The store failed. The operation may happen now, later or never.
    Lost,
}

/// A step of the model. An operation is one step, with two exceptions: a reuse that ends its
/// session, and a replay for which the node loads the user again. In these, the node first reads,
/// and others may act before it continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Whole(Op, Outcome),
    SeeReplay {
        session: Which,
        generation: u32,
    },
    /// Answers with the refresh token that is current then.
    Answer {
        session: Which,
        generation: u32,
    },
    SeeReuse {
        session: Which,
        generation: u32,
    },
    EndReused {
        session: Which,
    },
    /// The access token of a refresh has the session's rights at that moment.
    SeeRights {
        session: Which,
        version: u32,
    },
}

/// Whether the node with this number loads the user again at each refresh.
pub(crate) const fn reloads(node: usize) -> bool {
    node % 2 == 1
}

/// The first and the last tick that the clock showed during an operation.
pub(crate) type Ticks = (i64, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    /// The login has not happened yet.
    Unborn,
    Live(Chain),
    Ended,
}

/// All sessions of the subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Model {
    /// The sessions of which a client knows.
    known: Vec<Life>,
    /// The live ones among them, in the order in which they began.
    live: Vec<Which>,
    /// How often the rights of each known session have changed.
    versions: Vec<u32>,
    /// Number of other live sessions. The answers to their logins were lost, so no client will ever
    /// know them.
    unheard: usize,
}

impl Op {
    /// The steps of this operation with the outcome `outcome`, at a node that `reloads` users or
    /// doesn't.
    pub(crate) fn steps(self, outcome: &Outcome, reloads: bool, policy: Policy) -> Vec<Step> {
        match (self, outcome) {
            // A token that was rotated twice is no longer a replay. It was one when the node read
            // the session.
            (
                Self::Refresh {
                    session,
                    generation: presented,
                },
                Outcome::Refreshed(generation),
            ) if reloads && *generation > presented + 1 => vec![
                Step::SeeReplay {
                    session,
                    generation: presented,
                },
                Step::Answer {
                    session,
                    generation: *generation,
                },
            ],
            (
                Self::Refresh {
                    session,
                    generation,
                },
                Outcome::Reused,
            ) => {
                let see = Step::SeeReuse {
                    session,
                    generation,
                };
                match policy {
                    Policy::Overlap => vec![see, Step::EndReused { session }],
                    Policy::NoOverlap => vec![see],
                }
            }
            // The client got no answer, and the operation changes nothing.
            (Self::List | Self::Check { .. }, Outcome::Lost) => vec![],
            _ => vec![Step::Whole(self, outcome.clone())],
        }
    }
}

impl Step {
    /// Whether the step changes no session, at any place in the order.
    pub(crate) fn only_looks(&self) -> bool {
        match self {
            Self::Whole(Op::Refresh { generation, .. }, Outcome::Refreshed(to)) => generation == to,
            Self::Whole(_, outcome) => matches!(
                outcome,
                Outcome::SessionEnded
                    | Outcome::Listed(_)
                    | Outcome::Live
                    | Outcome::Stale
                    | Outcome::Revoked
            ),
            Self::SeeReplay { .. }
            | Self::Answer { .. }
            | Self::SeeReuse { .. }
            | Self::SeeRights { .. } => true,
            Self::EndReused { .. } => false,
        }
    }

    /// The session whose time of rotation matters for this step.
    pub(crate) const fn refreshes(&self) -> Option<Which> {
        match self {
            Self::Whole(Op::Refresh { session, .. }, _)
            | Self::SeeReplay { session, .. }
            | Self::SeeReuse { session, .. } => Some(*session),
            Self::Whole(..)
            | Self::Answer { .. }
            | Self::EndReused { .. }
            | Self::SeeRights { .. } => None,
        }
    }
}

impl Policy {
    /// The policy's rules, in ticks. A slow operation brings an old time, which counts as jitter.
    /// Spent tokens stay in their recovery period.
    const fn rules(self) -> Rules {
        Rules {
            overlap: match self {
                Self::Overlap => 1,
                Self::NoOverlap => 0,
            },
            recovery: i64::MAX,
            jitter: 10,
        }
    }
}

/// The session's time.
fn time(session: &Chain, now: i64, policy: Policy) -> i64 {
    let last = session.rotated.unwrap_or(now);
    policy.rules().time(last, now)
}

fn advanced(mut session: Chain, now: i64, policy: Policy) -> Chain {
    session.rotate(session.current + 1, time(&session, now, policy));
    session
}

fn recovered(mut session: Chain) -> Chain {
    session.recover();
    session
}

impl Model {
    /// The model of a subject. Clients will know `sessions` sessions.
    pub(crate) fn new(sessions: usize) -> Self {
        Self {
            known: vec![Life::Unborn; sessions],
            live: Vec::new(),
            versions: vec![0; sessions],
            unheard: 0,
        }
    }

    /// The models after the step: several if the outcome leaves that open, none if the step is
    /// impossible here.
    ///
    /// A lost operation that does nothing has not happened, so the result is none as well.
    /// `announced` are the sessions whose login was answered. Every other session belongs to a lost
    /// login.
    pub(crate) fn after(
        &self,
        step: &Step,
        ticks: Ticks,
        announced: &BTreeSet<Which>,
        policy: Policy,
    ) -> Vec<Self> {
        match step {
            Step::SeeReuse {
                session,
                generation,
            } => {
                self.when(self.may_decide(&[Decision::Reuse], *session, *generation, ticks, policy))
            }
            Step::SeeReplay {
                session,
                generation,
            } => {
                let replays = [Decision::Keep, Decision::Replay];
                self.when(self.may_decide(&replays, *session, *generation, ticks, policy))
            }
            Step::Answer {
                session,
                generation,
            } => {
                let session = self.session(*session);
                self.when(session.is_some_and(|session| session.current == *generation))
            }
            Step::EndReused { session } => vec![self.with_end_of(*session)],
            Step::SeeRights { session, version } => {
                self.when(self.session(*session).is_some() && self.versions[*session] == *version)
            }
            Step::Whole(op, Outcome::Lost) => self.after_lost(*op, ticks, announced, policy),
            Step::Whole(op, outcome) => self.after_told(*op, outcome, ticks, policy),
        }
    }

    fn after_told(&self, op: Op, outcome: &Outcome, ticks: Ticks, policy: Policy) -> Vec<Self> {
        match (op, outcome) {
            (Op::Login, Outcome::Began(session)) => Vec::from_iter(self.with_begun(*session)),
            (
                Op::Refresh {
                    session,
                    generation,
                },
                Outcome::Refreshed(to),
            ) => {
                let decisions = self.decisions(session, generation, ticks, policy);
                let after = decisions.into_iter().filter_map(|(now, decision)| {
                    let before = self.session(session)?;
                    let after = match decision {
                        Decision::Advance => advanced(before, now, policy),
                        Decision::Keep | Decision::Replay => before,
                        Decision::Recover => recovered(before),
                        Decision::Reuse | Decision::Jump => return None,
                    };
                    (after.current == *to).then(|| self.with(session, after))
                });
                after.collect()
            }
            (Op::Refresh { session, .. }, Outcome::SessionEnded)
            | (Op::Change { session }, Outcome::SessionEnded)
            | (Op::Check { session, .. }, Outcome::Revoked) => {
                self.when(self.known[session] == Life::Ended)
            }
            (Op::Logout { session }, Outcome::LoggedOut) => vec![self.with_end_of(session)],
            (Op::LogoutAll, Outcome::LoggedOut) => vec![self.with_end_of_all_but(None)],
            (Op::LogoutOthers { session }, Outcome::LoggedOut) => {
                vec![self.with_end_of_all_but(Some(session))]
            }
            (Op::List, Outcome::Listed(listed)) => {
                self.when(self.unheard == 0 && self.live.iter().rev().eq(listed))
            }
            (Op::Change { session }, Outcome::Changed) => self.with_change_of(session),
            (Op::Check { session, version }, Outcome::Live) => {
                self.when(self.session(session).is_some() && self.versions[session] == version)
            }
            (Op::Check { session, version }, Outcome::Stale) => {
                self.when(self.session(session).is_some() && self.versions[session] > version)
            }
            _ => vec![],
        }
    }

    fn after_lost(
        &self,
        op: Op,
        ticks: Ticks,
        announced: &BTreeSet<Which>,
        policy: Policy,
    ) -> Vec<Self> {
        let after = match op {
            Op::Login => {
                let heard_of = (0..self.known.len()).filter(|one| !announced.contains(one));
                let mut after = Vec::from_iter(heard_of.filter_map(|one| self.with_begun(one)));
                after.push(Self {
                    unheard: self.unheard + 1,
                    ..self.clone()
                });
                return after;
            }
            Op::Refresh {
                session,
                generation,
            } => {
                let decisions = self.decisions(session, generation, ticks, policy);
                let after = decisions.into_iter().filter_map(|(now, decision)| {
                    let before = self.session(session)?;
                    match decision {
                        Decision::Advance => {
                            Some(self.with(session, advanced(before, now, policy)))
                        }
                        Decision::Recover => Some(self.with(session, recovered(before))),
                        Decision::Reuse if policy == Policy::Overlap => {
                            Some(self.with_end_of(session))
                        }
                        Decision::Reuse | Decision::Jump | Decision::Keep | Decision::Replay => {
                            None
                        }
                    }
                });
                after.collect()
            }
            Op::Logout { session } => vec![self.with_end_of(session)],
            Op::LogoutAll => vec![self.with_end_of_all_but(None)],
            Op::LogoutOthers { session } => vec![self.with_end_of_all_but(Some(session))],
            Op::Change { session } => self.with_change_of(session),
            Op::List | Op::Check { .. } => vec![],
        };
        after.into_iter().filter(|after| after != self).collect()
    }

    /// Forgets rotations that no longer affect a later refresh. `earliest` returns the first tick
    /// of the refreshes of a session. So models that can't be distinguished become equal.
    pub(crate) fn forget_rotations(&mut self, earliest: impl Fn(Which) -> Option<i64>) {
        for (number, life) in self.known.iter_mut().enumerate() {
            if let Life::Live(session) = life
                && let Some(at) = session.rotated
                && earliest(number).is_none_or(|earliest| earliest > at + 1)
            {
                session.rotated = None;
            }
        }
    }

    fn when(&self, possible: bool) -> Vec<Self> {
        match possible {
            true => vec![self.clone()],
            false => vec![],
        }
    }

    /// The session, if it is live.
    fn session(&self, session: Which) -> Option<Chain> {
        match self.known[session] {
            Life::Live(session) => Some(session),
            Life::Unborn | Life::Ended => None,
        }
    }

    /// The decisions about a refresh token at each of these ticks.
    fn decisions(
        &self,
        session: Which,
        presented: u32,
        (from, to): Ticks,
        policy: Policy,
    ) -> Vec<(i64, Decision)> {
        let Some(session) = self.session(session) else {
            return vec![];
        };
        let decide = |now| {
            let decision = session.decide(presented, time(&session, now, policy), &policy.rules());
            // No client has a token that the store doesn't know.
            (decision != Decision::Jump).then_some((now, decision))
        };
        (from..=to).filter_map(decide).collect()
    }

    fn may_decide(
        &self,
        any: &[Decision],
        session: Which,
        presented: u32,
        ticks: Ticks,
        policy: Policy,
    ) -> bool {
        let decisions = self.decisions(session, presented, ticks, policy);
        decisions.iter().any(|(_, decided)| any.contains(decided))
    }

    /// The store numbers sessions in the order in which they begin.
    fn with_begun(&self, session: Which) -> Option<Self> {
        let later = &self.known[session..];
        if later.iter().any(|life| *life != Life::Unborn) {
            return None;
        }
        let mut after = self.with(session, Chain::default());
        after.live.push(session);
        Some(after)
    }

    fn with(&self, session: Which, life: Chain) -> Self {
        let mut after = self.clone();
        after.known[session] = Life::Live(life);
        after
    }

    fn with_end_of(&self, session: Which) -> Self {
        let mut after = self.clone();
        if after.known[session] != Life::Unborn {
            after.known[session] = Life::Ended;
        }
        after.live.retain(|live| *live != session);
        after
    }

    /// Changes the rights of the session, if it is live.
    fn with_change_of(&self, session: Which) -> Vec<Self> {
        if self.session(session).is_none() {
            return vec![];
        }
        let mut after = self.clone();
        after.versions[session] += 1;
        vec![after]
    }

    /// Ends all sessions at once. `kept` continues, unless it has ended.
    fn with_end_of_all_but(&self, kept: Option<Which>) -> Self {
        let others = self.live.iter().filter(|session| Some(**session) != kept);
        let mut after = others.fold(self.clone(), |after, other| after.with_end_of(*other));
        after.unheard = 0;
        after
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login => write!(f, "login"),
            Self::Refresh {
                session,
                generation,
            } => write!(f, "refresh {session} with generation {generation}"),
            Self::Logout { session } => write!(f, "logout of {session}"),
            Self::LogoutAll => write!(f, "logout everywhere"),
            Self::LogoutOthers { session } => write!(f, "logout everywhere but {session}"),
            Self::List => write!(f, "list"),
            Self::Change { session } => write!(f, "change of {session}"),
            Self::Check { session, version } => {
                write!(f, "check {session} with version {version}")
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(session) => write!(f, "session {session}"),
            Self::Refreshed(generation) => write!(f, "generation {generation}"),
            Self::SessionEnded => write!(f, "refused: it has ended"),
            Self::Reused => write!(f, "refused: reused"),
            Self::LoggedOut => write!(f, "done"),
            Self::Listed(sessions) => write!(f, "{sessions:?}"),
            Self::Live => write!(f, "live"),
            Self::Stale => write!(f, "refused: stale"),
            Self::Changed => write!(f, "changed"),
            Self::Revoked => write!(f, "revoked"),
            Self::Lost => write!(f, "lost"),
        }
    }
}
