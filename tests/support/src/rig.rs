//! An authority under attack.

use std::{ops::Deref, time::Duration};

use gatepass::{
    Authority, AuthorityBuilder, Device, Error, Identity, Issued, MemoryStore, Pass, Refusal,
    Requirements, Scopes, keys::Algorithm,
};
use gatepass_testkit::{ManualClock, TestStore};

use crate::{
    attacks::Victim,
    forge::{AUDIENCE, ISSUER, master},
};

/// An authority, its clock, a counter of the calls to its store, and a session whose signing key a
/// forger has.
pub struct Rig {
    victim: Victim,
    pub clock: ManualClock,
    pub counts: TestStore,
    pub authority: Authority,
    pub issued: Issued,
}

impl Deref for Rig {
    type Target = Victim;

    fn deref(&self) -> &Victim {
        &self.victim
    }
}

impl Rig {
    /// Two rigs, one with a secret and one with a key pair. They use the fastest algorithms. Use
    /// them for claims that hold for every key.
    pub async fn both() -> [Self; 2] {
        [
            Self::new(Algorithm::Hs256).await,
            Self::new(Algorithm::EdDsa).await,
        ]
    }

    pub async fn new(algorithm: Algorithm) -> Self {
        Self::with(algorithm, |builder| builder).await
    }

    /// A rig with another configuration.
    pub async fn with(
        algorithm: Algorithm,
        configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let counts = store.clone();
        // No polls or purges happen during a test, so all calls belong to requests.
        let hour = Duration::from_secs(3600);
        let builder = Authority::builder(ISSUER, AUDIENCE, master(1), store)
            .keys(Victim::keys(algorithm))
            .clock(clock.clone())
            .max_staleness(hour)
            .purge_interval(24 * hour);
        let authority = configure(builder).build().await.unwrap();
        let identity = Identity::new("alice")
            .unwrap()
            .scopes(Scopes::parse("profile admin").unwrap())
            .claims(&serde_json::json!({ "tenant": { "id": 7 } }))
            .unwrap();
        let issued = authority.issue(identity, Device::default()).await.unwrap();
        counts.reset_calls();
        Self {
            victim: Victim::new(algorithm, &issued),
            clock,
            counts,
            authority,
            issued,
        }
    }

    pub async fn verify(&self, token: &str) -> Result<Pass, Error> {
        self.authority
            .verifier()
            .verify(token, &Requirements::new())
            .await
    }

    pub async fn accepts(&self, case: &str, token: &str) -> Pass {
        let algorithm = self.algorithm();
        let verified = self.verify(token).await;
        verified.unwrap_or_else(|error| panic!("{algorithm}, {case}: {error}"))
    }

    /// Checks that the verifier refuses `token` as `expected`, without asking the store.
    pub async fn refuses(&self, case: &str, token: &str, expected: &Refusal) {
        let algorithm = self.algorithm();
        self.counts.reset_calls();
        match self.verify(token).await {
            Err(Error::Refused(refusal)) => {
                assert_eq!(refusal, *expected, "{algorithm}, {case}");
            }
            Err(error) => panic!("{algorithm}, {case}: {error}"),
            Ok(_) => panic!("{algorithm}, {case}: accepted"),
        }
        assert_eq!(
            self.counts.calls(),
            0,
            "{algorithm}, {case}: the store was asked"
        );
    }
}

/// Mounts a test for each algorithm, in a module with the name of the claim.
#[macro_export]
macro_rules! by_each_algorithm {
    ($($claim:ident)*) => { $(
        mod $claim {
            $crate::tests_of! { $claim
                hs256 Hs256, hs384 Hs384, hs512 Hs512, rs256 Rs256, rs384 Rs384, rs512 Rs512,
                ps256 Ps256, ps384 Ps384, ps512 Ps512, es256 Es256, es384 Es384, eddsa EdDsa
            }
        }
    )* };
}

/// Mounts a test for one algorithm of each family, for claims that don't depend on the hash.
#[macro_export]
macro_rules! by_each_family {
    ($($claim:ident)*) => { $(
        mod $claim {
            $crate::tests_of! { $claim
                hmac Hs256, rsa_pkcs1 Rs256, rsa_pss Ps256, p256 Es256, p384 Es384, ed25519 EdDsa
            }
        }
    )* };
}

#[macro_export]
macro_rules! tests_of {
    ($claim:ident $($name:ident $algorithm:ident),*) => { $(
        #[tokio::test]
        async fn $name() {
            super::$claim(gatepass::keys::Algorithm::$algorithm).await;
        }
    )* };
}
