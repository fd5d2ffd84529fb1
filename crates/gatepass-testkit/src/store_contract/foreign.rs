//! Revocations of another issuer's tokens, for which the store has no session.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Clock, Subject, Timestamp,
    store::{
        AccountId, Cutoff, Issuer, Revocation, RevocationTarget, RevokeForeign, SessionNumber,
        SessionStore, TokenId,
    },
};
use tokio::task::JoinSet;

use super::given::{DAY, Given, HOUR, MILLISECOND, MINUTE, sorted, token_id};
use crate::clock::ManualClock;

const LIFETIME: Duration = HOUR;

fn subject(name: &str) -> AccountId {
    let issuer = Issuer::new("https://login.example").unwrap();
    AccountId::of_foreign(&issuer, &Subject::new(name).unwrap())
}

fn of_token(token: TokenId, until: Timestamp) -> Revocation {
    Revocation {
        target: RevocationTarget::Token(token),
        until,
    }
}

/// The revocation of all tokens that `name` got until `at`. The last of them is good until `until`.
fn of_all(name: &str, at: Timestamp, until: Timestamp) -> Revocation {
    let cutoff = Cutoff::all(SessionNumber::new(at.unix_millis()));
    Revocation {
        target: RevocationTarget::Sessions(subject(name), cutoff),
        until,
    }
}

impl<S: SessionStore> Given<S> {
    async fn revoke_all(&self, name: &str) -> Option<Revocation> {
        let revoke = RevokeForeign::all(subject(name), LIFETIME);
        self.store.revoke_foreign(revoke).await.unwrap()
    }

    async fn revoke_only(&self, name: &str, token: TokenId) -> Option<Revocation> {
        let until = self.clock.now() + 10 * MINUTE;
        let revoke = RevokeForeign::all(subject(name), LIFETIME).only(token, until);
        self.store.revoke_foreign(revoke).await.unwrap()
    }
}

/// A token of another issuer has one entry until it expires.
pub async fn a_foreign_token_is_revoked_once<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let (token, other) = (token_id(), token_id());
    let until = given.clock.now() + 10 * MINUTE;
    let expected = of_token(token, until);
    assert_eq!(given.revoke_only("alice", token).await, Some(expected));
    assert_eq!(given.revoke_only("alice", token).await, None);
    assert_eq!(given.log().await.0, [expected]);
    let of_other = of_token(other, until);
    assert_eq!(given.revoke_only("alice", other).await, Some(of_other));
    assert_eq!(
        sorted(given.log().await.0),
        sorted(vec![expected, of_other])
    );
}

/// All tokens of a subject share one entry. A later entry replaces it and reaches readers of the
/// earlier one.
pub async fn all_tokens_of_a_foreign_subject_are_one_entry<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let at = |given: &Given<S>| {
        let now = given.clock.now();
        (now, now + LIFETIME)
    };
    let (now, until) = at(&given);
    let first = of_all("alice", now, until);
    assert_eq!(given.revoke_all("alice").await, Some(first));
    let (entries, cursor) = given.log().await;
    assert_eq!(entries, [first]);

    given.clock.advance(MINUTE);
    let (now, until) = at(&given);
    let second = of_all("alice", now, until);
    assert_eq!(given.revoke_all("alice").await, Some(second));
    let of_bob = of_all("bob", now, until);
    assert_eq!(given.revoke_all("bob").await, Some(of_bob));
    let both = sorted(vec![second, of_bob]);
    assert_eq!(sorted(given.log_after(Some(cursor)).await.0), both);
    assert_eq!(sorted(given.log().await.0), both);
}

/// A store whose clock goes back makes no revoked token valid again.
pub async fn a_clock_that_goes_back_takes_no_foreign_revocation_back<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    given.clock.advance(DAY);
    let first = given.revoke_all("alice").await;
    given.clock.step_wall_back(MINUTE);
    assert_eq!(given.revoke_all("alice").await, first);
    assert_eq!(given.log().await.0, [first.unwrap()]);
}

/// A subject may have a limited number of revoked tokens. The next one revokes all tokens of the
/// subject up to now.
pub async fn one_foreign_token_too_many_revokes_all_of_the_subject<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    given.revoke_only("bob", token_id()).await.unwrap();
    for _ in 0..RevokeForeign::MAX_PER_SUBJECT {
        let token = token_id();
        let revoked = given.revoke_only("alice", token).await.unwrap();
        assert_eq!(revoked.target, RevocationTarget::Token(token));
    }
    let now = given.clock.now();
    let all = of_all("alice", now, now + LIFETIME);
    assert_eq!(given.revoke_only("alice", token_id()).await, Some(all));
    assert!(given.log().await.0.contains(&all));
    // Forgotten tokens make room for others.
    given.advance_to(now + 10 * MINUTE + Revocation::RETENTION_MARGIN);
    let token = token_id();
    let revoked = given.revoke_only("alice", token).await.unwrap();
    assert_eq!(revoked.target, RevocationTarget::Token(token));
}

/// Simultaneous revocations can't all use the last free place.
pub async fn foreign_tokens_are_counted_by_one_revocation_after_the_other<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let until = given.clock.now() + 10 * MINUTE;
    let mut calls = JoinSet::new();
    for _ in 0..RevokeForeign::MAX_PER_SUBJECT + 20 {
        let store = Arc::clone(&given.store);
        let revoke = RevokeForeign::all(subject("alice"), LIFETIME).only(token_id(), until);
        calls.spawn(async move { store.revoke_foreign(revoke).await.unwrap().unwrap() });
    }
    let (mut tokens, mut all) = (0, 0);
    while let Some(revoked) = calls.join_next().await {
        match revoked.unwrap().target {
            RevocationTarget::Token(_) => tokens += 1,
            _ => all += 1,
        }
    }
    assert_eq!((tokens, all), (RevokeForeign::MAX_PER_SUBJECT, 20));
    assert_eq!(given.log().await.0.len(), tokens + 1);
}

/// The purge drops the entries exactly when their retention ends, even though no session refers to
/// them.
pub async fn foreign_revocations_are_kept_until_their_retention_is_over<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let token = given.revoke_only("alice", token_id()).await.unwrap();
    let all = given.revoke_all("alice").await.unwrap();
    let margin = Revocation::RETENTION_MARGIN;
    given.advance_to(token.until + margin);
    given.purge().await;
    assert_eq!(given.log().await.0, [all]);
    let gone = all.until + margin;
    given
        .clock
        .advance(gone.since(given.clock.now()) - MILLISECOND);
    given.purge().await;
    assert_eq!(given.log().await.0, [all]);
    given.advance_to(gone);
    given.purge().await;
    assert_eq!(given.log().await.0, []);
    let again = given.revoke_all("alice").await.unwrap();
    assert_eq!(given.log().await.0, [again]);
}
