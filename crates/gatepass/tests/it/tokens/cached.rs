//! A token in the cache of verified tokens is judged as one that is not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gatepass::{Device, Identity, KeySet, Requirements, Scopes, Staleness, Verifier};
use gatepass_sqlite::SqliteStore;
use test_support::forge::{OTHER_ED25519, OTHER_ED25519_PUBLIC};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Has the good token in its cache.
async fn warm() -> Rig {
    let rig = Rig::new(Algorithm::EdDsa).await;
    for _ in 0..3 {
        rig.accepts("good", rig.good()).await;
    }
    rig
}

async fn refusal(rig: &Rig, token: &str) -> Refusal {
    match rig.verify(token).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn public(pem: &[u8]) -> VerifyingKey {
    VerifyingKey::from_pem(Algorithm::EdDsa, pem).unwrap()
}

#[tokio::test]
async fn it_expires_and_is_not_good_before_its_time() {
    let rig = warm().await;
    let (issued_at, expires_at) = {
        let pass = rig.accepts("good", rig.good()).await;
        (pass.issued_at(), pass.expires_at())
    };
    let leeway = 30 * SECOND;
    rig.clock.set_wall(expires_at + leeway);
    rig.refuses("late", rig.good(), &Refusal::Expired).await;
    rig.clock.set_wall(issued_at);
    rig.accepts("in time again", rig.good()).await;
    let early = gatepass::Timestamp::from_unix_secs(issued_at.unix_secs() - 31);
    rig.clock.set_wall(early);
    assert_eq!(refusal(&rig, rig.good()).await, Refusal::NotYetValid);
}

#[tokio::test]
async fn it_is_refused_once_its_session_its_token_or_its_user_is_logged_out() {
    for how in ["session", "token", "everywhere"] {
        let rig = warm().await;
        let pass = rig.accepts("good", rig.good()).await;
        match how {
            "session" => rig.authority.logout(rig.good()).await.unwrap(),
            "token" => rig.authority.revoke_token(&pass).await.unwrap(),
            _ => {
                let subject = pass.subject();
                rig.authority.logout_all(subject).await.unwrap()
            }
        };
        for _ in 0..2 {
            assert_eq!(refusal(&rig, rig.good()).await, Refusal::Revoked, "{how}");
        }
    }
}

#[tokio::test]
async fn a_logout_of_another_session_leaves_it_in_peace() {
    let rig = warm().await;
    let other = Identity::new("bob").unwrap();
    let other = rig.authority.issue(other, Device::default()).await.unwrap();
    let token = other.access_token.as_str();
    rig.accepts("other", token).await;
    rig.authority.logout(token).await.unwrap();
    rig.accepts("good", rig.good()).await;
    assert_eq!(refusal(&rig, token).await, Refusal::Revoked);
}

#[tokio::test]
async fn it_must_still_satisfy_what_the_route_requires() {
    let rig = warm().await;
    let verifier = rig.authority.verifier();
    let root = Scopes::parse("root").unwrap();
    let refused = verifier
        .verify(rig.good(), &Requirements::new().scopes(root))
        .await;
    assert!(
        matches!(
            refused,
            Err(Error::Refused(Refusal::InsufficientScope { .. }))
        ),
        "{refused:?}"
    );
    rig.clock.advance(61 * SECOND);
    let refused = verifier
        .verify(rig.good(), &Requirements::new().max_age(60 * SECOND))
        .await;
    assert!(
        matches!(
            refused,
            Err(Error::Refused(Refusal::AuthenticationTooOld { .. }))
        ),
        "{refused:?}"
    );
    rig.counts.reset_calls();
    verifier
        .verify(
            rig.good(),
            &Requirements::new().staleness(Staleness::Strict),
        )
        .await
        .unwrap();
    assert_eq!(rig.counts.calls(), 1, "a strict route asks the store");
}

#[tokio::test]
async fn it_goes_with_its_key_and_comes_back_with_it() {
    let rig = warm().await;
    let verifier = rig.authority.verifier();
    let signing = |pem| KeySet::signing(SigningKey::from_any_pem(pem).unwrap());
    let id = rig.header().raw("kid").trim_matches('"').to_owned();
    // The same id, and another key.
    let impostor = public(OTHER_ED25519_PUBLIC).with_id(&id).unwrap();
    for (keys, expected) in [
        (signing(OTHER_ED25519), Refusal::UnknownKey),
        (
            signing(OTHER_ED25519).announce(impostor),
            Refusal::BadSignature,
        ),
        (
            signing(OTHER_ED25519).retire(public(ED25519_PUBLIC), rig.clock.now()),
            Refusal::UnknownKey,
        ),
    ] {
        verifier.replace_keys(keys).unwrap();
        rig.refuses("without its key", rig.good(), &expected).await;
        verifier.replace_keys(signing(ED25519)).unwrap();
        rig.accepts("with its key", rig.good()).await;
    }
}

#[tokio::test]
async fn it_is_not_the_token_of_another_issuer_or_audience() {
    let rig = warm().await;
    for (issuer, audience, expected) in [
        ("https://bank.example", AUDIENCE, Refusal::WrongIssuer),
        (ISSUER, "bank-api", Refusal::WrongAudience),
    ] {
        let keys = KeySet::verifying([public(ED25519_PUBLIC)]);
        let verifier = Verifier::builder(issuer, audience, keys, rig.counts.clone())
            .clock(rig.clock.clone())
            .build()
            .await
            .unwrap();
        for _ in 0..2 {
            let verified = verifier.verify(rig.good(), &Requirements::new()).await;
            match verified {
                Err(Error::Refused(refusal)) => assert_eq!(refusal, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Threads verify a token all the time, so that it is always in the cache and known to be live.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_that_begins_after_a_logout_returned_is_let_through() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
    let signing = KeySet::signing(SigningKey::from_any_pem(ED25519).unwrap());
    let authority = Authority::builder(ISSUER, AUDIENCE, master(1), store).keys(signing);
    let authority = authority.build().await.unwrap();
    for round in 0..10 {
        let alice = Identity::new("alice").unwrap();
        let issued = authority.issue(alice, Device::default()).await.unwrap();
        let token: Arc<str> = issued.access_token.as_str().into();
        let ended = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let (verifier, token) = (authority.verifier().clone(), Arc::clone(&token));
                let ended = Arc::clone(&ended);
                tokio::spawn(async move {
                    let mut accepted = 0_u32;
                    loop {
                        let has_ended = ended.load(Ordering::Acquire);
                        match verifier.verify(&token, &Requirements::new()).await {
                            Ok(_) if has_ended => return Err(accepted),
                            Ok(_) => accepted += 1,
                            Err(Error::Refused(Refusal::Revoked)) => return Ok(accepted),
                            Err(error) => panic!("{error}"),
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        while authority
            .verifier()
            .verify(&token, &Requirements::new())
            .await
            .is_err()
        {}
        authority.logout(&token).await.unwrap();
        ended.store(true, Ordering::Release);
        for client in clients {
            let outcome = client.await.unwrap();
            assert!(
                outcome.is_ok(),
                "round {round}: let through after the logout"
            );
        }
    }
}
