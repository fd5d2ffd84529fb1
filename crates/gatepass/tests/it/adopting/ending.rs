//! Logouts, which end old tokens as well.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_logout_everywhere_ends_the_old_tokens_that_were_issued_before() {
    let shop = Shop::open().await;
    let other = shop.node(shop.until()).await;
    let dated = |shop: &Shop| OldToken::new(alice()).issued_at(shop.clock.now());
    shop.old.put("before", dated(&shop));
    shop.old.put("exchanged", dated(&shop));
    let issued = shop.adopt("exchanged").await.unwrap();
    let bob = Identity::new("bob").unwrap();
    shop.old.put("of-bob", OldToken::new(bob));
    shop.clock.advance(SECOND);
    shop.authority.logout_all(&subject("alice")).await.unwrap();
    shop.clock.advance(SECOND);
    shop.old.put("after", dated(&shop));
    other.verifier().catch_up().await.unwrap();
    for node in [&shop.authority, &other] {
        let gate = Gate::new(node).adopt(node);
        for (token, is_good) in [
            ("a-key", false),
            ("before", false),
            ("exchanged", false),
            ("after", true),
            ("of-bob", true),
        ] {
            let headers = [("authorization", &*format!("Bearer {token}"))];
            let judged = pass_of(judge(&gate, "GET", &headers).await);
            assert_eq!(judged.is_ok(), is_good, "{token}");
        }
    }
    for token in ["a-key", "before"] {
        assert_eq!(refused(shop.adopt(token).await), Refusal::Revoked);
    }
    assert_eq!(
        refused(shop.adopt("exchanged").await),
        Refusal::SessionEnded
    );
    assert_eq!(refused(shop.refresh(&issued).await), Refusal::SessionEnded);
    assert_eq!(shop.sessions().await, []);
    for token in ["after", "of-bob"] {
        shop.adopt(token).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_elsewhere_spares_the_session_and_the_lost_answer_of_its_own_token() {
    let shop = Shop::open().await;
    let kept = shop.adopt("a-key").await.unwrap();
    for token in ["tablet", "phone"] {
        shop.old.put(token, OldToken::new(alice()));
    }
    shop.adopt("tablet").await.unwrap();
    shop.clock.advance(SECOND);
    let verifier = shop.authority.verifier();
    let none = Requirements::new();
    let pass = verifier.verify(kept.access_token.as_str(), &none).await;
    shop.authority.logout_others(&pass.unwrap()).await.unwrap();
    assert_eq!(refused(shop.adopt("tablet").await), Refusal::SessionEnded);
    assert_eq!(refused(shop.adopt("phone").await), Refusal::Revoked);
    let again = shop.adopt("a-key").await.unwrap();
    assert_eq!(again.session_id, kept.session_id);
    shop.refresh(&kept).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_logout_with_an_old_token_ends_it_and_its_session() {
    let shop = Shop::open().await;
    let issued = shop.adopt("a-key").await.unwrap();
    shop.old.put("unused", OldToken::new(alice()));
    for token in ["a-key", "unused"] {
        for _ in 0..2 {
            shop.authority.logout(token).await.unwrap();
        }
        assert_eq!(shop.with_header(token).await, Err("revoked"));
        assert_eq!(refused(shop.adopt(token).await), Refusal::SessionEnded);
    }
    assert_eq!(refused(shop.refresh(&issued).await), Refusal::SessionEnded);
    assert_eq!(shop.sessions().await, []);
    let unknown = shop.authority.logout("garbage").await;
    assert_eq!(refused(unknown), Refusal::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_an_old_token_can_be_revoked_and_so_can_all_of_its_user() {
    let shop = Shop::open().await;
    let pass = shop.with_header("a-key").await.unwrap();
    shop.authority.revoke_token(&pass).await.unwrap();
    assert_eq!(shop.with_header("a-key").await, Err("revoked"));
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Revoked);

    let named = |id: &str| OldToken::new(alice()).id(id);
    shop.old.put("one", named("1"));
    shop.old.put("two", named("2"));
    let issuer = pass.foreign_issuer().unwrap().clone();
    let tokens = gatepass::issuers::ForeignTokens::of(issuer, pass.subject().clone());
    let one = tokens.clone().jti("1");
    shop.authority.revoke_foreign(&one).await.unwrap();
    assert_eq!(shop.with_header("one").await, Err("revoked"));
    shop.with_header("two").await.unwrap();
    shop.authority.revoke_foreign(&tokens).await.unwrap();
    assert_eq!(shop.with_header("two").await, Err("revoked"));
}

/// Otherwise a thief could send a logout, hang up, and exchange the token for the session that the
/// logout had begun.
#[tokio::test(start_paused = true)]
async fn a_logout_with_a_token_that_was_revoked_begins_no_session() {
    let shop = Shop::open().await;
    let pass = shop.with_header("a-key").await.unwrap();
    shop.authority.revoke_token(&pass).await.unwrap();
    assert_eq!(
        refused(shop.authority.logout("a-key").await),
        Refusal::Revoked
    );
    // If it had a session that has ended, it would be refused otherwise.
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_logout_with_an_old_token_goes_on_if_the_client_hangs_up() {
    let shop = Shop::open().await;
    let begin = shop.store.hold_before(Op::Begin);
    let ended = shop.store.hold_after(Op::End);
    let logout = tokio::spawn({
        let authority = shop.authority.clone();
        async move { authority.logout("a-key").await.map(drop) }
    });
    begin.reached().await;
    logout.abort();
    assert!(logout.await.unwrap_err().is_cancelled());
    begin.release();
    ended.reached().await;
    ended.release();
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::SessionEnded);
}

/// The logout comes between the moment at which the exchange learns whose the token is, and the
/// begin of its session.
#[tokio::test(start_paused = true)]
async fn an_exchange_that_overlaps_with_a_logout_leaves_no_session() {
    // Also if all of it happens within one millisecond.
    let pauses = [Duration::ZERO, SECOND];
    let cases = pauses.map(|pause| [(true, pause), (false, pause)]);
    for (everywhere, pause) in cases.into_iter().flatten() {
        let shop = Shop::open().await;
        let held = shop.store.hold_before(Op::Begin);
        let exchange = tokio::spawn({
            let authority = shop.authority.clone();
            async move { authority.adopt("a-key", Device::default()).await }
        });
        held.reached().await;
        shop.clock.advance(pause);
        match everywhere {
            true => shop.authority.logout_all(&subject("alice")).await.map(drop),
            false => shop.authority.logout("a-key").await.map(drop),
        }
        .unwrap();
        shop.clock.advance(pause);
        held.release();
        let refusal = refused(exchange.await.unwrap());
        let expected = match everywhere {
            true => Refusal::Revoked,
            false => Refusal::SessionEnded,
        };
        assert_eq!(refusal, expected);
        assert_eq!(shop.sessions().await, []);
        let refusal = refused(shop.adopt("a-key").await);
        assert!(matches!(refusal, Refusal::Revoked | Refusal::SessionEnded));
    }
}

/// In the other order: the session has begun, and the answer is on its way.
#[tokio::test(start_paused = true)]
async fn an_exchange_that_a_logout_overtakes_leaves_no_session() {
    for everywhere in [true, false] {
        let shop = Shop::open().await;
        let held = shop.store.hold_after(Op::Begin);
        let exchange = tokio::spawn({
            let authority = shop.authority.clone();
            async move { authority.adopt("a-key", Device::default()).await }
        });
        held.reached().await;
        shop.clock.advance(SECOND);
        match everywhere {
            true => shop.authority.logout_all(&subject("alice")).await.map(drop),
            false => shop.authority.logout("a-key").await.map(drop),
        }
        .unwrap();
        held.release();
        // Its answer may still be one, as that of a login which a logout overtakes.
        if let Ok(issued) = exchange.await.unwrap() {
            assert_eq!(refused(shop.refresh(&issued).await), Refusal::SessionEnded);
            let strict = Requirements::new().staleness(Staleness::Strict);
            let verifier = shop.authority.verifier();
            let verified = verifier.verify(issued.access_token.as_str(), &strict);
            assert_eq!(refused(verified.await), Refusal::Revoked);
        }
        assert_eq!(shop.sessions().await, []);
        assert_eq!(refused(shop.adopt("a-key").await), Refusal::SessionEnded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subject_of_many_devices_exchanges_all_of_its_old_tokens() {
    let shop = Shop::open_with(|builder| builder.max_sessions(None)).await;
    let names = (0..120).map(|number| format!("kiosk-{number}"));
    let names = Vec::from_iter(names);
    for name in &names {
        shop.old.put(name, OldToken::new(alice()));
    }
    for name in &names {
        shop.adopt(name).await.unwrap();
        assert_eq!(shop.with_header(name).await, Err("revoked"));
    }
    shop.with_header("a-key").await.unwrap();
}

/// As many as the sessions that a user may have: a client that fetches and exchanges tokens again
/// and again must not fill the memory of all nodes.
#[tokio::test(start_paused = true)]
async fn a_subject_that_exchanges_too_many_tokens_loses_those_that_it_has_not_exchanged() {
    let shop = Shop::open().await;
    let mut last = None;
    for number in 0..=100 {
        shop.clock.advance(SECOND);
        let name = format!("key-{number}");
        shop.old.put(&name, OldToken::new(alice()));
        last = Some(shop.adopt(&name).await.unwrap());
    }
    shop.refresh(&last.unwrap()).await.unwrap();
    assert_eq!(shop.with_header("a-key").await, Err("revoked"));
}
