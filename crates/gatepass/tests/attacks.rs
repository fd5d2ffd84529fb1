//! The attack tokens of `tests/`, which are tried there with AWS-LC, against the other backend.
#![cfg(not(feature = "aws_lc_rs"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../../tests/tests/forge/mod.rs"]
mod forge;

#[path = "../../../tests/tests/tokens/attacks/mod.rs"]
mod attacks;

use attacks::{Table, Victim};
use forge::{AUDIENCE, ISSUER, master};
use gatepass::{
    Authority, Device, Error, Identity, MemoryStore, Requirements, Subject, keys::Algorithm,
};

#[tokio::test]
async fn every_attack_is_refused_with_this_backend_too() {
    for algorithm in Algorithm::ALL {
        let authority = Authority::builder(ISSUER, AUDIENCE, master(1), MemoryStore::new());
        let authority = authority.keys(Victim::keys(algorithm));
        let authority = authority.build().await.unwrap();
        let identity = Identity::new("alice").unwrap();
        let issued = authority.issue(identity, Device::default()).await.unwrap();
        let (verifier, requirements) = (authority.verifier(), Requirements::new());
        let table = Table::of(&Victim::new(algorithm, &issued));
        for control in table.controls {
            let verified = verifier.verify(&control.token, &requirements).await;
            assert!(
                verified.is_ok(),
                "{algorithm}, {}: {verified:?}",
                control.name
            );
        }
        for attack in table.attacks {
            let name = format!("{algorithm}, {}", attack.name);
            match verifier.verify(&attack.token, &requirements).await {
                Err(Error::Refused(refusal)) => assert_eq!(refusal, attack.reason, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
