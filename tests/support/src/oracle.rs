//! The rules of rotation in a few lines. The tests of one node and of several nodes compare
//! gatepass with them.
//!
//! The rules don't depend on gatepass's code. A time is a number, in the unit of the test.

use std::cmp::Ordering;

/// The policy of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long after a rotation the session keeps its refresh token, and a spent token is answered
    /// with it. With 0, every refresh rotates.
    pub overlap: i64,
    /// How long the last spent refresh token can be used again, once.
    pub recovery: i64,
    /// How far the store's clock may jump back and still be ignored.
    pub jitter: i64,
}

/// The answer to a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The current token is spent for its successor.
    Advance,
    /// The store says that the presented token was never issued, so the store has lost a write. The
    /// token is spent.
    Jump,
    /// The current token stays, because the last rotation was a moment ago.
    Keep,
    /// A spent token is answered with the current one. Nothing changes.
    Replay,
    /// The current token is issued again.
    Recover,
    /// A thief has used the token.
    Reuse,
}

/// The refresh tokens of a session. Each has a generation, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The generation of the current token.
    pub current: u32,
    /// The first generation that the last rotation spent.
    rotated_from: u32,
    /// The time of the last rotation.
    pub rotated: Option<i64>,
    /// The newest generation that was recovered.
    recovered: Option<u32>,
}

impl Rules {
    /// The store's time for a session that was last seen at `last`. A small jitter doesn't turn the
    /// time back.
    pub fn time(&self, last: i64, now: i64) -> i64 {
        match last - now <= self.jitter {
            true => now.max(last),
            false => now,
        }
    }
}

impl Chain {
    /// The decision about a token of the generation `presented`.
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

    /// How long ago a generation was spent. `None` if the last rotation didn't spend it, or if the
    /// store's clock has been set back to an earlier time.
    fn age(&self, generation: u32, now: i64) -> Option<i64> {
        let at = self.rotated?;
        let last = (self.rotated_from..self.current).contains(&generation);
        (last && at <= now).then_some(now - at)
    }

    /// Spends the current token, and all tokens up to `to` whose writes the store has lost.
    pub fn rotate(&mut self, to: u32, now: i64) {
        self.rotated_from = self.current;
        self.current = to;
        self.rotated = Some(now);
    }

    /// Issues the current token again.
    pub fn recover(&mut self) {
        self.recovered = Some(self.current);
    }
}
