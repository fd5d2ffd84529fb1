//! Logins over a live session of the same browser, which end that session.

use super::*;

async fn session_of(shop: &Shop, reply: &Reply) -> Session {
    let id = body(reply)["session_id"].as_str().unwrap().to_owned();
    let alice = Subject::new("alice").unwrap();
    let sessions = shop.authority.sessions(&alice, None).await.unwrap();
    let mut found = sessions
        .sessions
        .into_iter()
        .filter(|one| one.id.to_string() == id);
    found.next().unwrap()
}

#[tokio::test]
async fn a_login_over_a_live_cookie_session_ends_that_session() {
    // Either cookie will do, also an expired one, and one of another user.
    for (case, kept, later) in [
        ("both", &["access", "refresh"][..], Duration::ZERO),
        ("the access cookie", &["access"], Duration::ZERO),
        ("an expired access cookie", &["access"], DAY),
        ("the refresh cookie", &["refresh"], DAY),
    ] {
        let shop = Shop::open(Transport::Cookie).await;
        let first = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
        let old = jar(&first);
        shop.clock.advance(later);
        let cookies = [
            ("access", format!("__Host-gatepass={}", old.access)),
            (
                "refresh",
                format!("__Host-gatepass-refresh={}", old.refresh),
            ),
        ];
        let sent = cookies.iter().filter(|(name, _)| kept.contains(name));
        let sent: Vec<_> = sent.map(|(_, cookie)| cookie.as_str()).collect();
        let sent = sent.join("; ");
        let bob = r#"{"username":"bob","password":"wonderland"}"#;
        let headers = [JSON, ("cookie", sent.as_str())];
        let reply = shop.send("POST", "/auth/login", &headers, bob).await;
        assert_eq!(
            (reply.status(), set_cookies(&reply).len()),
            (200, 2),
            "{case}"
        );
        assert_eq!(number_of_sessions(&shop).await, 0, "{case}");
        let refused = shop.post("/auth/refresh", &old).await;
        assert_refused(case, &refused, 401, "session_ended");
        assert_eq!(
            shop.post("/auth/refresh", &jar(&reply)).await.status(),
            200,
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_login_ends_both_sessions_of_cookies_that_got_mixed() {
    let shop = Shop::open(Transport::Cookie).await;
    let (one, two) = (shop.log_in().await, shop.log_in().await);
    assert_eq!(number_of_sessions(&shop).await, 2);
    let mixed = Jar {
        access: one.access,
        refresh: two.refresh,
    };
    let cookies = mixed.header();
    let headers = [JSON, ("cookie", cookies.as_str())];
    let reply = shop.send("POST", "/auth/login", &headers, LOGIN).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(number_of_sessions(&shop).await, 1);
    session_of(&shop, &reply).await;
}

#[tokio::test]
async fn a_login_done_elsewhere_ends_the_session_that_it_replaces() {
    let shop = Shop::open(Transport::Both).await;
    let login = r#"{"username":"alice","password":"wonderland","transport":"cookie"}"#;
    let first = shop.send("POST", "/auth/login", &[JSON], login).await;
    let cookies = jar(&first).header();
    let alice = || Identity::new("alice").unwrap();
    // The way back from an identity provider is a navigation from its site, or a form that it
    // posts.
    let headers = [CROSS_SITE, ("cookie", cookies.as_str())];
    let issued = async |method, delivery| {
        let head = head(method, "/callback", &headers);
        let issued = shop.endpoints.issue(alice(), &head, delivery).await;
        assert_eq!(issued.unwrap().into_reply().status(), 200);
        number_of_sessions(&shop).await
    };
    // Tokens in the body replace no cookies.
    assert_eq!(issued("GET", Delivery::Body).await, 2);
    // A page elsewhere could have made the browser post the form, so that ends no session.
    assert_eq!(issued("POST", Delivery::Cookies).await, 3);
    session_of(&shop, &first).await;
    assert_eq!(issued("GET", Delivery::Cookies).await, 3);
    let refused = shop.post("/auth/refresh", &jar(&first)).await;
    assert_refused("replaced", &refused, 401, "session_ended");
}

#[tokio::test]
async fn only_a_login_that_succeeds_by_cookie_ends_the_old_session() {
    let shop = Shop::open(Transport::Both).await;
    let login = r#"{"username":"alice","password":"wonderland","transport":"cookie"}"#;
    let first = shop.send("POST", "/auth/login", &[JSON], login).await;
    let old = jar(&first);
    let (cookies, forged) = (
        old.header(),
        Jar {
            access: format!("{}A", old.access),
            refresh: format!("{}A", old.refresh),
        }
        .header(),
    );
    let twice = format!("{cookies}; {cookies}");
    let wrong = r#"{"username":"alice","password":"guess","transport":"cookie"}"#;
    for (case, sent, with, status) in [
        ("a wrong password", &cookies, wrong, 401),
        ("a login by bearer", &cookies, LOGIN, 200),
        ("forged cookies", &forged, login, 200),
        ("cookies that are there twice", &twice, login, 200),
    ] {
        let headers = [JSON, ("cookie", sent.as_str())];
        let reply = shop.send("POST", "/auth/login", &headers, with).await;
        assert_eq!(reply.status(), status, "{case}");
        session_of(&shop, &first).await;
    }
    let headers = [JSON, CROSS_SITE, ("cookie", cookies.as_str())];
    let reply = shop.send("POST", "/auth/login", &headers, login).await;
    assert_refused("another site", &reply, 403, "cross_site");
    session_of(&shop, &first).await;
}

#[tokio::test]
async fn an_old_session_that_cannot_be_ended_costs_nobody_the_login() {
    let shop = Shop::open(Transport::Cookie).await;
    let old = shop.log_in().await;
    let cookies = old.header();
    shop.faults
        .inject(Op::End, StoreFault::Fail(StoreErrorKind::Unavailable));
    let headers = [JSON, ("cookie", cookies.as_str())];
    let reply = shop.send("POST", "/auth/login", &headers, LOGIN).await;
    assert_eq!((reply.status(), set_cookies(&reply).len()), (200, 2));
    shop.faults.heal();
    assert_eq!(shop.post("/auth/refresh", &jar(&reply)).await.status(), 200);
    assert_eq!(number_of_sessions(&shop).await, 2);
}

#[tokio::test]
async fn the_longest_token_that_fits_into_a_cookie_is_issued_and_the_next_one_begins_nothing() {
    let login = |padding| async move {
        let one = |builder: AuthorityBuilder| builder.max_sessions(NonZeroU32::MIN);
        let shop = Shop::build(Transport::Cookie, padding, one).await;
        let old = shop
            .authority
            .issue(Identity::new("alice").unwrap(), Device::default());
        let old = old.await.unwrap();
        let reply = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
        let token = old.refresh_token.as_str();
        let lives = shop.authority.refresh(token).await.is_ok();
        (reply, lives)
    };
    let (mut fits, mut too_long) = (0, 4000);
    while too_long - fits > 1 {
        let padding = usize::midpoint(fits, too_long);
        let (reply, old_lives) = login(padding).await;
        // The old session makes room for one that is begun, and for no other.
        assert_eq!(reply.status() == 200, !old_lives, "{padding}");
        match reply.status() {
            200 => fits = padding,
            500 => too_long = padding,
            other => panic!("{other}"),
        }
    }
    let (reply, _) = login(fits).await;
    let longest = set_cookies(&reply).iter().map(|line| line.len()).max();
    assert!(
        longest.is_some_and(|length| (4070..=4096).contains(&length)),
        "{longest:?}"
    );
}
