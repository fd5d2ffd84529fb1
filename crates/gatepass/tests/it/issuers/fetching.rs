//! Keys are fetched at start, before they are old, and once for an unknown key. No one can make
//! this node fetch more.

use std::sync::Arc;

use gatepass::Clock;
use test_support::{log::Log, web::Answer};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tracing::Level;

use super::*;

/// Lets time pass on all clocks, and tasks run.
async fn pass(service: &Service, time: Duration) {
    service.clock.advance(time);
    tokio::time::sleep(time).await;
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_at_start_through_the_metadata() {
    let service = Service::new().await;
    let urls: Vec<_> = (service.web.requests().into_iter())
        .map(|one| one.url)
        .collect();
    assert_eq!(urls, [METADATA, JWKS]);
    service.accepts("good", &service.good()).await;
    assert_eq!(service.web.count(), 2, "no request fetches");
    let health = service.verifier.health().issuers.remove(0);
    assert_eq!((health.issuer.as_str(), health.keys), (LOGIN, 1));
    assert_eq!(health.fetched_at, Some(service.clock.now()));
    assert_eq!((health.failing_since, health.failed_fetches), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_every_ten_minutes_and_a_withdrawn_one_is_trusted_no_more() {
    let service = Service::new().await;
    let token = service.good();
    service
        .accepts("in the cache of tokens from now on", &token)
        .await;
    service.web.publish(JWKS, jwks(&[&next_key()]));
    pass(&service, 9 * MINUTE).await;
    assert_eq!(service.web.count(), 2);
    service.accepts("before the next fetch", &token).await;
    pass(&service, 2 * MINUTE).await;
    assert_eq!(service.web.count(), 4);
    service
        .refuses("withdrawn", &token, &Refusal::UnknownKey)
        .await;
    let token = signed(&next_key(), &claims(&service.clock));
    service.accepts("new", &token).await;
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_machine_that_was_suspended_are_fetched_again() {
    let service = Service::new().await;
    service.clock.suspend(11 * MINUTE);
    service.accepts("by the old keys", &service.good()).await;
    settle().await;
    assert_eq!(
        service.web.count(),
        2,
        "it has not rested, by the monotonic clock"
    );
    service.clock.advance(MINUTE);
    service.accepts("by the old keys", &service.good()).await;
    settle().await;
    assert_eq!(service.web.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_with_a_new_key_has_it_fetched() {
    let service = Service::new().await;
    service.web.publish(JWKS, jwks(&[&key(), &next_key()]));
    let token = signed(&next_key(), &claims(&service.clock));
    service
        .refuses("within the cooldown", &token, &Refusal::UnknownKey)
        .await;
    assert_eq!(service.web.count(), 2);
    pass(&service, 30 * SECOND).await;
    service.accepts("after the cooldown", &token).await;
    assert_eq!(service.web.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn tokens_with_invented_keys_cause_one_fetch_in_a_cooldown_however_many_there_are() {
    let service = Arc::new(Service::new().await);
    for round in 1..=5 {
        pass(&service, 30 * SECOND).await;
        let mut strangers = JoinSet::new();
        for number in 0..100 {
            let service = Arc::clone(&service);
            strangers.spawn(async move {
                let mut header = key().header().with("typ", r#""JWT""#);
                header = header.with("kid", format!(r#""invented-{round}-{number}""#));
                let claims = claims(&service.clock).to_string();
                let token = key().token(header.to_string(), claims);
                service
                    .refuses("invented", &token, &Refusal::UnknownKey)
                    .await;
            });
        }
        while let Some(done) = strangers.join_next().await {
            done.unwrap();
        }
        assert_eq!(service.web.count(), 2 + 2 * round);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_share_one_fetch_and_one_that_hangs_up_stops_it_for_no_other() {
    let service = Arc::new(Service::new().await);
    let released = Arc::new(Notify::new());
    let document = jwks(&[&key(), &next_key()]);
    (service.web).answer(JWKS, Answer::Held(Arc::clone(&released), document));
    pass(&service, 30 * SECOND).await;
    let token = signed(&next_key(), &claims(&service.clock));
    let request = || {
        let (service, token) = (Arc::clone(&service), token.clone());
        tokio::spawn(async move { service.verify(&token).await })
    };
    let (first, second, third) = (request(), request(), request());
    settle().await;
    first.abort();
    settle().await;
    released.notify_one();
    assert!(second.await.unwrap().is_ok());
    assert!(third.await.unwrap().is_ok());
    assert_eq!(service.web.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_keys_stay_while_fetches_fail_and_unknown_ones_are_answered_503() {
    for broken in [
        Answer::Fails,
        Answer::Hangs,
        Answer::Panics,
        Answer::NotModified,
        Answer::Document(String::new()),
        Answer::Document(r#"{"keys":[]}"#.to_owned()),
        Answer::Document(r#"{"keys":{}}"#.to_owned()),
        Answer::Document(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#.to_owned()),
        Answer::Document(format!(
            "{}{}",
            jwks(&[&next_key()]),
            " ".repeat(256 * 1024)
        )),
    ] {
        let service = Service::new().await;
        service.web.answer(JWKS, broken);
        pass(&service, 11 * MINUTE).await;
        pass(&service, MINUTE).await;
        let since = service.verifier.health().issuers[0].failing_since;
        assert!(since.is_some_and(|since| since < service.clock.now()));
        service.accepts("known", &service.good()).await;
        let token = signed(&next_key(), &claims(&service.clock));
        service.cannot_tell("unknown", &token).await;

        service.web.publish(JWKS, jwks(&[&next_key()]));
        pass(&service, MINUTE).await;
        service.accepts("known again", &token).await;
        let health = service.verifier.health().issuers.remove(0);
        assert_eq!((health.failing_since, health.failed_fetches), (None, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_has_changed_hands_changes_no_key() {
    let service = Service::new().await;
    let evil = "https://evil.example/jwks";
    service.web.publish(evil, jwks(&[&next_key()]));
    let of = |issuer: &str, url: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{url}"}}"#);
    for metadata in [
        of("https://evil.example/", evil),
        of("https://login.example", evil),
        of(LOGIN, "http://evil.example/jwks"),
        of(LOGIN, "http://localhost/jwks"),
    ] {
        service.web.publish(METADATA, metadata);
        pass(&service, 11 * MINUTE).await;
        assert!(service.verifier.health().issuers[0].failing_since.is_some());
        let token = signed(&next_key(), &claims(&service.clock));
        service.cannot_tell("evil", &token).await;
        service.accepts("good", &service.good()).await;
    }
    assert!(service.web.requests().iter().all(|one| one.url != evil));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_keeps_no_service_from_starting() {
    let web = Web::default();
    let began = Instant::now();
    web.answer(METADATA, Answer::Hangs);
    let service = Service::over(web, |issuer| issuer).await;
    assert!(began.elapsed() <= 6 * SECOND);
    assert!(service.verifier.health().is_ready());
    let token = service.good();
    service.cannot_tell("without keys", &token).await;

    service.web.publish(METADATA, metadata(LOGIN));
    service.web.publish(JWKS, jwks(&[&key()]));
    // Tokens of strangers don't make it try sooner.
    let count = service.web.count();
    service.cannot_tell("too soon", &token).await;
    assert_eq!(service.web.count(), count);
    pass(&service, SECOND).await;
    service.accepts("with keys", &token).await;
}

#[tokio::test(start_paused = true)]
async fn pauses_between_fetches_that_fail_grow_up_to_the_cooldown() {
    let service = Service::over(Web::default(), |issuer| issuer).await;
    let mut pauses = Vec::new();
    let (mut count, mut last) = (service.web.count(), Instant::now());
    while pauses.len() < 8 {
        pass(&service, Duration::from_millis(100)).await;
        if service.web.count() > count {
            pauses.push(last.elapsed().as_secs_f64().round() as u32);
            (count, last) = (service.web.count(), Instant::now());
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn no_request_is_held_longer_than_a_fetch_may_take() {
    let service = Service::new().await;
    service.web.answer(JWKS, Answer::Hangs);
    pass(&service, 30 * SECOND).await;
    let token = signed(&next_key(), &claims(&service.clock));
    let began = Instant::now();
    service.cannot_tell("hanging", &token).await;
    assert!(began.elapsed() <= 6 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn documents_that_have_not_changed_are_not_sent_again() {
    let web = Web::default();
    web.answer(METADATA, Answer::Tagged(metadata(LOGIN), "\"m1\""));
    web.answer(JWKS, Answer::Tagged(jwks(&[&key()]), "\"k1\""));
    let service = Service::over(web, |issuer| issuer).await;
    pass(&service, 11 * MINUTE).await;
    let sent: Vec<_> = (service.web.requests().into_iter())
        .map(|one| one.etag)
        .collect();
    let (m1, k1) = (Some("\"m1\"".to_owned()), Some("\"k1\"".to_owned()));
    assert_eq!(sent, [None, None, m1, k1]);
    service.accepts("by the known keys", &service.good()).await;
    let fetched_at = service.verifier.health().issuers[0].fetched_at.unwrap();
    assert!(service.clock.now().since(fetched_at) <= 2 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_etag_is_of_one_url() {
    let web = Web::default();
    web.publish(METADATA, metadata(LOGIN));
    web.answer(JWKS, Answer::Tagged(jwks(&[&key()]), "\"1\""));
    let service = Service::over(web, |issuer| issuer).await;
    let moved = "https://keys.example/moved";
    let metadata = format!(r#"{{"issuer":"{LOGIN}","jwks_uri":"{moved}"}}"#);
    service.web.publish(METADATA, metadata);
    (service.web).answer(moved, Answer::Tagged(jwks(&[&next_key()]), "\"1\""));
    pass(&service, 11 * MINUTE).await;
    let token = signed(&next_key(), &claims(&service.clock));
    service.accepts("of the new place", &token).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_key_spoils_no_other_and_the_first_of_two_with_one_id_is_used() {
    let web = Web::default();
    web.publish(METADATA, metadata(LOGIN));
    let (good, twin) = (key(), Forge::stranger(Algorithm::Es256));
    let twin = twin.jwk().replace(&twin.kid, &good.kid);
    web.publish(
        JWKS,
        format!(
            r#"{{"keys":[{},{},{},{twin},{}]}}"#,
            r#"{"kty":"oct","k":"c2VjcmV0","kid":"secret"}"#,
            r#"{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}"#,
            good.jwk(),
            next_key().jwk(),
        ),
    );
    let service = Service::over(web, |issuer| issuer).await;
    assert_eq!(service.verifier.health().issuers[0].keys, 2);
    service.accepts("first", &service.good()).await;
    let token = signed(&next_key(), &claims(&service.clock));
    service.accepts("last", &token).await;
    let mut forged = Forge::stranger(Algorithm::Es256);
    forged.kid = good.kid;
    let token = signed(&forged, &claims(&service.clock));
    service
        .refuses("twin", &token, &Refusal::BadSignature)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_used_by_one_algorithm_that_is_allowed() {
    let rsa = Forge::trusted(Algorithm::Rs256);
    let nameless = rsa.jwk().replace(r#""alg":"RS256","#, "");
    assert_ne!(nameless, rsa.jwk());
    for (jwk, allowed, accepted) in [
        (nameless.clone(), None, Some(Algorithm::Rs256)),
        (
            nameless.clone(),
            Some(Algorithm::Ps256),
            Some(Algorithm::Ps256),
        ),
        (nameless, Some(Algorithm::Es256), None),
        (rsa.jwk(), Some(Algorithm::Ps256), None),
        (rsa.jwk(), Some(Algorithm::Rs256), Some(Algorithm::Rs256)),
    ] {
        let web = Web::default();
        web.publish(METADATA, metadata(LOGIN));
        web.publish(JWKS, format!(r#"{{"keys":[{jwk}]}}"#));
        let service = Service::over(web, |issuer| match allowed {
            Some(allowed) => issuer.algorithms([allowed]),
            None => issuer,
        })
        .await;
        for algorithm in [Algorithm::Rs256, Algorithm::Rs512, Algorithm::Ps256] {
            let mut forge = Forge::trusted(algorithm);
            forge.kid = rsa.kid.clone();
            let token = signed(&forge, &claims(&service.clock));
            match accepted {
                None => service.cannot_tell("no usable key", &token).await,
                Some(accepted) if accepted == algorithm => {
                    service.accepts("its algorithm", &token).await;
                }
                Some(_) => {
                    let expected = Refusal::UnknownKey;
                    service
                        .refuses("another algorithm", &token, &expected)
                        .await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_and_changes_are_told_once_and_without_a_token() {
    let (log, _listening) = Log::listen();
    let service = Service::new().await;
    log.has(
        Level::INFO,
        "issuer.keys",
        &[("issuer", LOGIN), ("keys", "1")],
    );
    service.web.answer(JWKS, Answer::Fails);
    pass(&service, 15 * MINUTE).await;
    let error = ("error", "no route to host");
    log.has(
        Level::ERROR,
        "issuer.unavailable",
        &[("issuer", LOGIN), error],
    );
    assert!(service.verifier.health().issuers[0].failed_fetches > 1);
    let skipped = r#"{"kty":"oct","k":"c2VjcmV0","kid":"secret"}"#;
    let (one, other) = (key().jwk(), next_key().jwk());
    service
        .web
        .publish(JWKS, format!(r#"{{"keys":[{one},{skipped},{other}]}}"#));
    pass(&service, MINUTE).await;
    pass(&service, 11 * MINUTE).await;
    log.has(Level::INFO, "issuer.available", &[("issuer", LOGIN)]);
    log.has(
        Level::INFO,
        "issuer.keys",
        &[("issuer", LOGIN), ("keys", "2")],
    );
    let of_key = [("issuer", LOGIN), ("position", "1"), ("error", "*")];
    log.has(Level::INFO, "issuer.key_skipped", &of_key);
    for (name, count) in [
        ("issuer.keys", 2),
        ("issuer.unavailable", 1),
        ("issuer.available", 1),
        ("issuer.key_skipped", 1),
    ] {
        assert_eq!(log.count(name), count, "{name}");
    }
    assert!(!log.text().contains("c2VjcmV0"));
}
