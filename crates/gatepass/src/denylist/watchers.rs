//! The open connections that wait for a revocation.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    model::{
        ids::{AccountId, Issuer, SessionId, TokenId},
        revocation::{Revocation, RevocationTarget},
    },
    token::pass::{Origin, Pass},
};

/// The open connections that wait for a revocation.
///
/// A wake-up is a hint: the woken connection looks its token up again. A connection registers its
/// watch before that look-up, and the replica inserts revocations before it wakes watches. So
/// either the look-up finds a revocation, or the revocation finds the watch.
#[derive(Default)]
pub(super) struct Watchers {
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    /// The number of the next watch.
    next: u64,
    /// The watches of each name. It is one ordered map rather than a list for each name. So a
    /// connection comes and goes at the cost of a look-up, however many connections its account
    /// has.
    by_name: BTreeMap<(Name, u64), Arc<Notify>>,
}

/// A name by which a revocation can concern a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Session(SessionId),
    Token(TokenId),
    Account(AccountId),
}

impl Watchers {
    /// Watches the revocations that may concern `pass` until the watch is dropped. `issuer` is this
    /// service.
    pub(super) fn watch(self: &Arc<Self>, pass: &Pass, issuer: &Issuer) -> Watch {
        let token = Name::Token(pass.token_id());
        let (session, account) = match pass.origin() {
            Origin::Own(session) => (
                Name::Session(session.id),
                AccountId::of(issuer, pass.subject()),
            ),
            // A foreign token has no session.
            Origin::Foreign(foreign) => (token, foreign.account),
        };
        let names = [session, token, Name::Account(account)];
        let woken = Arc::new(Notify::new());
        let mut watches = self.watches();
        let number = watches.next;
        watches.next += 1;
        for name in names {
            watches.by_name.insert((name, number), Arc::clone(&woken));
        }
        drop(watches);
        Watch {
            watchers: Arc::clone(self),
            names,
            number,
            woken,
        }
    }

    /// Wakes the watches that `revocations` may concern. A node without open connections pays only
    /// for one uncontended lock.
    pub(super) fn wake(&self, revocations: &[Revocation]) {
        let watches = self.watches();
        if watches.by_name.is_empty() {
            return;
        }
        let mut woken = Vec::new();
        for revocation in revocations {
            let name = match revocation.target {
                RevocationTarget::Session(id) | RevocationTarget::Grant(id, _) => Name::Session(id),
                RevocationTarget::Token(id) => Name::Token(id),
                RevocationTarget::Sessions(account, _) => Name::Account(account),
            };
            let watches = watches.by_name.range((name, 0)..=(name, u64::MAX));
            woken.extend(watches.map(|(_, watch)| Arc::clone(watch)));
        }
        // The woken connections need the lock themselves.
        drop(watches);
        for watch in woken {
            watch.notify_one();
        }
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch for the revocations that may concern one token.
pub(crate) struct Watch {
    watchers: Arc<Watchers>,
    names: [Name; 3],
    number: u64,
    woken: Arc<Notify>,
}

impl Watch {
    /// Resolves once a revocation that may concern the token has come since the watch began.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = self.watchers.watches();
        for name in self.names {
            watches.by_name.remove(&(name, self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::clock::Timestamp,
        model::{
            authentication::Authentication,
            grant::Grant,
            ids::{ClientId, GrantVersion, SessionNumber, Subject},
            revocation::Cutoff,
            scopes::Scopes,
        },
        token::pass::{CustomClaims, OwnSession, PassClaims},
    };

    fn issuer() -> Issuer {
        Issuer::new("https://shop.example").unwrap()
    }

    fn pass(subject: &str, session: u8, token: u8) -> Pass {
        Pass::new(PassClaims {
            subject: Subject::new(subject).unwrap(),
            origin: Origin::Own(OwnSession {
                id: SessionId::from_bytes([session; 18]),
                number: SessionNumber::new(session.into()),
                grant: GrantVersion::FIRST,
            }),
            token: TokenId::from_bytes([token; 16]),
            client: ClientId::new("web").ok(),
            scopes: Scopes::default(),
            actor: None,
            authentication: Authentication::default(),
            issued_at: Timestamp::EPOCH,
            not_before: None,
            expires_at: Timestamp::MAX,
            authenticated_at: Some(Timestamp::EPOCH),
            custom: CustomClaims::default(),
        })
    }

    async fn is_woken(watch: &Watch) -> bool {
        tokio::select! {
            biased;
            () = watch.woken() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_revocation_wakes_the_watches_that_it_may_concern_and_no_other() {
        let account = |name| AccountId::of(&issuer(), &Subject::new(name).unwrap());
        let up_to = Cutoff::all(SessionNumber::new(9));
        // The tokens are (alice, session 1, token 1), (alice, 1, 2), (alice, 2, 3), (bob, 3, 4).
        let session = RevocationTarget::Session(SessionId::from_bytes([1; 18]));
        let token = RevocationTarget::Token(TokenId::from_bytes([2; 16]));
        let table = [
            (session, [true, true, false, false]),
            (token, [false, true, false, false]),
            (
                RevocationTarget::Grant(SessionId::from_bytes([2; 18]), Grant::default()),
                [false, false, true, false],
            ),
            (
                RevocationTarget::Sessions(account("alice"), up_to),
                [true, true, true, false],
            ),
            (
                RevocationTarget::Sessions(account("carol"), up_to),
                [false; 4],
            ),
        ];
        let watchers = Arc::new(Watchers::default());
        let passes = [
            pass("alice", 1, 1),
            pass("alice", 1, 2),
            pass("alice", 2, 3),
            pass("bob", 3, 4),
        ];
        let watches = passes.map(|pass| watchers.watch(&pass, &issuer()));
        for (target, expected) in table {
            let until = Timestamp::MAX;
            watchers.wake(&[Revocation { target, until }]);
            for (watch, expected) in watches.iter().zip(expected) {
                assert_eq!(is_woken(watch).await, expected, "{target:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_watch_that_is_dropped_leaves_nothing_behind() {
        let watchers = Arc::new(Watchers::default());
        let pass = pass("alice", 1, 1);
        let (one, other) = (
            watchers.watch(&pass, &issuer()),
            watchers.watch(&pass, &issuer()),
        );
        drop(one);
        assert_eq!(watchers.watches().by_name.len(), 3);
        drop(other);
        assert!(watchers.watches().by_name.is_empty());
    }
}
