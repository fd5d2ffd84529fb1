//! How a user was authenticated (`amr`, `acr`): what keeps it, what replaces it, and what a route
//! may require of it.

use std::sync::Arc;

use gatepass::{Credentials, Requirements, Staleness};
use serde_json::{Value, json};
use test_support::world::{MINUTE, World, builder, refresh, subject, verify};

use super::*;

test_support::on_both_stores! {
    tokens_say_how_the_user_was_authenticated
    a_token_of_an_unknown_authentication_is_as_it_always_was
    nothing_but_an_authentication_changes_how_the_user_was_authenticated
    a_renewed_token_keeps_its_own_authentication
    a_step_up_offers_a_refresh_to_the_other_tabs_and_refuses_none_of_them
    a_refresh_that_was_read_before_a_step_up_undoes_nothing_of_it
    a_change_at_the_same_time_as_a_step_up_loses_neither
    a_route_requires_all_methods_and_one_of_the_classes
    an_impersonation_has_no_authentication_of_the_user
}

async fn asking(world: &World) -> (Authority, Users) {
    let users = Users::default();
    let node = builder(Arc::clone(&world.store), &world.clock).authenticator(users.clone());
    (node.build().await.unwrap(), users)
}

fn alice(amr: &[&str], acr: Option<&str>) -> Identity {
    let identity = identity("alice", "read").amr(amr.iter().copied()).unwrap();
    match acr {
        Some(acr) => identity.acr(acr).unwrap(),
        None => identity,
    }
}

async fn issue(node: &Authority, identity: Identity) -> Issued {
    node.issue(identity, Device::default()).await.unwrap()
}

async fn reauthenticate(node: &Authority, pass: &Pass) -> Issued {
    let credentials = Credentials::new("alice", "a password");
    let device = Device::default();
    let issued = node.reauthenticate(pass, &credentials, &device).await;
    issued.unwrap()
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&test_support::forge::unbase64url(part)).unwrap()
}

/// How the user was authenticated, as a pass says it.
fn how(pass: &Pass) -> (Vec<&str>, Option<&str>) {
    let amr = pass.amr().iter().map(String::as_str);
    (amr.collect(), pass.acr())
}

async fn tokens_say_how_the_user_was_authenticated(world: World) {
    let node = world.node().await;
    let issued = issue(&node, alice(&["pwd", "otp"], Some("urn:example:mfa"))).await;
    let claims = payload(issued.access_token.as_str());
    assert_eq!(claims["amr"], json!(["pwd", "otp"]));
    assert_eq!(claims["acr"], json!("urn:example:mfa"));
    let pass = verify(&node, &issued).await.unwrap();
    assert_eq!(how(&pass), (vec!["pwd", "otp"], Some("urn:example:mfa")));
    let refreshed = refresh(&node, &issued).await.unwrap();
    let pass = verify(&node, &refreshed).await.unwrap();
    assert_eq!(how(&pass), (vec!["pwd", "otp"], Some("urn:example:mfa")));
}

async fn a_token_of_an_unknown_authentication_is_as_it_always_was(world: World) {
    let node = world.node().await;
    let issued = issue(&node, identity("alice", "read")).await;
    let token = issued.access_token.as_str();
    let text = test_support::forge::unbase64url(token.split('.').nth(1).unwrap());
    let text = String::from_utf8(text).unwrap();
    let names = text.split('"').collect::<Vec<_>>();
    let names = names.windows(2).filter(|two| two[1].starts_with(':'));
    let names: Vec<_> = names.map(|two| two[0]).collect();
    assert_eq!(
        names,
        [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "jti",
            "sid",
            "sn",
            "auth_time",
            "client_id",
            "scope"
        ],
        "{text}"
    );
    let pass = verify(&node, &issued).await.unwrap();
    assert_eq!(how(&pass), (vec![], None));
}

