//! What sessions of one subject are, one operation after the other: the store that the real ones must look like.
//!
//! No time passes. A spent refresh token is therefore answered with the current one for as long as the session
//! remembers it, and is a theft afterwards.

use std::{collections::BTreeSet, fmt};

use gatepass::SPENT_REMEMBERED;

/// A session of the subject's, by the order in which it was first heard of.
pub(crate) type Which = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Login,
    Refresh { session: Which, generation: u32 },
    Logout { session: Which },
    LogoutAll,
    List,
    Check { session: Which },
}

/// What somebody was told of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Began(Which),
    /// The generation of the refresh token that came back.
    Refreshed(u32),
    SessionEnded,
    Reused,
    LoggedOut,
    /// How many sessions that ended, where it matters.
    LoggedOutAll(Option<usize>),
    Listed(BTreeSet<Which>),
    Live,
    Revoked,
    /// The store failed: it may be done now, later or never.
    Lost,
}

/// A step of the model. An operation is one, but for one that ends a session because a spent token came back: it
/// looks first and ends then, and others may act between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Whole(Op, Outcome),
    SeeReuse { session: Which, generation: u32 },
    EndReused { session: Which },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Life {
    generation: u32,
    ended: bool,
}

/// All sessions of the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Model {
    /// Those that somebody has heard of, once they have begun.
    known: Vec<Option<Life>>,
    /// How many live ones there are whose login was lost and that nobody will ever hear of.
    unheard: usize,
}

impl Op {
    /// The steps of this operation, if it came to `outcome`.
    pub(crate) fn steps(self, outcome: &Outcome) -> Vec<Step> {
        match (self, outcome) {
            (
                Self::Refresh {
                    session,
                    generation,
                },
                Outcome::Reused,
            ) => vec![
                Step::SeeReuse {
                    session,
                    generation,
                },
                Step::EndReused { session },
            ],
            // Nobody was told, and it changes nothing.
            (Self::List | Self::Check { .. }, Outcome::Lost) => vec![],
            _ => vec![Step::Whole(self, outcome.clone())],
        }
    }
}

impl Model {
    /// The model of a subject of whom `sessions` are heard in all.
    pub(crate) fn new(sessions: usize) -> Self {
        Self {
            known: vec![None; sessions],
            unheard: 0,
        }
    }

    /// What the step leads to: several models where the outcome leaves that open, none if it cannot be.
    ///
    /// A lost operation that does nothing is never done: none, too. `announced` are the sessions whose login somebody
    /// was told of; another can only be of a lost login.
    pub(crate) fn after(&self, step: &Step, announced: &BTreeSet<Which>) -> Vec<Self> {
        match step {
            Step::SeeReuse {
                session,
                generation,
            } => self.when(self.is_reuse(*session, *generation)),
            Step::EndReused { session } => vec![self.with_end_of(*session)],
            Step::Whole(op, Outcome::Lost) => self.after_lost(*op, announced),
            Step::Whole(op, outcome) => self.after_told(*op, outcome),
        }
    }

    fn after_told(&self, op: Op, outcome: &Outcome) -> Vec<Self> {
        match (op, outcome) {
            (Op::Login, Outcome::Began(session)) => Vec::from_iter(self.with_begun(*session)),
            (
                Op::Refresh {
                    session,
                    generation,
                },
                Outcome::Refreshed(to),
            ) => match self.live(session) {
                Some(life) if generation == life.generation && *to == generation + 1 => {
                    vec![self.with_generation(session, *to)]
                }
                Some(life) => {
                    let gap = life.generation.checked_sub(generation);
                    let remembered = gap.is_some_and(|gap| (1..=remembered()).contains(&gap));
                    self.when(remembered && *to == life.generation)
                }
                None => vec![],
            },
            (Op::Refresh { session, .. }, Outcome::SessionEnded)
            | (Op::Check { session }, Outcome::Revoked) => self.when(self.is_ended(session)),
            (Op::Logout { session }, Outcome::LoggedOut) => vec![self.with_end_of(session)],
            (Op::LogoutAll, Outcome::LoggedOutAll(count)) => {
                let live = self.live_ones().len() + self.unheard;
                match count.is_none_or(|count| count == live) {
                    true => vec![self.with_end_of_all()],
                    false => vec![],
                }
            }
            (Op::List, Outcome::Listed(listed)) => {
                self.when(self.unheard == 0 && self.live_ones() == *listed)
            }
            (Op::Check { session }, Outcome::Live) => self.when(self.live(session).is_some()),
            _ => vec![],
        }
    }

