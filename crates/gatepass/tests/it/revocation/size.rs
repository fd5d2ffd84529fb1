//! One user who loops for ever fills no denylist: neither the log of a store, nor the replica that
//! every node makes of it.
//!
//! A session has at most 8 entries for single tokens and one for itself, and an entry stays until
//! the token it concerns is past its `exp` and the margin: for [`KEPT`] here. So the log holds at
//! most 9 entries for each session that was refreshed within that time, however often its user
//! loops. All sessions of a subject together have at most 100 entries for single tokens. More takes
//! more logins, which cost a password each, and which the application counts.

use std::{collections::HashSet, time::Duration};

use gatepass::{
    Authority, Clock, Error, Issued, Refusal, SessionId,
    store::{AccountId, Issuer, PullResult, Revocation, RevocationTarget, RevokeToken},
};
use test_support::world::{MINUTE, World, login, refresh, refusal, subject, verify};

const LOOPS: usize = 2000;
/// A login and a logout each minute: the log has been filled and emptied forty times by then. Each
/// is a commit of its own, on the disk.
const LOGINS: usize = 1000;
/// For how long an entry is kept: the lifetime of an access token, and the margin.
const KEPT: Duration = Duration::from_secs(15 * 60 + 10 * 60);
/// Entries that one session may have in the log at a time: 8 tokens, and itself.
const PER_SESSION: usize = 9;

test_support::on_both_stores! {
    refreshing_and_revoking_keeps_at_most_what_one_session_may_have
    revoking_as_fast_as_possible_keeps_as_much_for_each_login
    logging_in_and_out_keeps_one_entry_for_each_login
}

/// The entries that a node loads when it starts: its whole replica.
async fn entries(world: &World) -> Vec<Revocation> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let PullResult::Entries {
            entries,
            next,
            more,
            ..
        } = world.store.pull(cursor.as_ref()).await.unwrap()
        else {
            panic!("{cursor:?} is a place in this log");
        };
        all.extend(entries);
        cursor = Some(next);
        if !more {
            return all;
        }
    }
}

/// Removes what the task that purges would, and says how many rows that were.
async fn purge(world: &World) -> usize {
    let mut removed = 0;
    loop {
        let step = world.store.purge(world.clock.now(), 500).await.unwrap();
        removed += step.removed;
        if !step.more {
            return removed;
        }
    }
}

/// Nothing is left once no token of it can be valid any more.
async fn assert_all_goes(world: &World, rows: usize) {
    let (left, idle) = (entries(world).await.len(), Duration::from_secs(14 * 86_400));
    world.clock.advance(idle + KEPT);
    assert_eq!(purge(world).await, left + rows);
    assert_eq!(entries(world).await, []);
}

async fn revoke(node: &Authority, issued: &Issued) {
    let pass = verify(node, issued).await.unwrap();
    node.revoke_token(&pass).await.unwrap();
}

async fn refreshing_and_revoking_keeps_at_most_what_one_session_may_have(world: World) {
    let node = world.node().await;
    let mut current = login(&node, "alice").await;
    let mut most = 0;
    for number in 0..LOOPS {
        current = refresh(&node, &current).await.unwrap();
        revoke(&node, &current).await;
        // Slowly enough that the session goes on: an entry is gone before there are too many.
        world.clock.advance(4 * MINUTE);
        if number % 10 == 0 {
            purge(&world).await;
            most = most.max(entries(&world).await.len());
        }
    }
    assert!((6..PER_SESSION).contains(&most), "{most}");
    purge(&world).await;
    assert_all_goes(&world, 1).await;
}

async fn revoking_as_fast_as_possible_keeps_as_much_for_each_login(world: World) {
    let node = world.node().await;
    let mut current = login(&node, "alice").await;
    let mut sessions = HashSet::<SessionId>::from([current.session_id]);
    for _ in 0..LOOPS {
        current = match refresh(&node, &current).await {
            Ok(next) => next,
            Err(Error::Refused(Refusal::SessionEnded)) => login(&node, "alice").await,
            Err(error) => panic!("{error:?}"),
        };
        sessions.insert(current.session_id);
        revoke(&node, &current).await;
    }
    assert_eq!(
        purge(&world).await,
        0,
        "nothing that was revoked may go yet"
    );
    let entries = entries(&world).await;
    assert_eq!(
        entries.len(),
        LOOPS,
        "each token is revoked, or its session"
    );
    let of_tokens = entries
        .iter()
        .filter(|entry| matches!(entry.target, RevocationTarget::Token(_)));
    assert_eq!(of_tokens.count(), RevokeToken::MAX_PER_ACCOUNT);
    // Each session but the last has ended.
    let account = AccountId::of(
        &Issuer::new("https://shop.example").unwrap(),
        &subject("alice"),
    );
    let live = world.store.sessions(account, None, 1000).await.unwrap();
    assert!(live.len() <= 1, "{live:?}");
    assert_all_goes(&world, sessions.len()).await;
}

async fn logging_in_and_out_keeps_one_entry_for_each_login(world: World) {
    let node = world.node().await;
    let mut most = 0;
    let mut last = None;
    for number in 0..LOGINS {
        let issued = login(&node, "alice").await;
        node.logout(issued.refresh_token.as_str()).await.unwrap();
        last = Some(issued);
        world.clock.advance(MINUTE);
        if number % 10 == 0 {
            purge(&world).await;
            most = most.max(entries(&world).await.len());
        }
    }
    let within = usize::try_from(KEPT.as_secs() / MINUTE.as_secs()).unwrap();
    assert!((20..=within).contains(&most), "{most}");
    assert_eq!(
        refusal(verify(&node, &last.unwrap()).await),
        Refusal::Revoked
    );
    purge(&world).await;
    let left = entries(&world).await.len();
    // Each has its row for as long as its entry.
    assert_all_goes(&world, left).await;
}