async fn nothing_but_an_authentication_changes_how_the_user_was_authenticated(world: World) {
    let (node, users) = asking(&world).await;
    let begun = issue(&node, alice(&["pwd", "otp"], Some("mfa"))).await;
    let was = (vec!["pwd", "otp"], Some("mfa"));
    let mut last = begun;
    for reloaded in [
        identity("alice", "read"),
        identity("alice", "read write"),
        alice(&["hwk"], Some("phr")),
    ] {
        users.are(reloaded);
        last = refresh(&node, &last).await.unwrap();
        world.clock.advance(MINUTE);
        let pass = verify(&node, &last).await.unwrap();
        assert_eq!(how(&pass), was);
    }
    let claim_more = Change::enforced(|identity| identity.amr(["hwk"])?.acr("phr"));
    node.change(&subject("alice"), &claim_more).await.unwrap();
    let pass = verify(&node, &last).await.unwrap();
    assert_eq!(how(&pass), was);

    // An authentication replaces both, even if it names one of them alone, or none.
    for (amr, acr, now) in [
        (&[][..], None, (vec![], None)),
        (&["pwd"][..], None, (vec!["pwd"], None)),
        (&[], Some("phr"), (vec![], Some("phr"))),
        (&["hwk"], Some("phr"), (vec!["hwk"], Some("phr"))),
    ] {
        users.are(alice(amr, acr));
        last = reauthenticate(&node, &pass).await;
        let pass = verify(&node, &last).await.unwrap();
        assert_eq!(how(&pass), now);
        world.clock.advance(MINUTE);
        last = refresh(&node, &last).await.unwrap();
        let pass = verify(&node, &last).await.unwrap();
        assert_eq!(how(&pass), now);
    }
}

/// The thief of an access token gains nothing by the passkey of its owner.
async fn a_renewed_token_keeps_its_own_authentication(world: World) {
    let node = world.node().await;
    let begun = issue(&node, alice(&["pwd"], None)).await;
    let pass = verify(&node, &begun).await.unwrap();
    // In the same second, and later.
    for _ in 0..2 {
        let strong = alice(&["hwk"], Some("phr"));
        let device = Device::default();
        let stepped_up = node.reauthenticated(&pass, strong, &device).await.unwrap();
        for (token, was) in [
            (&begun, (vec!["pwd"], None)),
            (&stepped_up, (vec!["hwk"], Some("phr"))),
        ] {
            let renewed = node.renew(token.access_token.as_str()).await.unwrap();
            let token = renewed.access_token.as_str();
            let verified = node.verifier().verify(token, &Requirements::new()).await;
            assert_eq!(how(&verified.unwrap()), was);
        }
        world.clock.advance(MINUTE);
    }
}

async fn a_step_up_offers_a_refresh_to_the_other_tabs_and_refuses_none_of_them(world: World) {
    let (node, other) = (world.node().await, world.node().await);
    let begun = issue(&node, alice(&["pwd"], None)).await;
    let pass = verify(&node, &begun).await.unwrap();
    assert!(!pass.is_outdated());
    let device = Device::default();
    let strong = alice(&["hwk"], Some("phr"));
    node.reauthenticated(&pass, strong.clone(), &device)
        .await
        .unwrap();
    for node in [&node, &other] {
        node.verifier().catch_up().await.unwrap();
        assert!(verify(node, &begun).await.unwrap().is_outdated());
    }
    let version = stored(&world.store, &begun).await.grant.newest;
    // The same again is nothing new.
    let again = node.reauthenticated(&pass, strong, &device).await.unwrap();
    assert_eq!(stored(&world.store, &begun).await.grant.newest, version);
    assert!(!verify(&node, &again).await.unwrap().is_outdated());
}

async fn a_refresh_that_was_read_before_a_step_up_undoes_nothing_of_it(world: World) {
    for scopes in ["read", "read write"] {
        let (node, users) = asking(&world).await;
        let begun = issue(&node, alice(&["pwd"], None)).await;
        let pass = verify(&node, &begun).await.unwrap();
        users.are(identity("alice", scopes));
        let (asked, release) = users.hold();
        let stepping_up = async {
            asked.await.unwrap();
            let strong = alice(&["hwk"], Some("phr"));
            let device = Device::default();
            let other = world.node().await;
            other.reauthenticated(&pass, strong, &device).await.unwrap();
            release.send(()).unwrap();
        };
        let (refreshed, ()) = tokio::join!(refresh(&node, &begun), stepping_up);
        let pass = verify(&node, &refreshed.unwrap()).await.unwrap();
        assert_eq!(how(&pass), (vec!["hwk"], Some("phr")), "{scopes}");
        let session = stored(&world.store, &begun).await;
        assert_eq!(session.identity, {
            let strong = alice(&["hwk"], Some("phr"));
            strong.scopes(self::scopes(scopes))
        });
    }
}

