//! Tokens of another kind, or of another issuer's.

use super::*;

#[tokio::test]
async fn each_kind_of_token_is_refused_as_the_other() {
    for rig in Rig::both().await {
        let refresh = rig.issued.refresh_token.as_str();
        rig.refuses("a refresh token", refresh, &Refusal::WrongType)
            .await;
        for token in [rig.good().to_owned(), format!("gpr_{}", rig.good())] {
            let refused = rig.authority.refresh(&token).await;
            let expected = if token.starts_with("gpr_") {
                Refusal::Malformed
            } else {
                Refusal::WrongType
            };
            assert!(
                matches!(&refused, Err(Error::Refused(refusal)) if *refusal == expected),
                "{refused:?}"
            );
        }
        assert_eq!(rig.counts.calls(), 0, "the store was asked");
        rig.authority.refresh(refresh).await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_of_another_installation_is_of_an_unknown_key() {
    let store = TestStore::new(MemoryStore::with_clock(ManualClock::new()));
    let counts = store.clone();
    let theirs = Authority::builder(ISSUER, AUDIENCE, master(2), store)
        .build()
        .await
        .unwrap();
    for rig in Rig::both().await {
        counts.reset_calls();
        let token = rig.issued.refresh_token.as_str();
        for refused in [
            theirs.refresh(token).await.map(drop),
            theirs.logout(token).await.map(drop),
        ] {
            assert!(
                matches!(refused, Err(Error::Refused(Refusal::UnknownKey))),
                "{refused:?}"
            );
        }
        assert_eq!(counts.calls(), 0, "the store was asked");
    }
}

#[test]
fn public_and_private_half_have_one_id() {
    let private = SigningKey::from_any_pem(ED25519).unwrap();
    let public = VerifyingKey::from_any_pem(ED25519_PUBLIC).unwrap();
    assert_eq!(private.verifying_key().id(), public.id());
}
