//! Logout tokens that end nothing, and other tokens that are none.

use gatepass::{BuildError, keys::Algorithm};

use super::*;

async fn refuses(shop: &Shop, case: &str, token: &str, expected: &Refusal) {
    match shop.authority.backchannel_logout(token).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal, *expected, "{case}"),
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_token_must_be_good_in_every_claim() {
    let shop = Shop::open().await;
    let id = shop.log_in("alice", "248289", Some("one")).await;
    let (good, now) = (shop.claims(), shop.clock.now().unix_secs());
    let malformed = [
        ("no jti", good.without("jti")),
        ("an empty jti", good.with("jti", r#""""#)),
        ("a jti that is no text", good.with("jti", 7)),
        ("no iat", good.without("iat")),
        ("no exp", good.without("exp")),
        ("a fraction", good.with("iat", "1800000000.5")),
        ("neither user nor session", good.without("sub")),
        ("an empty user", good.with("sub", r#""""#)),
        ("a user that is no text", good.with("sub", "[]")),
        ("null", good.with("sub", "null")),
        ("an empty session", good.and("sid", r#""""#)),
        ("a session that is no text", good.and("sid", 7)),
        (
            "a long session",
            good.and("sid", format!("{:?}", "x".repeat(256))),
        ),
        ("no audience", good.without("aud")),
        ("an audience that is no text", good.with("aud", 7)),
        ("a user twice", good.and("sub", r#""bob""#)),
        (
            "a member twice, elsewhere",
            good.and("x", r#"{"y":1,"y":2}"#),
        ),
    ];
    for (case, claims) in malformed {
        refuses(&shop, case, &sign(&claims), &Refusal::Malformed).await;
    }
    let of_another_kind = [
        ("a nonce", good.and("nonce", r#""n""#)),
        ("a nonce that is null", good.and("nonce", "null")),
        ("no event", good.without("events")),
        ("an empty event", good.with("events", "{}")),
        (
            "another event",
            good.with(
                "events",
                r#"{"https://schemas.openid.net/secevent/risc/event-type/account-disabled":{}}"#,
            ),
        ),
        (
            "an event that is no object",
            good.with("events", EVENTS.replace("{}", "true")),
        ),
        (
            "a list of events",
            good.with(
                "events",
                r#"["http://schemas.openid.net/event/backchannel-logout"]"#,
            ),
        ),
        ("an ID token with the event", good.and("at_hash", r#""h""#)),
        ("an ID token of Keycloak", good.and("typ", r#""ID""#)),
        (
            "an access token of Keycloak",
            good.and("typ", r#""Bearer""#),
        ),
        ("an access token", good.and("scope", r#""openid""#)),
        ("a token of Cognito", good.and("token_use", r#""id""#)),
    ];
    for (case, claims) in of_another_kind {
        refuses(&shop, case, &sign(&claims), &Refusal::WrongType).await;
    }
    for aud in [
        r#""other""#,
        r#""SHOP-WEB""#,
        "[]",
        r#"["shop-web","other"]"#,
        // The audience of access tokens.
        r#""shop-api""#,
    ] {
        let token = sign(&good.with("aud", aud));
        refuses(&shop, aud, &token, &Refusal::WrongAudience).await;
    }
    for issuer in ["https://evil.example", "https://shop.example"] {
        let token = sign(&good.with("iss", format!("{issuer:?}")));
        refuses(&shop, issuer, &token, &Refusal::WrongIssuer).await;
    }
    let times = |iat: i64, exp: i64| sign(&good.with("iat", now + iat).with("exp", now + exp));
    for (iat, exp, expected) in [
        (-120, -30, Refusal::Expired),
        (-630, 3600, Refusal::Expired),
        (31, 120, Refusal::NotYetValid),
    ] {
        let token = times(iat, exp);
        refuses(&shop, &format!("{iat} {exp}"), &token, &expected).await;
    }
    assert!(shop.lives(id).await);
    assert_eq!(shop.store.calls_of(Op::End), 0);
    assert_eq!(shop.store.calls_of(Op::RevokeForeign), 0);

    for (case, token) in [
        ("within the leeway", times(-120, -29)),
        ("old", times(-629, 3600)),
        ("early", times(30, 120)),
        ("an array", sign(&good.with("aud", r#"["shop-web"]"#))),
        ("Keycloak", sign(&good.and("typ", r#""Logout""#))),
        ("more", sign(&good.and("trace_id", r#""t""#))),
        (
            "a detail",
            sign(&good.with("events", EVENTS.replace("{}", r#"{"why":1}"#))),
        ),
    ] {
        let ended = shop.authority.backchannel_logout(&token).await;
        assert!(ended.is_ok(), "{case}: {ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_must_be_one_of_a_logout_token_of_a_trusted_key() {
    let shop = Shop::open().await;
    let claims = shop.claims().to_string();
    let token = |header: &Members| key().token(header.to_string(), &claims);
    let header = key().header();
    for typ in ["at+jwt", "dpop+jwt", "secevent+jwt", "JOSE", ""] {
        let token = token(&header.with("typ", format!("{typ:?}")));
        refuses(&shop, typ, &token, &Refusal::WrongType).await;
    }
    let stranger = Forge::stranger(Algorithm::Es256);
    let forged = stranger.token(header.with("typ", r#""logout+jwt""#).to_string(), &claims);
    refuses(&shop, "a stranger's", &forged, &Refusal::BadSignature).await;
    let logout = header.with("typ", r#""logout+jwt""#);
    for (case, header) in [
        ("none", logout.with("alg", r#""none""#)),
        ("HS256", logout.with("alg", r#""HS256""#)),
        ("RS256", logout.with("alg", r#""RS256""#)),
        ("no kid", logout.without("kid")),
        ("a strange kid", logout.with("kid", r#""k""#)),
    ] {
        refuses(&shop, case, &token(&header), &Refusal::UnknownKey).await;
    }
    for (case, text) in [
        ("nothing", ""),
        ("text", "logout"),
        ("a refresh token", "gpr_AAAA"),
    ] {
        assert!(
            shop.authority.backchannel_logout(text).await.is_err(),
            "{case}"
        );
    }
    for typ in ["logout+jwt", "application/logout+jwt", "Logout+JWT", "JWT"] {
        let token = token(&header.with("typ", format!("{typ:?}")));
        shop.log_out(&token).await;
    }
    shop.log_out(&token(&header.without("typ"))).await;
}

#[tokio::test(start_paused = true)]
async fn no_other_token_logs_out_and_no_logout_token_gives_access() {
    let shop = Shop::open().await;
    let access = claims(&shop.clock);
    let id_token = access.with("aud", format!("{SHOP:?}")).without("scope");
    for (case, claims) in [
        ("an access token", access),
        ("an ID token with a nonce", id_token.and("nonce", r#""n""#)),
        ("an ID token", id_token),
    ] {
        let token = signed(&key(), &claims);
        refuses(&shop, case, &token, &Refusal::WrongType).await;
    }
    let ours = Identity::new("alice").unwrap();
    let ours = shop.authority.issue(ours, Device::default()).await.unwrap();
    let ours = ours.access_token.as_str();
    refuses(&shop, "ours", ours, &Refusal::WrongIssuer).await;

    // Also if the provider gives the client and the API one audience.
    for aud in [SHOP, API] {
        let claims = shop.claims().with("aud", format!("{aud:?}"));
        for typ in [r#""logout+jwt""#, r#""JWT""#, r#""at+jwt""#] {
            let header = key().header().with("typ", typ);
            let token = key().token(header.to_string(), claims.to_string());
            let verifier = shop.authority.verifier();
            let verified = verifier.verify(&token, &Requirements::new()).await;
            assert!(
                matches!(verified, Err(Error::Refused(Refusal::WrongType))),
                "{aud} {typ}: {verified:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_for_logins_alone_gives_no_access() {
    let shop = Shop::trusting(TrustedIssuer::for_logins(LOGIN, SHOP)).await;
    for claims in [
        claims(&shop.clock),
        claims(&shop.clock).with("aud", format!("{SHOP:?}")),
        claims(&shop.clock).without("aud"),
    ] {
        let token = signed(&key(), &claims);
        let verifier = shop.authority.verifier();
        let verified = verifier.verify(&token, &Requirements::new()).await;
        assert!(
            matches!(verified, Err(Error::Refused(Refusal::WrongAudience))),
            "{verified:?}"
        );
    }
    let id = shop.log_in("alice", "248289", None).await;
    shop.log_out(&shop.token(Some("248289"), None)).await;
    assert!(!shop.lives(id).await);
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_keys_cannot_be_fetched_is_asked_to_try_again() {
    let shop = Shop::open().await;
    shop.clock.advance(MINUTE);
    shop.web.answer(METADATA, test_support::web::Answer::Fails);
    let token = next_key().token(
        next_key()
            .header()
            .with("typ", r#""logout+jwt""#)
            .to_string(),
        shop.claims().to_string(),
    );
    let failed = shop.authority.backchannel_logout(&token).await;
    assert!(matches!(failed, Err(Error::KeysUnavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn back_channel_logout_needs_a_client_for_logins_and_is_off_by_default() {
    let (web, clock) = (Web::default(), ManualClock::new());
    web.publish(METADATA, metadata(LOGIN));
    web.publish(JWKS, jwks(&[&key()]));
    let builder = |issuer: TrustedIssuer| {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let issuers = Issuers::new(web.clone()).trust(issuer);
        let store = MemoryStore::with_clock(clock.clone());
        let builder = Authority::builder("https://shop.example", API, secret, store);
        builder.clock(clock.clone()).issuers(issuers)
    };
    let built = builder(TrustedIssuer::new(LOGIN, API)).backchannel_logout(subject_of);
    let built = built.build().await;
    assert!(matches!(built, Err(BuildError::NoLoginClient)));

    let off = builder(TrustedIssuer::for_logins(LOGIN, SHOP))
        .build()
        .await;
    let shop = Shop::open().await;
    let token = shop.token(Some("248289"), None);
    let refused = off.unwrap().backchannel_logout(&token).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::WrongIssuer))));
}