    fn after_lost(&self, op: Op, announced: &BTreeSet<Which>) -> Vec<Self> {
        match op {
            Op::Login => {
                let heard_of = (0..self.known.len()).filter(|one| !announced.contains(one));
                let mut after = Vec::from_iter(heard_of.filter_map(|one| self.with_begun(one)));
                after.push(Self {
                    unheard: self.unheard + 1,
                    ..self.clone()
                });
                after
            }
            Op::Refresh {
                session,
                generation,
            } => match self.live(session) {
                Some(life) if life.generation == generation => {
                    vec![self.with_generation(session, generation + 1)]
                }
                Some(_) if self.is_reuse(session, generation) => vec![self.with_end_of(session)],
                _ => vec![],
            },
            Op::Logout { session } => match self.live(session) {
                Some(_) => vec![self.with_end_of(session)],
                None => vec![],
            },
            Op::LogoutAll => match self.live_ones().len() + self.unheard {
                0 => vec![],
                _ => vec![self.with_end_of_all()],
            },
            Op::List | Op::Check { .. } => vec![],
        }
    }

    fn when(&self, possible: bool) -> Vec<Self> {
        match possible {
            true => vec![self.clone()],
            false => vec![],
        }
    }

    fn live(&self, session: Which) -> Option<Life> {
        self.known[session].filter(|life| !life.ended)
    }

    fn is_ended(&self, session: Which) -> bool {
        self.known[session].is_some_and(|life| life.ended)
    }

    fn is_reuse(&self, session: Which, generation: u32) -> bool {
        self.live(session)
            .is_some_and(|life| life.generation > generation + remembered())
    }

    fn live_ones(&self) -> BTreeSet<Which> {
        (0..self.known.len())
            .filter(|session| self.live(*session).is_some())
            .collect()
    }

    fn with_begun(&self, session: Which) -> Option<Self> {
        let mut after = self.clone();
        let place = &mut after.known[session];
        if place.is_some() {
            return None;
        }
        *place = Some(Life {
            generation: 0,
            ended: false,
        });
        Some(after)
    }

    fn with_generation(&self, session: Which, generation: u32) -> Self {
        let mut after = self.clone();
        if let Some(life) = &mut after.known[session] {
            life.generation = generation;
        }
        after
    }

    fn with_end_of(&self, session: Which) -> Self {
        let mut after = self.clone();
        if let Some(life) = &mut after.known[session] {
            life.ended = true;
        }
        after
    }

    fn with_end_of_all(&self) -> Self {
        let mut after = self.clone();
        for life in after.known.iter_mut().flatten() {
            life.ended = true;
        }
        after.unheard = 0;
        after
    }
}

fn remembered() -> u32 {
    u32::try_from(SPENT_REMEMBERED).unwrap()
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
            Self::List => write!(f, "list"),
            Self::Check { session } => write!(f, "check {session}"),
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
            Self::LoggedOutAll(Some(count)) => write!(f, "{count} ended"),
            Self::LoggedOutAll(None) => write!(f, "done"),
            Self::Listed(sessions) => write!(f, "{sessions:?}"),
            Self::Live => write!(f, "live"),
            Self::Revoked => write!(f, "revoked"),
            Self::Lost => write!(f, "lost"),
        }
    }
}
