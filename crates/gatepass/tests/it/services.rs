//! One store for several services: by mistake it fails at start, and on purpose their tokens and
//! their users stay apart.

use std::sync::Arc;

use gatepass::{
    Authority, AuthorityBuilder, BuildError, MasterSecret, Refusal, Requirements, Timestamp,
    keys::SecretSet,
};
use test_support::world::{
    DAY, MINUTE, PATIENCE, SECOND, SECRET, World, login, refresh, refusal, subject, verify,
};

test_support::on_both_stores! {
    a_node_that_is_unlike_the_others_is_refused_until_it_says_so
    a_start_that_fails_for_a_mistake_leaves_no_trace_in_the_store
    a_secret_that_is_replaced_in_order_needs_no_word
    a_running_node_tells_the_store_of_its_new_secret
    a_token_is_worth_nothing_at_a_service_that_did_not_issue_it
    the_users_of_two_issuers_are_others
    the_users_of_two_audiences_are_the_same
}

const ISSUER: &str = "https://shop.example";
const AUDIENCE: &str = "shop-api";

fn service(
    world: &World,
    issuer: &str,
    audience: &str,
    secrets: impl Into<SecretSet>,
) -> AuthorityBuilder {
    Authority::builder(issuer, audience, secrets, Arc::clone(&world.store))
        .clock(world.clock.clone())
        .store_timeout(PATIENCE)
        .purge_interval(DAY)
}

fn secret() -> MasterSecret {
    MasterSecret::from_bytes(SECRET).unwrap()
}

fn other_secret() -> MasterSecret {
    MasterSecret::from_bytes(&[2; 32]).unwrap()
}

async fn shop(world: &World) -> Authority {
    let shop = service(world, ISSUER, AUDIENCE, secret());
    shop.build().await.unwrap()
}

async fn sharing(world: &World, issuer: &str, audience: &str) -> Authority {
    let other = service(world, issuer, audience, secret()).share_store();
    other.build().await.unwrap()
}

async fn a_node_that_is_unlike_the_others_is_refused_until_it_says_so(world: World) {
    let shop = shop(&world).await;
    let issued = login(&shop, "alice").await;
    let others = [
        ("https://admin.example", AUDIENCE, secret()),
        (ISSUER, "admin-api", secret()),
        (ISSUER, AUDIENCE, other_secret()),
    ];
    for (issuer, audience, secret) in others {
        let node = || service(&world, issuer, audience, secret.clone());
        // To try again is not to say so.
        for _ in 0..2 {
            let error = node().build().await.unwrap_err();
            assert!(error.to_string().contains("call share_store() once"));
            match error {
                BuildError::OtherSecret => assert_eq!((issuer, audience), (ISSUER, AUDIENCE)),
                BuildError::SharedStore {
                    issuer: first,
                    audience: its,
                } => {
                    assert_eq!((first.as_str(), its.as_str()), (ISSUER, AUDIENCE));
                    assert_ne!((issuer, audience), (ISSUER, AUDIENCE));
                }
                error => panic!("{error:?}"),
            }
        }
        node().share_store().build().await.unwrap();
        // Once is enough, and the first service is still known.
        node().build().await.unwrap();
        service(&world, ISSUER, AUDIENCE, self::secret())
            .build()
            .await
            .unwrap();
    }
    // The user is still logged in.
    refresh(&shop, &issued).await.unwrap();
}

async fn a_start_that_fails_for_a_mistake_leaves_no_trace_in_the_store(world: World) {
    let mistaken = service(&world, "https://sh\u{f6}p.example", AUDIENCE, secret());
    let error = mistaken.build().await.unwrap_err();
    assert!(matches!(error, BuildError::Realm), "{error:?}");
    shop(&world).await;
}

async fn a_secret_that_is_replaced_in_order_needs_no_word(world: World) {
    let node = shop(&world).await;
    let issued = login(&node, "alice").await;
    let both = SecretSet::new(other_secret()).retire(secret(), Timestamp::MAX);
    let next = service(&world, ISSUER, AUDIENCE, both);
    let next = next.build().await.unwrap();
    let refreshed = refresh(&next, &issued).await.unwrap();
    // The old one is forgotten at last.
    let last = service(&world, ISSUER, AUDIENCE, other_secret());
    let last = last.build().await.unwrap();
    refresh(&last, &refreshed).await.unwrap();
}

async fn a_running_node_tells_the_store_of_its_new_secret(world: World) {
    let node = service(&world, ISSUER, AUDIENCE, secret()).purge_interval(SECOND);
    let node = node.build().await.unwrap();
    node.replace_secrets(&SecretSet::new(other_secret()).retire(secret(), Timestamp::MAX))
        .unwrap();
    let alone = || service(&world, ISSUER, AUDIENCE, other_secret());
    tokio::time::timeout(MINUTE, async {
        while let Err(error) = alone().build().await {
            assert!(matches!(error, BuildError::OtherSecret), "{error:?}");
            tokio::time::sleep(SECOND / 10).await;
        }
    })
    .await
    .unwrap();
}

async fn a_token_is_worth_nothing_at_a_service_that_did_not_issue_it(world: World) {
    let shop = shop(&world).await;
    let issued = login(&shop, "alice").await;
    let refused = [
        ("https://admin.example", AUDIENCE, Refusal::WrongIssuer),
        (ISSUER, "admin-api", Refusal::WrongAudience),
    ];
    for (issuer, audience, reason) in refused {
        let admin = sharing(&world, issuer, audience).await;
        assert_eq!(refusal(verify(&admin, &issued).await), reason);
        // Its refresh keys are others, although the secret is the same.
        assert_eq!(refusal(refresh(&admin, &issued).await), Refusal::UnknownKey);
        let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
        refusal(admin.resume(access, refresh).await);
        for token in [access, refresh] {
            refusal(admin.logout(token).await);
        }
    }
    // None of it has touched the session.
    verify(&shop, &issued).await.unwrap();
    refresh(&shop, &issued).await.unwrap();
}

async fn the_users_of_two_issuers_are_others(world: World) {
    let shop = shop(&world).await;
    let admin = sharing(&world, "https://admin.example", AUDIENCE).await;
    let (here, there) = (login(&shop, "alice").await, login(&admin, "alice").await);
    let listed = shop.sessions(&subject("alice"), None).await.unwrap();
    let listed: Vec<_> = listed.sessions.iter().map(|session| session.id).collect();
    assert_eq!(listed, [here.session_id]);
    // Nor does one issuer end a session of the other by its id.
    admin.end_session(here.session_id).await.unwrap();
    admin.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(refusal(verify(&admin, &there).await), Refusal::Revoked);
    verify(&shop, &here).await.unwrap();
    refresh(&shop, &here).await.unwrap();
}

async fn the_users_of_two_audiences_are_the_same(world: World) {
    let shop = shop(&world).await;
    let admin = sharing(&world, ISSUER, "admin-api").await;
    let (here, there) = (login(&shop, "alice").await, login(&admin, "alice").await);
    let listed = admin.sessions(&subject("alice"), None).await.unwrap();
    assert_eq!(listed.sessions.len(), 2);
    admin.logout_all(&subject("alice")).await.unwrap();
    let requirements = Requirements::new().staleness(gatepass::Staleness::Strict);
    let token = here.access_token.as_str();
    let verified = shop.verifier().verify(token, &requirements).await;
    assert_eq!(refusal(verified), Refusal::Revoked);
    assert_eq!(refusal(refresh(&shop, &here).await), Refusal::SessionEnded);
    assert_eq!(
        refusal(refresh(&admin, &there).await),
        Refusal::SessionEnded
    );
}