async fn a_change_at_the_same_time_as_a_step_up_loses_neither(world: World) {
    let (node, users) = asking(&world).await;
    let begun = issue(&node, alice(&["pwd"], None)).await;
    let pass = verify(&node, &begun).await.unwrap();
    users.are(alice(&["hwk"], Some("phr")));
    let (asked, release) = users.hold();
    let changing = async {
        asked.await.unwrap();
        let other = world.node().await;
        let change = enforced("");
        assert_eq!(other.change(&subject("alice"), &change).await.unwrap(), 1);
        users.are(identity("alice", ""));
        release.send(()).unwrap();
    };
    let (stepped_up, ()) = tokio::join!(reauthenticate(&node, &pass), changing);
    node.verifier().catch_up().await.unwrap();
    let pass = verify(&node, &stepped_up).await.unwrap();
    assert_eq!(how(&pass), (vec!["hwk"], Some("phr")));
    assert!(pass.scopes().is_empty());
}

async fn a_route_requires_all_methods_and_one_of_the_classes(world: World) {
    let node = world.node().await;
    let none = Requirements::new;
    let (amr, acr) = (
        |methods: &[&str]| none().amr(methods.iter().copied()).unwrap(),
        |classes: &[&str]| none().acr(classes.iter().copied()).unwrap(),
    );
    let known = alice(&["pwd", "otp"], Some("mfa"));
    let unknown = identity("alice", "read");
    let no_class = alice(&["mfa"], None);
    for (requirements, who, fits) in [
        (none(), &unknown, true),
        (amr(&["otp"]), &known, true),
        (amr(&["otp", "pwd"]), &known, true),
        (amr(&["otp", "hwk"]), &known, false),
        (amr(&["OTP"]), &known, false),
        (amr(&[]), &unknown, true),
        (amr(&["pwd"]), &unknown, false),
        (acr(&["mfa"]), &known, true),
        (acr(&["phr", "mfa"]), &known, true),
        (acr(&["phr"]), &known, false),
        (acr(&["pwd"]), &known, false),
        (acr(&["mfa"]), &unknown, false),
        (acr(&["mfa"]), &no_class, false),
        (acr(&[]), &known, false),
        (acr(&["mfa"]).and(acr(&["phr"])), &known, false),
        (acr(&["mfa"]).and(amr(&["pwd"])), &known, true),
        (acr(&["mfa"]).and(amr(&["hwk"])), &known, false),
    ] {
        let issued = issue(&node, who.clone()).await;
        for staleness in [Staleness::Bounded, Staleness::Strict] {
            let requirements = requirements.clone().staleness(staleness);
            let token = issued.access_token.as_str();
            let verified = node.verifier().verify(token, &requirements).await;
            match verified {
                Ok(_) => assert!(fits, "{requirements:?}"),
                Err(Error::Refused(Refusal::AuthenticationTooWeak { .. })) => {
                    assert!(!fits, "{requirements:?}");
                }
                Err(error) => panic!("{requirements:?}: {error:?}"),
            }
        }
    }
    // A missing scope is told first, and a weak authentication before an old one.
    let issued = issue(&node, known).await;
    world.clock.advance(MINUTE);
    let all = acr(&["phr"]).max_age(MINUTE / 2).scopes(scopes("admin"));
    let token = issued.access_token.as_str();
    let refused = refusal(node.verifier().verify(token, &all).await);
    assert!(matches!(refused, Refusal::InsufficientScope { .. }));
    let refused = refusal(node.verifier().verify(token, &all.scopes(scopes(""))).await);
    let acr = vec!["phr".to_owned()];
    assert_eq!(refused, Refusal::AuthenticationTooWeak { amr: vec![], acr });
}

async fn an_impersonation_has_no_authentication_of_the_user(world: World) {
    let (node, users) = asking(&world).await;
    let strong = alice(&["hwk"], Some("phr"));
    let acting = strong
        .clone()
        .impersonated_by(subject("support-7"), MINUTE * 30);
    let issued = issue(&node, acting).await;
    let pass = verify(&node, &issued).await.unwrap();
    users.are(strong);
    let again = reauthenticate(&node, &pass).await;
    for issued in [issued, again] {
        for requirements in [
            Requirements::new().amr(["hwk"]).unwrap(),
            Requirements::new().acr(["phr"]).unwrap(),
        ] {
            let token = issued.access_token.as_str();
            let refused = refusal(node.verifier().verify(token, &requirements).await);
            assert!(matches!(refused, Refusal::AuthenticationTooWeak { .. }));
        }
    }
}
