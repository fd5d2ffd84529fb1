//! Each attack token is refused for what is wrong with it, and does nothing.

use std::{
    collections::{BTreeMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use super::*;

/// The cache of verified tokens has the good token and the controls when the attacks come.
async fn every_attack_is_refused_for_what_is_wrong_with_it(algorithm: Algorithm) {
    every_attack_is_refused_by(Rig::new(algorithm).await).await;
}

async fn every_attack_is_refused_without_a_cache_of_tokens(algorithm: Algorithm) {
    every_attack_is_refused_by(Rig::with(algorithm, |builder| builder.token_cache(0)).await).await;
}

async fn every_attack_is_refused_by(rig: Rig) {
    let (algorithm, table) = (rig.algorithm(), Table::of(&rig));
    assert_complete(&table, algorithm);
    let good = rig.accepts("the good token", rig.good()).await;
    assert_eq!(good.subject().as_str(), "alice");
    for control in &table.controls {
        let pass = rig.accepts(&control.name, &control.token).await;
        assert_eq!(pass.token_id(), good.token_id(), "{}", control.name);
    }
    for Attack {
        name,
        token,
        reason,
        ..
    } in &table.attacks
    {
        let refused = unpanicked(rig.refuses(name, token, reason)).await;
        assert!(refused.is_some(), "{algorithm}, {name}: panicked");
    }
}

async fn no_attack_ends_or_prolongs_a_session(algorithm: Algorithm) {
    let rig = Rig::new(algorithm).await;
    for Attack {
        name,
        token,
        reason,
        ..
    } in &Table::of(&rig).attacks
    {
        let case = format!("{algorithm}, {name}");
        // Two kinds of tokens are refused as access tokens alone: one that is not in force still
        // logs out, and a refresh token still refreshes.
        let is_refresh_token = token == rig.refresh_token();
        if !is_refresh_token {
            let refreshed = rig.authority.refresh(token).await;
            assert!(
                matches!(refreshed, Err(Error::Refused(_))),
                "{case}: {refreshed:?}"
            );
        }
        if !is_refresh_token && !matches!(reason, Refusal::Expired | Refusal::NotYetValid) {
            let ended = rig.authority.logout(token).await;
            assert!(matches!(ended, Err(Error::Refused(_))), "{case}: {ended:?}");
        }
        assert_eq!(rig.counts.calls(), 0, "{case}: the store was asked");
    }
    rig.accepts("afterwards", rig.good()).await;
    let next = rig.authority.refresh(rig.refresh_token()).await.unwrap();
    rig.accepts("refreshed", next.access_token.as_str()).await;
}

test_support::by_each_algorithm! {
    every_attack_is_refused_for_what_is_wrong_with_it
}

test_support::by_each_family! {
    every_attack_is_refused_without_a_cache_of_tokens
    no_attack_ends_or_prolongs_a_session
}

/// Checks that the table is as long as it is meant to be, and that each name is the name of one
/// token.
fn assert_complete(table: &Table, algorithm: Algorithm) {
    let mut names = HashSet::new();
    let mut groups: BTreeMap<_, HashSet<_>> = BTreeMap::new();
    for attack in &table.attacks {
        assert!(names.insert(&attack.name), "twice: {}", attack.name);
        let group = groups.entry(attack.group).or_default();
        group.insert(attack.token.as_str());
    }
    for control in &table.controls {
        assert!(names.insert(&control.name), "twice: {}", control.name);
    }
    // Tokens, not names: the same under two names would be one.
    let tokens: HashSet<_> = groups.values().flatten().collect();
    assert!(tokens.len() >= 1000, "{algorithm}: {}", tokens.len());
    assert_eq!(groups.len(), 13);
    for (group, tokens) in groups {
        assert!(tokens.len() >= 20, "{algorithm}, {group}: {}", tokens.len());
    }
}

/// The output of `future`, or `None` if it panics: the panic would not name the case.
async fn unpanicked<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

#[tokio::test]
async fn no_bit_of_a_signature_may_differ() {
    for algorithm in Algorithm::ALL {
        let rig = Rig::new(algorithm).await;
        let (message, signature) = rig.good().rsplit_once('.').unwrap();
        let bytes = unbase64url(signature);
        for length in 0..bytes.len() {
            let token = format!("{message}.{}", base64url(&bytes[..length]));
            rig.refuses(&format!("{length} bytes"), &token, &Refusal::BadSignature)
                .await;
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let token = format!("{message}.{}", base64url(flipped));
            rig.refuses(&format!("bit {bit}"), &token, &Refusal::BadSignature)
                .await;
        }
    }
}
