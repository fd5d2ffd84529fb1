//! Failures of the store and of the application between the steps of an exchange.

use super::*;

const FAIL: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const LOSE: StoreFault = StoreFault::LoseAnswer(StoreErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn an_exchange_that_fails_at_any_step_can_be_repeated() {
    for (op, fault) in [
        (Op::Load, FAIL),
        (Op::Pull, FAIL),
        (Op::Begin, FAIL),
        (Op::Begin, LOSE),
        (Op::RevokeForeign, FAIL),
        (Op::RevokeForeign, LOSE),
    ] {
        let shop = Shop::open().await;
        shop.store.inject(op, fault);
        let failed = shop.adopt("a-key").await;
        assert!(matches!(failed, Err(Error::Store(_))), "{op:?} {failed:?}");
        shop.store.lift(op);
        let issued = shop.adopt("a-key").await.unwrap();
        assert_eq!(shop.sessions().await.len(), 1, "{op:?}");
        assert_eq!(shop.with_header("a-key").await, Err("revoked"), "{op:?}");
        shop.clock.advance(13 * MINUTE);
        shop.refresh(&issued).await.unwrap();
    }
}

/// The process has died after the session began. Then the user has logged out everywhere.
#[tokio::test(start_paused = true)]
async fn a_session_whose_exchange_died_halfway_does_not_outlive_a_logout_everywhere() {
    for logout_first in [true, false] {
        let shop = Shop::open().await;
        let logout = async || {
            shop.clock.advance(SECOND);
            shop.authority.logout_all(&subject("alice")).await.unwrap();
            shop.clock.advance(SECOND);
        };
        let held = match logout_first {
            true => shop.store.hold_before(Op::Begin),
            false => shop.store.hold_after(Op::Begin),
        };
        let exchange = tokio::spawn({
            let authority = shop.authority.clone();
            async move { authority.adopt("a-key", Device::default()).await }
        });
        held.reached().await;
        if logout_first {
            logout().await;
            let begun = shop.store.hold_after(Op::Begin);
            held.release();
            begun.reached().await;
            exchange.abort();
            assert!(exchange.await.unwrap_err().is_cancelled());
            drop(begun);
            assert_eq!(shop.sessions().await.len(), 1, "nothing has ended it");
        } else {
            exchange.abort();
            assert!(exchange.await.unwrap_err().is_cancelled());
            drop(held);
            logout().await;
        }
        // The thief, or the client, tries again.
        let refusal = refused(shop.adopt("a-key").await);
        let expected = match logout_first {
            true => Refusal::Revoked,
            false => Refusal::SessionEnded,
        };
        assert_eq!(refusal, expected);
        assert_eq!(shop.sessions().await, []);
        assert_eq!(shop.with_header("a-key").await, Err("revoked"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_everywhere_that_cannot_end_old_tokens_is_not_acknowledged() {
    let shop = Shop::open().await;
    shop.store.inject(Op::RevokeForeign, FAIL);
    let ended = shop.authority.logout_all(&subject("alice")).await;
    assert!(matches!(ended, Err(Error::Store(_))));
    let ended = shop.authority.logout("a-key").await;
    assert!(matches!(ended, Err(Error::Store(_))));
    shop.store.lift(Op::RevokeForeign);
    shop.authority.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(shop.with_header("a-key").await, Err("revoked"));
}

#[tokio::test(start_paused = true)]
async fn an_old_system_that_is_down_makes_the_answer_503_and_no_refusal() {
    let shop = Shop::open().await;
    shop.old.is_down(true);
    for token in ["a-key", "garbage"] {
        assert_eq!(shop.with_header(token).await, Err("store_unavailable"));
        let failed = shop.adopt(token).await;
        assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
        let failed = shop.authority.logout(token).await.map(drop);
        assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    }
    let cookies = [("cookie", "sessionid=a-key")];
    let judged = judge(&shop.gate(), "GET", &cookies).await;
    let rejection = judged.unwrap_err();
    assert_eq!(rejection.reply().status(), 503);
    assert!(
        rejection
            .reply()
            .headers()
            .all(|(name, _)| name != "set-cookie")
    );
    // Our own tokens need it for nothing.
    let issued = shop.authority.issue(alice(), Device::default()).await;
    let token = issued.unwrap().access_token;
    shop.with_header(token.as_str()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_system_that_does_not_answer_is_not_waited_for_longer_than_for_users() {
    struct Hanging;

    #[async_trait]
    impl OldTokens for Hanging {
        async fn identify(&self, _: &str) -> Result<Option<OldToken>, AuthenticationError> {
            std::future::pending().await
        }
    }

    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let adopt = Adopt::new(OLD, clock.now() + DAY, Hanging);
    let authority = builder(&store, &clock, 1)
        .adopt(adopt)
        .build()
        .await
        .unwrap();
    let begun = tokio::time::Instant::now();
    let failed = authority.adopt("a-key", Device::default()).await;
    assert!(matches!(failed, Err(Error::Store(_))));
    assert_eq!(begun.elapsed(), 10 * SECOND);
}
