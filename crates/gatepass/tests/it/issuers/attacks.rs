//! The attack tokens, tried against a service that trusts the attacked one as another issuer.

use gatepass::Clock;
use test_support::{
    attacks::{Table, Victim},
    forge::{AUDIENCE, ISSUER},
    rig::Rig,
};

use super::*;

/// Whether the token is a good one of another issuer: it is wrong in a claim that only our own
/// tokens need, or has the type of an access token.
fn is_good_of_another(name: &str) -> bool {
    let of_ours = [
        "claims: sid",
        "claims: no sid",
        "claims: empty sid",
        "claims: sn",
        "claims: no sn",
        "claims: gv",
        "claims: jti",
        "claims: no jti",
        "claims: empty jti",
        "claims: no client_id",
        "claims: client_id in capitals",
        r#"claims: scope ["profile"]"#,
        "dates: no auth_time",
    ];
    of_ours.iter().any(|start| name.starts_with(start))
        || name.ends_with("under the type of access tokens")
}

/// Whether the token could be an access token, since the issuer doesn't write the type of one.
fn could_be_good(name: &str) -> bool {
    [
        r#"type: "JWT""#,
        r#"type: "jwt""#,
        "type: none",
        "type: as TYP",
        "type: as cty",
        "other kinds: user info",
        "other kinds: user info, with the usual claims",
        "other kinds: an ID token without a type",
    ]
    .contains(&name)
}

async fn no_attack_passes_a_service_that_trusts_the_issuer(algorithm: Algorithm) {
    let rig = Rig::new(algorithm).await;
    for is_held_to_at_jwt in [false, true] {
        let web = Web::default();
        web.publish(JWKS, Victim::keys(algorithm).jwks(rig.clock.now()));
        let mut trusted = TrustedIssuer::new(ISSUER, AUDIENCE).jwks_url(JWKS);
        if is_held_to_at_jwt {
            trusted = trusted.only_at_jwt();
        }
        let store = TestStore::new(MemoryStore::with_clock(rig.clock.clone())).durable();
        let (counts, issuers) = (store.clone(), Issuers::new(web.clone()).trust(trusted));
        let verifier = Verifier::of_issuers("https://other.example", issuers, store)
            .clock(rig.clock.clone())
            .max_staleness(Duration::from_secs(3600))
            .build()
            .await
            .unwrap();
        let verify = async |token: &str| verifier.verify(token, &Requirements::new()).await;
        let good = verify(rig.good()).await.unwrap();
        assert_eq!(good.subject().as_str(), "alice");
        assert_eq!(good.foreign_issuer().unwrap().as_str(), ISSUER);
        counts.reset_calls();
        let (fetches, mut refused) = (web.count(), 0);
        for attack in &Table::of(&rig).attacks {
            let name = attack.name.as_str();
            match verify(&attack.token).await {
                Err(Error::Refused(_)) => refused += 1,
                Ok(_) if is_good_of_another(name) => {}
                Ok(_) if could_be_good(name) && !is_held_to_at_jwt => {}
                verified => panic!("{algorithm}, {name}: {verified:?}"),
            }
        }
        assert!(refused > 900, "{algorithm}: {refused}");
        assert_eq!(counts.calls(), 0, "the store was asked");
        assert_eq!(web.count(), fetches, "keys were fetched");
    }
}

mod no_attack_passes_a_service_that_trusts_the_issuer {
    test_support::tests_of! { no_attack_passes_a_service_that_trusts_the_issuer
        rsa_pkcs1 Rs256, rsa_pss Ps256, p256 Es256, p384 Es384, ed25519 EdDsa
    }
}
