//! An account as stores keep it. It tells which sessions are over without a look at each of them.

use crate::{
    env::clock::Timestamp,
    model::{
        changes::NewSession,
        ids::{AccountId, SessionNumber},
        revocation::{Cutoff, Revocation, RevocationTarget},
        session::{EndReason, Ended, Session},
    },
};

/// An account: one row, however many sessions it has.
///
/// Its methods are the only ways to change it, and they are pure. A store that can lock the row
/// applies the methods as they are. Other stores express the same changes in their own language
/// (SQL, Lua), and the contract suite of `gatepass-testkit` checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The number of the session that began last.
    pub last: SessionNumber,
    /// The latest absolute end of all sessions that have begun. Never decreases.
    pub until: Timestamp,
    /// The cutoff, if sessions have ended together.
    pub cutoff: Option<Cutoff>,
    /// When and why the cutoff was last moved.
    pub ended: Option<Ended>,
}

impl Account {
    /// An account without sessions.
    #[must_use]
    pub const fn new(id: AccountId) -> Self {
        Self {
            id,
            last: SessionNumber::new(0),
            until: Timestamp::EPOCH,
            cutoff: None,
            ended: None,
        }
    }

    /// Begins a session, with the next number.
    #[must_use]
    pub fn begin(&mut self, new: NewSession, now: Timestamp) -> Session {
        self.last = self.last.next(now);
        let session = Session::begin(new, self.last, now);
        self.until = self.until.max(session.absolute_expires_at);
        session
    }

    /// Ends every session that has begun, except the session with the number `kept`, if it is still
    /// live. Returns the revocation, which the store logs in the same act in place of the account's
    /// last one. `None` if all sessions were over before.
    ///
    /// The store passes `None` as `kept` if the session to keep has already ended.
    #[must_use]
    pub fn end_all(
        &mut self,
        kept: Option<SessionNumber>,
        reason: EndReason,
        now: Timestamp,
    ) -> Option<Revocation> {
        let cutoff = Cutoff {
            up_to: self.last,
            except: kept.filter(|number| *number <= self.last),
        };
        self.move_cutoff(cutoff, reason, now)
    }

    /// Ends the session with this number and all sessions before it, to make room for newer ones.
    #[must_use]
    pub fn end_up_to(
        &mut self,
        number: SessionNumber,
        reason: EndReason,
        now: Timestamp,
    ) -> Option<Revocation> {
        self.move_cutoff(Cutoff::all(number), reason, now)
    }

    /// When and why the session with this number ended together with others, if it did.
    #[must_use]
    pub fn end_of(&self, number: SessionNumber) -> Option<Ended> {
        self.ended.filter(|_| self.covers(number))
    }

    /// Whether the session with this number ended together with others.
    #[must_use]
    pub fn covers(&self, number: SessionNumber) -> bool {
        self.cutoff.is_some_and(|cutoff| cutoff.covers(number))
    }

    /// The revocation for the cutoff.
    ///
    /// It stays in the log until the absolute end of the last session, since a concurrent refresh
    /// may issue an access token that outlives all that the store knows. A store may drop it
    /// earlier, from [`droppable_at`](Self::droppable_at) on, if it has no session that the
    /// revocation covers.
    #[must_use]
    pub fn revocation(&self) -> Option<Revocation> {
        self.cutoff.map(|cutoff| Revocation {
            target: RevocationTarget::Sessions(self.id, cutoff),
            until: self.until,
        })
    }

    /// The earliest time at which the store may drop the [revocation](Self::revocation) from the
    /// log, if no session that it covers is left. This is ten minutes after the logout, or
    /// [`purge_at`](Self::purge_at), if that is earlier.
    ///
    /// A connection that [follows its session](crate::Connection::follow_session) may outlive the
    /// last access token, and its node must still find the entry.
    #[must_use]
    pub fn droppable_at(&self) -> Timestamp {
        let ended_at = self.ended.map_or(Timestamp::EPOCH, |ended| ended.at);
        (ended_at + Revocation::RETENTION_MARGIN).min(self.purge_at())
    }

    /// The time from which the store may forget the account, if the account has no sessions.
    ///
    /// Until then, replicas may hold its cutoff. If the account were gone and the clock were set
    /// back, a new session could get a number that the cutoff covers.
    #[must_use]
    pub fn purge_at(&self) -> Timestamp {
        self.until + Revocation::RETENTION_MARGIN
    }

    fn move_cutoff(
        &mut self,
        cutoff: Cutoff,
        reason: EndReason,
        now: Timestamp,
    ) -> Option<Revocation> {
        let moved = self.cutoff.map_or(cutoff, |before| before.and(cutoff));
        if self.cutoff == Some(moved) || self.last == SessionNumber::new(0) {
            return None;
        }
        self.cutoff = Some(moved);
        self.ended = Some(Ended { at: now, reason });
        self.revocation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i64) -> SessionNumber {
        SessionNumber::new(number)
    }

    #[test]
    fn two_cutoffs_cover_together_what_either_covers_in_any_order() {
        let all = || {
            (0..5).flat_map(|up_to| {
                let except = (0..=up_to).map(|except| Some(number(except)));
                except.chain([None]).map(move |except| Cutoff {
                    up_to: number(up_to),
                    except,
                })
            })
        };
        for one in all() {
            for two in all() {
                for probe in (0..6).map(number) {
                    let both = one.and(two);
                    let either = one.covers(probe) || two.covers(probe);
                    assert_eq!(both.covers(probe), either, "{probe}: {one:?} and {two:?}");
                    assert_eq!(two.and(one).covers(probe), either);
                }
            }
        }
    }

    #[test]
    fn a_session_that_was_over_is_not_brought_back_by_being_kept() {
        let mut account = Account::new(AccountId::from_bytes([1; 16]));
        (account.last, account.until) = (number(5), Timestamp::from_unix_secs(9));
        let now = Timestamp::EPOCH;
        let ended = account.end_all(Some(number(3)), EndReason::LogoutAll, now);
        assert!(ended.is_some());
        assert!(!account.covers(number(3)) && account.covers(number(4)));
        account.last = number(6);
        // The call asks to keep session 4, which is already over.
        let ended = account.end_all(Some(number(4)), EndReason::LogoutAll, now);
        assert!(ended.is_some());
        assert!((0..=6).map(number).all(|number| account.covers(number)));
        assert!(!account.covers(number(7)));
        assert_eq!(account.end_all(None, EndReason::LogoutAll, now), None);
    }
}
