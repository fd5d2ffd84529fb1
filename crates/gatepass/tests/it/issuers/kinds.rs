//! Other JWTs of an issuer are no access tokens, and an access token says what it is good for.

use gatepass::Clock;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_issuer_that_a_token_names_decides_by_whose_keys_it_is_judged() {
    // Both issuers give their keys the same id.
    let web = Web::default();
    let (ours, mut theirs) = (key(), Forge::stranger(Algorithm::Es256));
    let theirs_jwk = theirs.jwk().replace(&theirs.kid, &ours.kid);
    theirs.kid.clone_from(&ours.kid);
    web.publish(JWKS, jwks(&[&ours]));
    web.publish(
        "https://other.example/jwks",
        format!(r#"{{"keys":[{theirs_jwk}]}}"#),
    );
    let clock = ManualClock::new();
    let issuers = Issuers::new(web)
        .trust(TrustedIssuer::new(LOGIN, API).jwks_url(JWKS))
        .trust(
            TrustedIssuer::new("https://other.example", API).jwks_url("https://other.example/jwks"),
        );
    let verifier = Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let other = claims(&clock).with("iss", r#""https://other.example""#);
    for (case, token, expected) in [
        ("ours", signed(&ours, &claims(&clock)), None),
        ("theirs", signed(&theirs, &other), None),
        (
            "by theirs",
            signed(&theirs, &claims(&clock)),
            Some(Refusal::BadSignature),
        ),
        (
            "by ours",
            signed(&ours, &other),
            Some(Refusal::BadSignature),
        ),
        (
            "a stranger's",
            signed(
                &ours,
                &claims(&clock).with("iss", r#""https://login.example""#),
            ),
            Some(Refusal::UnknownKey),
        ),
    ] {
        for _ in 0..2 {
            match (
                verifier.verify(&token, &Requirements::new()).await,
                &expected,
            ) {
                (Ok(_), None) => {}
                (Err(Error::Refused(refusal)), Some(expected)) => {
                    assert_eq!(refusal, *expected, "{case}");
                }
                (verified, _) => panic!("{case}: {verified:?}"),
            }
        }
    }
}

/// Both have a user of one name, and a client of one name.
#[tokio::test(start_paused = true)]
async fn a_connection_is_renewed_by_no_token_of_another_issuer() {
    let (web, clock) = (Web::default(), ManualClock::new());
    web.publish(JWKS, jwks(&[&key()]));
    let other = "https://other.example";
    let issuers = Issuers::new(web)
        .trust(TrustedIssuer::new(LOGIN, API).jwks_url(JWKS))
        .trust(TrustedIssuer::new(other, API).jwks_url(JWKS));
    let verifier = Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new());
    let verifier = verifier.clock(clock.clone()).build().await.unwrap();
    let ours = signed(&key(), &claims(&clock));
    let pass = verifier.verify(&ours, &Requirements::new()).await.unwrap();
    let connection = verifier.connection(&pass);
    connection.renew(&ours).await.unwrap();
    let theirs = signed(&key(), &claims(&clock).with("iss", format!("{other:?}")));
    let renewed = connection.renew(&theirs).await;
    assert!(matches!(renewed, Err(Error::Refused(Refusal::Ambiguous))));
}

#[tokio::test(start_paused = true)]
async fn a_jwt_of_another_kind_is_no_access_token() {
    let service = Service::new().await;
    let good = claims(&service.clock);
    for (case, claims) in [
        ("an ID token with a nonce", good.with("nonce", r#""n""#)),
        (
            "an ID token of the hybrid flow",
            good.with("at_hash", r#""h""#),
        ),
        ("an ID token with a code", good.with("c_hash", r#""h""#)),
        ("an ID token of Keycloak", good.with("typ", r#""ID""#)),
        (
            "a refresh token of Keycloak",
            good.with("typ", r#""Refresh""#),
        ),
        (
            "a token of Keycloak that is bound",
            good.with("typ", r#""DPoP""#),
        ),
        ("an ID token of Cognito", good.with("token_use", r#""id""#)),
        (
            "a token that is bound to a key",
            good.with("cnf", r#"{"jkt":"k"}"#),
        ),
        ("a logout token", good.with("events", "{}")),
    ] {
        service
            .refuses(case, &signed(&key(), &claims), &Refusal::WrongType)
            .await;
    }
    for (case, claims) in [
        (
            "an old Keycloak",
            good.with("nonce", r#""n""#).with("typ", r#""Bearer""#),
        ),
        (
            "Cognito",
            good.with("nonce", r#""n""#)
                .with("token_use", r#""access""#),
        ),
    ] {
        service.accepts(case, &signed(&key(), &claims)).await;
    }
    for (typ, is_good) in [
        (r#""at+jwt""#, true),
        (r#""application/at+jwt""#, true),
        (r#""AT+JWT""#, true),
        (r#""JWT""#, true),
        (r#""jwt""#, true),
        (r#""logout+jwt""#, false),
        (r#""dpop+jwt""#, false),
        (r#""secevent+jwt""#, false),
        (r#""JOSE""#, false),
        (r#""""#, false),
    ] {
        let token = key().token(
            key().header().with("typ", typ).to_string(),
            good.to_string(),
        );
        if is_good {
            service.accepts(typ, &token).await;
        } else {
            service.refuses(typ, &token, &Refusal::WrongType).await;
        }
    }
    let untyped = key().header().without("typ").to_string();
    service
        .accepts("no type", &key().token(untyped, good.to_string()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_writes_at_jwt_can_be_held_to_it() {
    let web = Web::default();
    web.publish(METADATA, metadata(LOGIN));
    web.publish(JWKS, jwks(&[&key()]));
    let service = Service::over(web, TrustedIssuer::only_at_jwt).await;
    let claims = claims(&service.clock).to_string();
    let token = |header: &Members| key().token(header.to_string(), &claims);
    let header = key().header();
    service.accepts("at+jwt", &token(&header)).await;
    for other in [header.with("typ", r#""JWT""#), header.without("typ")] {
        service
            .refuses("another", &token(&other), &Refusal::WrongType)
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_for_one_of_our_audiences() {
    let web = Web::default();
    web.publish(METADATA, metadata(LOGIN));
    web.publish(JWKS, jwks(&[&key()]));
    let service = Service::over(web, |issuer| issuer.audience("api://two")).await;
    for (aud, expected) in [
        (r#""shop-api""#, None),
        (r#""api://two""#, None),
        (r#"["other","api://two"]"#, None),
        (r#""other""#, Some(Refusal::WrongAudience)),
        (r#""SHOP-API""#, Some(Refusal::WrongAudience)),
        (r#""shop-api ""#, Some(Refusal::WrongAudience)),
        ("[]", Some(Refusal::WrongAudience)),
        ("null", Some(Refusal::Malformed)),
        ("7", Some(Refusal::Malformed)),
        (r#"[7,"shop-api"]"#, Some(Refusal::Malformed)),
    ] {
        let token = signed(&key(), &claims(&service.clock).with("aud", aud));
        match expected {
            None => drop(service.accepts(aud, &token).await),
            Some(expected) => service.refuses(aud, &token, &expected).await,
        }
    }
    let token = signed(&key(), &claims(&service.clock).without("aud"));
    service
        .refuses("no audience", &token, &Refusal::WrongAudience)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_another_type_is_refused() {
    let service = Service::new().await;
    let good = claims(&service.clock);
    let no_text = ["7", "null", "true", "[]", "{}", r#"["x"]"#];
    let texts = ["iss", "sub", "jti", "azp", "client_id", "typ", "token_use"];
    for name in texts {
        for raw in no_text {
            let case = format!("{name}: {raw}");
            // The client is the first of its names that is there.
            let claims = good.without("azp").with(name, raw);
            match service.verify(&signed(&key(), &claims)).await {
                Err(Error::Refused(Refusal::Malformed)) => {}
                verified => panic!("{case}: {verified:?}"),
            }
        }
    }
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for raw in [
            "-1",
            "1.5",
            "1e9",
            r#""1900000000""#,
            "null",
            "true",
            "253402300800",
            "[]",
        ] {
            let token = signed(&key(), &good.with(name, raw));
            service
                .refuses(&format!("{name}: {raw}"), &token, &Refusal::Malformed)
                .await;
        }
    }
    for name in ["scope", "scp"] {
        for raw in [
            "7",
            "{}",
            r#"[7]"#,
            r#"["a b"]"#,
            r#"[""]"#,
            r#""a\tb""#,
            r#"["ä"]"#,
        ] {
            let claims = good.without("scope").with(name, raw);
            let case = format!("{name}: {raw}");
            service
                .refuses(&case, &signed(&key(), &claims), &Refusal::Malformed)
                .await;
        }
    }
    for name in ["iss", "sub", "iat", "exp"] {
        let token = signed(&key(), &good.without(name));
        service.refuses(name, &token, &Refusal::Malformed).await;
    }
    for (name, raw) in [
        ("sub", r#""bob""#),
        ("azp", r#""x""#),
        ("groups", "[]"),
        ("scp", "[]"),
    ] {
        let twice = good.with(name, raw).and(name, raw);
        service
            .refuses(name, &signed(&key(), &twice), &Refusal::Malformed)
            .await;
    }
    let nested = good.with("realm_access", r#"{"roles":["user"],"roles":["admin"]}"#);
    service
        .refuses("nested", &signed(&key(), &nested), &Refusal::Malformed)
        .await;
}

#[tokio::test(start_paused = true)]
async fn its_time_is_judged_by_our_clock_and_its_lifetime_is_bounded() {
    let service = Service::new().await;
    let now = service.clock.now().unix_secs();
    let of = |iat: i64, exp: i64| {
        let claims = claims(&service.clock).with("iat", iat).with("exp", exp);
        signed(&key(), &claims)
    };
    let day = 86_400;
    service
        .refuses("expired", &of(now - 900, now - 31), &Refusal::Expired)
        .await;
    service
        .accepts("within the leeway", &of(now - 900, now - 29))
        .await;
    service
        .refuses("early", &of(now + 31, now + 900), &Refusal::NotYetValid)
        .await;
    let late = claims(&service.clock).with("nbf", now + 31);
    service
        .refuses("nbf", &signed(&key(), &late), &Refusal::NotYetValid)
        .await;
    let years = of(now - day + 60, now + 3650 * day);
    let pass = service.accepts("a long life", &years).await;
    assert_eq!(pass.expires_at().unix_secs(), now + 60);
    service.clock.advance(2 * MINUTE);
    service
        .refuses("after a day", &years, &Refusal::Expired)
        .await;
}
