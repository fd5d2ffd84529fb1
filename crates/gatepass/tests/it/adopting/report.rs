//! The report on a move, for operators.

use test_support::log::Log;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_node_reports_how_far_the_move_is() {
    let shop = Shop::open().await;
    let health = |node: &Authority| node.health().adoption.unwrap();
    let other = shop.node(shop.until()).await;
    assert_eq!(health(&shop.authority).last_seen_at, None);
    shop.old.put("phone", OldToken::new(alice()));
    shop.old.put("tablet", OldToken::new(alice()));
    for token in ["a-key", "phone", "tablet", "a-key"] {
        shop.with_header(token).await.unwrap();
    }
    let now = shop.clock.now();
    let report = health(&shop.authority);
    assert_eq!((report.in_use, report.exchanged), (3, 0));
    assert_eq!(report.last_seen_at, Some(now));
    assert_eq!(report.until, now + MOVE);
    assert!(!report.can_be_removed);

    shop.adopt("a-key").await.unwrap();
    shop.adopt("a-key").await.unwrap();
    other.adopt("phone", Device::default()).await.unwrap();
    shop.authority.verifier().catch_up().await.unwrap();
    assert_eq!(shop.with_header("phone").await, Err("revoked"));
    let reports = [health(&shop.authority), health(&other)];
    assert_eq!(reports.each_ref().map(|one| one.exchanged), [1, 1]);
    assert_eq!(reports.each_ref().map(|one| one.in_use), [1, 0]);
    assert_eq!(shop.authority.verifier().health().adoption, None);

    shop.clock.advance(MOVE - SECOND);
    assert!(!health(&shop.authority).can_be_removed);
    shop.clock.advance(SECOND);
    let report = health(&shop.authority);
    assert!(report.can_be_removed && report.in_use == 0);
}

#[tokio::test(start_paused = true)]
async fn a_move_is_in_the_log_and_no_token_is() {
    let (log, _guard) = Log::listen();
    let shop = Shop::open().await;
    shop.with_header("a-key").await.unwrap();
    shop.adopt("a-key").await.unwrap();
    shop.adopt("a-key").await.unwrap();
    refused(shop.adopt("secret-garbage").await);
    shop.with_header("secret-garbage").await.unwrap_err();
    for expected in [
        "old_token.accepted",
        "session.issued",
        "old_token.exchanged",
        "session.refreshed",
        "old_token.refused",
        "token.refused",
    ] {
        assert_eq!(log.count(expected), 1, "{expected}");
    }
    assert!(!log.text().contains("a-key") && !log.text().contains("secret-garbage"));
}

/// Otherwise all users would get a mail about a new device.
#[tokio::test(start_paused = true)]
async fn an_exchange_is_told_to_the_application_as_no_login() {
    let told = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&told);
    let shop = Shop::open_with(|builder| {
        builder.on_event(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async {}
        })
    })
    .await;
    shop.adopt("a-key").await.unwrap();
    shop.adopt("a-key").await.unwrap();
    shop.authority.flush_events().await;
    assert_eq!(told.load(Ordering::Relaxed), 0);
    shop.authority
        .issue(alice(), Device::default())
        .await
        .unwrap();
    shop.authority.flush_events().await;
    assert_eq!(told.load(Ordering::Relaxed), 1);
}
