//! The endpoint, as providers see it.

use gatepass::wire::{Endpoint, Endpoints, Reply, RequestBody, RequestHead};
use serde_json::{Value, json};

use super::*;

const PATH: &str = "/auth/backchannel-logout";

async fn post(endpoints: &Endpoints, form: &str) -> Reply {
    let head = RequestHead::new("POST", PATH, |name| {
        let is_type = name == "content-type";
        let form: Option<&[u8]> = is_type.then_some(b"application/x-www-form-urlencoded");
        form.into_iter()
    });
    let body = RequestBody::Complete(form.as_bytes());
    endpoints.handle(&head, body).await
}

fn assert_says(reply: &Reply, status: u16, error: &str, reason: &str) {
    assert_eq!(reply.status(), status);
    let body: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!(
        (&body["error"], &body["reason"]),
        (&json!(error), &json!(reason))
    );
    assert_not_stored(reply);
}

fn assert_not_stored(reply: &Reply) {
    let mut headers = reply.headers();
    assert!(headers.any(|header| header == ("cache-control", "no-store")));
    let mut headers = reply.headers();
    assert!(!headers.any(|(name, _)| name == "www-authenticate"));
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_answers_providers_as_the_specification_says() {
    let shop = Shop::open().await;
    let endpoints = Endpoints::new(shop.authority.clone());
    let id = shop.log_in("alice", "248289", None).await;
    let form = format!("logout_token={}", shop.token(Some("248289"), None));

    let invalid = "invalid_request";
    assert_says(
        &post(&endpoints, "").await,
        400,
        invalid,
        "missing_parameter",
    );
    let twice = post(&endpoints, &format!("{form}&{form}")).await;
    assert_says(&twice, 400, invalid, "repeated_parameter");
    let unsigned = post(&endpoints, "logout_token=a.b").await;
    assert_says(&unsigned, 400, invalid, "malformed");
    let nonce = sign(&shop.claims().and("nonce", r#""n""#));
    let nonce = post(&endpoints, &format!("logout_token={nonce}")).await;
    assert_says(&nonce, 400, invalid, "wrong_type");

    let fails = StoreFault::Fail(StoreErrorKind::Unavailable);
    shop.store.inject(Op::End, fails);
    let failed = post(&endpoints, &form).await;
    assert_says(&failed, 503, "temporarily_unavailable", "store_unavailable");
    shop.store.heal();
    assert!(shop.lives(id).await);

    for _ in 0..2 {
        let done = post(&endpoints, &form).await;
        assert_eq!((done.status(), done.body()), (200, &b""[..]));
        assert_not_stored(&done);
        assert!(!shop.lives(id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_there_only_if_it_is_configured() {
    let shop = Shop::open().await;
    let endpoints = Endpoints::builder(shop.authority.clone());
    let endpoints = endpoints.without(Endpoint::BackchannelLogout).build();
    assert_eq!(post(&endpoints.unwrap(), "").await.status(), 404);
    let other = authority(&shop.web, &shop.clock).await;
    let endpoints = Endpoints::new(other);
    assert_eq!(post(&endpoints, "").await.status(), 404);
    assert!(!endpoints.openapi().contains("backchannel"));
    let endpoints = Endpoints::new(shop.authority.clone());
    assert!(endpoints.openapi().contains(PATH));
}
