//! Mistakes in the configuration of a move.

use gatepass::BuildError;

use super::*;

async fn built(adopt: Adopt) -> Result<Authority, BuildError> {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    builder(&store, &clock, 1).adopt(adopt).build().await
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_one_of_an_old_system_is_found_at_build() {
    let until = ManualClock::new().now() + DAY;
    for (name, words) in [
        ("", "1 to 255 bytes"),
        ("a\nb", "control characters"),
        (SHOP, "is the issuer of this service"),
    ] {
        let error = built(Adopt::new(name, until, OldShop::default())).await;
        let error = error.map(drop).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    for cookie in ["", "a b", "__Host-gatepass"] {
        let adopt = Adopt::new(OLD, until, OldShop::default()).cookie(cookie);
        let error = built(adopt).await.map(drop).unwrap_err();
        assert!(matches!(error, BuildError::TokenPlace { .. }), "{error}");
    }
}

/// So that a service that is restarted on the next day still starts.
#[tokio::test(start_paused = true)]
async fn a_date_in_the_past_is_no_mistake() {
    let adopt = Adopt::new(OLD, Timestamp::EPOCH, OldShop::default());
    let authority = built(adopt).await.unwrap();
    let refusal = refused(authority.adopt("a-key", Device::default()).await);
    assert_eq!(refusal, Refusal::Expired);
    authority.logout_all(&subject("alice")).await.unwrap();
    assert!(authority.health().adoption.unwrap().can_be_removed);
}

#[tokio::test(start_paused = true)]
async fn without_a_move_nothing_is_adopted() {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let authority = builder(&store, &clock, 1).build().await.unwrap();
    assert_eq!(authority.health().adoption, None);
    assert!(!Endpoints::new(authority.clone()).serves("/auth/adopt"));
    let failed = authority.adopt("a-key", Device::default()).await;
    assert!(matches!(failed, Err(Error::Internal(_))));
    let gate = Gate::new(&authority).adopt(&authority);
    let headers = [("authorization", "Bearer a-key")];
    let judged = pass_of(judge(&gate, "GET", &headers).await);
    assert_eq!(judged, Err("malformed"));
}
