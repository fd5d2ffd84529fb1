//! Tokens that must not become a session.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_the_session_was_refreshed_ends_it() {
    let shop = Shop::open().await;
    let issued = shop.adopt("a-key").await.unwrap();
    shop.clock.advance(13 * MINUTE);
    let refreshed = shop.refresh(&issued).await.unwrap();
    shop.clock.advance(HOUR + SECOND);
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Reused);
    assert_eq!(
        refused(shop.refresh(&refreshed).await),
        Refusal::SessionEnded
    );
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::SessionEnded);
    assert_eq!(shop.sessions().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_token_gives_no_access_and_stays_dead_when_its_session_is_gone() {
    let shop = Shop::open().await;
    shop.with_header("a-key").await.unwrap();
    let issued = shop.adopt("a-key").await.unwrap();
    let purge = async || {
        use gatepass::store::SessionStore;
        let purged = shop.store.purge(shop.clock.now(), usize::MAX).await;
        purged.unwrap()
    };
    assert_eq!(shop.with_header("a-key").await, Err("revoked"));
    shop.authority.end_session(issued.session_id).await.unwrap();
    shop.clock.advance(DAY);
    assert!(purge().await.removed > 0);
    let session = shop.authority.session(issued.session_id).await.unwrap();
    assert_eq!(session, None);
    // Also on the last day, on a node that has started since, and if the date was moved on.
    let later = shop.until() + 89 * DAY;
    for (day, node) in [
        (DAY, shop.authority.clone()),
        (27 * DAY, shop.node(shop.until()).await),
        (89 * DAY, shop.node(later).await),
    ] {
        shop.clock.advance(day);
        purge().await;
        node.verifier().catch_up().await.unwrap();
        let adopted = node.adopt("a-key", Device::default()).await;
        assert_eq!(refused(adopted), Refusal::Revoked, "{day:?}");
        let gate = Gate::new(&node).adopt(&node);
        let headers = [("authorization", "Bearer a-key")];
        let judged = pass_of(judge(&gate, "GET", &headers).await);
        assert_eq!(judged, Err("revoked"), "{day:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_date_no_old_token_is_asked_about() {
    let shop = Shop::open().await;
    shop.clock.advance(MOVE - SECOND);
    shop.with_header("a-key").await.unwrap();
    let issued = shop.adopt("a-key").await.unwrap();
    shop.old.put("another", OldToken::new(alice()));
    shop.clock.advance(SECOND);
    let asked = shop.old.asked();
    assert_eq!(shop.with_header("another").await, Err("malformed"));
    for token in ["a-key", "another"] {
        assert_eq!(refused(shop.adopt(token).await), Refusal::Expired);
    }
    assert_eq!(shop.old.asked(), asked);
    // The sessions go on.
    shop.refresh(&issued).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_token_is_refused_after_its_own_expiry_and_before_its_issue() {
    let shop = Shop::open().await;
    let now = shop.clock.now();
    let token = |identity| OldToken::new(identity);
    let expired = token(alice()).expires_at(now + HOUR);
    let early = token(alice()).issued_at(now + HOUR + MINUTE);
    shop.old.put("expired", expired);
    shop.old.put("early", early);
    shop.clock.advance(HOUR + 31 * SECOND);
    for (token, refusal) in [
        ("expired", Refusal::Expired),
        ("early", Refusal::NotYetValid),
    ] {
        let reason = refusal.reason();
        match token {
            // Within the leeway.
            "early" => shop.adopt(token).await.map(drop).unwrap(),
            _ => assert_eq!(refused(shop.adopt(token).await), refusal),
        }
        if token == "expired" {
            assert_eq!(shop.with_header(token).await, Err(reason));
        }
    }
    shop.old.put(
        "earlier",
        OldToken::new(alice()).issued_at(shop.clock.now() + MINUTE),
    );
    assert_eq!(refused(shop.adopt("earlier").await), Refusal::NotYetValid);
    assert_eq!(shop.with_header("earlier").await, Err("not_yet_valid"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_old_system_does_not_know_is_refused_as_without_adopt() {
    let shop = Shop::open().await;
    for token in ["garbage", "a.b.c", "A-KEY", "a-key-"] {
        assert_eq!(shop.with_header(token).await, Err("malformed"), "{token}");
        assert_eq!(refused(shop.adopt(token).await), Refusal::Malformed);
    }
    assert_eq!(shop.sessions().await, []);
    // A session that was ended in the old system.
    shop.with_header("a-key").await.unwrap();
    shop.old.remove("a-key");
    assert_eq!(shop.with_header("a-key").await, Err("malformed"));
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Malformed);
}

/// An access token must not become a session with a refresh token, not even if the old system takes
/// it for one of its own.
#[tokio::test(start_paused = true)]
async fn no_token_of_our_own_is_an_old_one() {
    let shop = Shop::open().await;
    let issued = shop.authority.issue(alice(), Device::default()).await;
    let issued = issued.unwrap();
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    for token in [access, refresh] {
        shop.old.put(token, OldToken::new(alice()));
    }
    for age in [Duration::ZERO, 20 * MINUTE] {
        shop.clock.advance(age);
        for token in [access, refresh] {
            assert_eq!(refused(shop.adopt(token).await), Refusal::Malformed);
        }
        let expected = if age.is_zero() { None } else { Some("expired") };
        assert_eq!(shop.with_header(access).await.err(), expected);
        assert_eq!(shop.with_header(refresh).await, Err("wrong_type"));
    }
    shop.authority.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(shop.with_header(access).await, Err("expired"));
    assert_eq!(shop.old.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_signature_of_a_jwt_is_the_same_token() {
    let shop = Shop::open().await;
    // {"alg":"ES256","typ":"JWT"}, and {"sub":"alice"}.
    let signed = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9";
    let twins = ["c2lnbmF0dXJl", "dHdpbg"].map(|signature| format!("{signed}.{signature}"));
    // No JWT: the last part tells them apart.
    let others = ["app.v1.one", "app.v1.two"];
    let all = twins.iter().map(String::as_str).chain(others);
    let mut sessions = Vec::new();
    for token in all {
        shop.old.put(token, OldToken::new(alice()));
        sessions.push(shop.adopt(token).await.unwrap().session_id);
    }
    assert_eq!(sessions[0], sessions[1]);
    sessions.dedup();
    assert_eq!(sessions.len(), 3);
    assert_eq!(shop.with_header(&twins[1]).await, Err("revoked"));
}

#[tokio::test(start_paused = true)]
async fn the_application_can_name_a_token_that_it_takes_in_several_spellings() {
    let shop = Shop::open().await;
    let mut sessions = Vec::new();
    for spelling in ["Key", "KEY", "key"] {
        shop.old.put(spelling, OldToken::new(alice()).id("key"));
        sessions.push(shop.adopt(spelling).await.unwrap().session_id);
        assert_eq!(shop.with_header(spelling).await, Err("revoked"));
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_text_of_two_users_is_two_tokens() {
    let shop = Shop::open().await;
    let of_alice = shop.adopt("a-key").await.unwrap();
    // The old system gives the key to another user.
    let bob = Identity::new("bob").unwrap();
    shop.old.put("a-key", OldToken::new(bob));
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Revoked);
    shop.refresh(&of_alice).await.unwrap();
}
