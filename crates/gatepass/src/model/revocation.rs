//! Revocations, and the cutoff of an account.

use std::time::Duration;

use crate::{
    env::clock::Timestamp,
    model::{
        grant::Grant,
        ids::{AccountId, SessionId, SessionNumber, TokenId},
    },
};

/// A revocation: no token that it concerns is valid any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Revocation {
    /// The tokens that it concerns.
    pub target: RevocationTarget,
    /// The time after which, by a correct clock, no token that it concerns can be valid.
    pub until: Timestamp,
}

impl Revocation {
    /// How long a store keeps an entry past its `until`: the longest leeway that you can configure
    /// (5 min) plus the greatest tolerated clock error (5 min).
    pub const RETENTION_MARGIN: Duration = Duration::from_secs(600);
}

/// The tokens that a revocation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must be able to keep every kind there is"
)]
pub enum RevocationTarget {
    /// All access tokens of this session.
    Session(SessionId),
    /// This access token.
    Token(TokenId),
    /// All access tokens of the sessions of this account that the cutoff covers: a logout
    /// everywhere, however many sessions there were.
    ///
    /// A newer entry of an account includes all older ones, so a store keeps only the last.
    Sessions(AccountId, Cutoff),
    /// The access tokens of this session that were issued before its rights changed. The session
    /// lives, and its client refreshes. If the grant only offers other rights, the entry makes no
    /// token stale.
    ///
    /// A newer entry of a session includes all older ones, so a store keeps only the last.
    Grant(SessionId, Grant),
}

/// The sessions of an account that ended together: all up to a number, except at most one.
///
/// This is how a logout everywhere ends any number of sessions in one act of constant size.
///
/// ```
/// use gatepass::store::{Cutoff, SessionNumber};
///
/// let number = SessionNumber::new;
/// // The user of session 7 logs out everywhere else, when 9 is the newest session.
/// let others = Cutoff { up_to: number(9), except: Some(number(7)) };
/// assert!(others.covers(number(8)));
/// assert!(!others.covers(number(7)));
/// assert!(!others.covers(number(10)), "it began later");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Cutoff {
    /// The number of the last session that is over.
    pub up_to: SessionNumber,
    /// The one session up to that number that goes on.
    pub except: Option<SessionNumber>,
}

impl Cutoff {
    /// Ends all sessions up to `up_to`.
    #[must_use]
    pub const fn all(up_to: SessionNumber) -> Self {
        Self {
            up_to,
            except: None,
        }
    }

    /// Whether the session with this number is over.
    #[must_use]
    pub fn covers(&self, number: SessionNumber) -> bool {
        number <= self.up_to && self.except != Some(number)
    }

    /// The cutoff that covers all sessions that either of the two covers, and no others.
    ///
    /// The order doesn't matter, so a reader may learn of cutoffs in any order. At most one session
    /// up to the limit is covered by neither, and becomes the exception.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let up_to = self.up_to.max(other.up_to);
        let spared = |number: &SessionNumber| {
            *number <= up_to && !self.covers(*number) && !other.covers(*number)
        };
        let excepted = [self.except, other.except].into_iter().flatten();
        Self {
            up_to,
            except: excepted.into_iter().find(spared),
        }
    }
}
