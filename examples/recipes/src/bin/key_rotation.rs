//! A new signing key without a logout: tokens of the old one are good until they expire. `cargo run
//! -p example-recipes --bin key_rotation` rotates once and shows both tokens.

#![expect(clippy::print_stdout, reason = "the recipe shows its tokens")]

use std::{error::Error, time::Duration};

use gatepass::{
    Authority, Clock, Identity, KeySet, MasterSecret, MemoryStore, Requirements, SystemClock,
    keys::{KeyError, SigningKey},
    store::{Random, SystemRandom},
};

/// The default lifetime of access tokens, and the leeway of the verifiers.
const LONGEST: Duration = Duration::from_secs(15 * 60 + 30);

/// A fresh secret for HS256. For keys that other services verify with, make a pair with `gatepass
/// keygen` and read it with `SigningKey::from_pem`.
fn new_key() -> Result<SigningKey, Box<dyn Error>> {
    let mut secret = [0; 64];
    SystemRandom.fill(&mut secret)?;
    Ok(SigningKey::hs256(&secret)?)
}

/// Signs with `new` from now on, and still accepts the tokens that `old` has signed.
///
/// With several nodes, let all of them know the new key first (`KeySet::announce`), and call this
/// on each of them afterwards.
fn rotate(
    authority: &Authority,
    old: &SigningKey,
    new: SigningKey,
    clock: &impl Clock,
) -> Result<(), KeyError> {
    let until = clock.now() + LONGEST;
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
    rotate(&authority, &old, new_key()?, &SystemClock)?;
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

    #[tokio::test]
    async fn a_token_of_the_old_key_is_good_until_it_expires() {
        let old = new_key().unwrap();
        let keys = KeySet::signing(old.clone());
        let service = TestService::configured(|builder| builder.keys(keys)).await;
        let alice = service.logged_in("alice").await;
        rotate(
            service.authority(),
            &old,
            new_key().unwrap(),
            service.clock(),
        )
        .unwrap();
        let verifier = service.authority().verifier();
        let required = Requirements::new();
        assert!(
            verifier
                .verify(alice.access_token(), &required)
                .await
                .is_ok()
        );
        let bob = service.logged_in("bob").await;
        assert!(verifier.verify(bob.access_token(), &required).await.is_ok());

        service.clock().advance(LONGEST);
        let refused = verifier.verify(alice.access_token(), &required).await;
        let refused = matches!(
            refused,
            Err(Error::Refused(Refusal::Expired | Refusal::UnknownKey))
        );
        assert!(refused);
    }
}
