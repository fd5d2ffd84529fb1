//! The rules of rotation in a few lines. The tests of one node and of several hold gatepass to
//! them.
//!
//! They know nothing of how gatepass does it. A time is a number, in the unit of the test.

use std::cmp::Ordering;

/// The policy of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For how long after a rotation a session keeps its refresh token and the spent one gets it as
    /// its answer. With 0 every refresh rotates.
    pub overlap: i64,
    /// For how long the last spent refresh token can be used again, once.
    pub recovery: i64,
    /// How far the store's clock may go back without being believed.
    pub jitter: i64,
}

/// The answer to a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The current token is spent for its successor.
    Advance,
    /// A token that the store says was never issued is spent: the store has lost a write.
    Jump,
    /// The current token stays, since the session has just been rotated.
    Keep,
    /// A spent token is answered with the current one, and nothing changes.
    Replay,
    /// The current token is handed out again.
    Recover,
    /// The token was stolen, or its thief has used it.
    Reuse,
}

/// The refresh tokens of a session. Each has a generation, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The generation of the token that is not spent.
    pub current: u32,
    /// The first generation that the last rotation spent.
    rotated_from: u32,
    /// The time of the last rotation.
    pub rotated: Option<i64>,
    /// The newest generation that was handed out again.
    recovered: Option<u32>,
}

impl Rules {
    /// The store's time as a session has it that was last seen at `last`: a little jitter doesn't
    /// make it run backwards.
    pub fn time(&self, last: i64, now: i64) -> i64 {
        match last - now <= self.jitter {
            true => now.max(last),
            false => now,
        }
    }
}

impl Chain {
    /// The decision about the token of generation `presented`.
    pub fn decide(&self, presented: u32, now: i64, rules: &Rules) -> Decision {
        let age = self.age(presented, now);
        match presented.cmp(&self.current) {
            Ordering::Greater => Decision::Jump,
            Ordering::Equal if rules.overlap > 0 && self.has_just_rotated(now, rules) => {
                Decision::Keep
            }
            Ordering::Equal => Decision::Advance,
            Ordering::Less if age.is_some_and(|age| age <= rules.overlap) => Decision::Replay,
            Ordering::Less
                if presented + 1 == self.current
                    && age.is_none_or(|age| age <= rules.recovery)
                    && self.recovered != Some(presented) =>
            {
                Decision::Recover
            }
            Ordering::Less => Decision::Reuse,
        }
    }

    /// Whether the last rotation was at most one overlap ago.
    pub fn has_just_rotated(&self, now: i64, rules: &Rules) -> bool {
        let last = self.current.checked_sub(1);
        let age = last.and_then(|last| self.age(last, now));
        age.is_some_and(|age| age <= rules.overlap)
    }

    /// How long ago a generation was spent, if the last rotation spent it and the store's clock has
    /// not been set back to before that.
    fn age(&self, generation: u32, now: i64) -> Option<i64> {
        let at = self.rotated?;
        let last = (self.rotated_from..self.current).contains(&generation);
        (last && at <= now).then_some(now - at)
    }

    /// Spends the current token, and those up to `to` whose writes the store has lost.
    pub fn rotate(&mut self, to: u32, now: i64) {
        self.rotated_from = self.current;
        self.current = to;
        self.rotated = Some(now);
    }

    /// Hands the current token out again.
    pub fn recover(&mut self) {
        self.recovered = Some(self.current);
    }
}
