//! A new signing key without a logout: tokens of the old one are good until they expire. `cargo run
//! -p example-recipes --bin key_rotation` rotates once and shows both tokens.

#![expect(clippy::print_stdout, reason = "the recipe shows its tokens")]

use std::{error::Error, time::Duration};

use gatepass::{
    Authority, Clock, Identity, KeySet, MasterSecret, MemoryStore, Requirements, SystemClock,
    Timestamp,
    keys::{KeyError, SigningKey},
    store::{Random, SystemRandom},
};

/// The default lifetime of access tokens, and the leeway of the verifiers.
const LONGEST: Duration = Duration::from_secs(15 * 60 + 30);

/// How long it takes at most until all nodes have switched.
const ROLLOUT: Duration = Duration::from_secs(600);

/// A fresh secret for HS256. For keys that other services verify with, make a pair with `gatepass
/// keygen` and read it with `SigningKey::from_pem`.
fn new_key() -> Result<SigningKey, Box<dyn Error>> {
    let mut secret = [0; 64];
    SystemRandom.fill(&mut secret)?;
    Ok(SigningKey::hs256(&secret)?)
}

/// Signs with `new` from now on, and still accepts the tokens that `old` has signed, until `until`.
///
/// With several nodes, let all of them know the new key first (`KeySet::announce`), and call this
/// on each of them afterwards. Give all of them the same `until`: [`LONGEST`] after the last one
/// has switched. Until then, that one still signs with the old key.
fn rotate(
    authority: &Authority,
    old: &SigningKey,
    new: SigningKey,
    until: Timestamp,
) -> Result<(), KeyError> {
    let keys = KeySet::signing(new).retire(old.verifying_key().clone(), until);
    authority.replace_keys(keys)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (old, secret) = (new_key()?, MasterSecret::generate()?);
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .keys(KeySet::signing(old.clone()))
        .build()
        .await?;
    let before = authority
        .issue(Identity::new("alice")?, Default::default())
        .await?;
    // Choose it once, before the first node switches.
    let until = SystemClock.now() + ROLLOUT + LONGEST;
    rotate(&authority, &old, new_key()?, until)?;
    let after = authority
        .issue(Identity::new("alice")?, Default::default())
        .await?;
    for issued in [before, after] {
        let token = issued.access_token.as_str();
        let pass = authority
            .verifier()
            .verify(token, &Requirements::new())
            .await?;
        println!("{} is good until {}", pass.token_id(), pass.expires_at());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gatepass::{Error, Refusal};
    use gatepass_testkit::TestService;

    use super::*;

    /// Whether the node accepts the token.
    async fn accepts(node: &TestService, token: &str) -> bool {
        let verifier = node.authority().verifier();
        match verifier.verify(token, &Requirements::new()).await {
            Ok(_) => true,
            Err(Error::Refused(Refusal::Expired | Refusal::UnknownKey)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_token_of_the_node_that_switches_last_is_good_everywhere_until_it_expires() {
        let (old, new) = (new_key().unwrap(), new_key().unwrap());
        let announced = KeySet::signing(old.clone()).announce(new.verifying_key().clone());
        let node = async || TestService::configured(|node| node.keys(announced.clone())).await;
        let nodes = [node().await, node().await];
        let [first, last] = &nodes;
        let until = first.clock().now() + ROLLOUT + LONGEST;

        rotate(first.authority(), &old, new.clone(), until).unwrap();
        for node in &nodes {
            node.clock().advance(ROLLOUT);
        }
        let alice = last.logged_in("alice").await;
        rotate(last.authority(), &old, new, until).unwrap();
        let bob = first.logged_in("bob").await;
        for user in [&alice, &bob] {
            for node in &nodes {
                assert!(accepts(node, user.access_token()).await);
            }
        }
        let almost = LONGEST.checked_sub(Duration::from_secs(1)).unwrap();
        for (pass, good) in [(almost, true), (Duration::from_secs(1), false)] {
            for node in &nodes {
                node.clock().advance(pass);
                assert_eq!(accepts(node, alice.access_token()).await, good);
            }
        }
    }
}
