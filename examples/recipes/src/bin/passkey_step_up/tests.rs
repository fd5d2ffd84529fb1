use std::collections::HashMap;

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use gatepass_testkit::TestService;
use http_body_util::BodyExt;
use passkey_authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey_client::{Client, DefaultClientData};
use passkey_crypto::AvailableBackend;
use passkey_types::ctap2::{Aaguid, Ctap2Error};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

const ORIGIN: &str = "https://bank.example";

/// The user's finger on the authenticator.
struct Finger;

#[gatepass::async_trait]
impl UserValidationMethod for Finger {
    type PasskeyItem = passkey_types::Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Self::PasskeyItem>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

async fn send(app: &Router, bearer: &str, path: &str, body: Value) -> (u16, HeaderMap, Value) {
    let request = Request::post(path)
        .header("authorization", bearer)
        .header("content-type", "application/json");
    let response = app
        .clone()
        .oneshot(request.body(Body::from(body.to_string())).unwrap());
    let response = response.await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        headers,
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}

/// As a page hands options to the browser, and the browser's answer on.
fn as_json<T: DeserializeOwned>(value: impl Serialize) -> T {
    let value = serde_json::to_value(value).unwrap();
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

#[tokio::test]
async fn money_moves_only_after_the_user_has_shown_a_passkey() {
    let service = TestService::start().await;
    let app = app(service.authority(), "bank.example", ORIGIN).unwrap();
    let origin = reqwest::Url::parse(ORIGIN).unwrap();
    let browser = || {
        let passkeys = HashMap::<Vec<u8>, passkey_types::Passkey>::new();
        let authenticator =
            Authenticator::new(Aaguid::new_empty(), passkeys, Finger, AvailableBackend);
        Client::new(authenticator)
    };
    let mut hers = browser();
    let alice = service.logged_in("alice").await;
    let bearer = alice.bearer();
    let post = async |path, body| send(&app, bearer, path, body).await;

    let (status, headers, _) = post("/transfer", Value::Null).await;
    assert_eq!(status, 401);
    let challenge = headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"acr_values="phr""#), "{challenge}");
    assert_eq!(
        post("/step-up/options", Value::Null).await.0,
        400,
        "no passkey yet"
    );

    // A thief of her password is about to register a passkey as well.
    let thief = service.logged_in("alice").await;
    let thief_posts = async |path, body| send(&app, thief.bearer(), path, body).await;
    let (_, _, theirs) = thief_posts("/passkeys/options", Value::Null).await;

    let (_, _, options) = post("/passkeys/options", Value::Null).await;
    let created = hers.register(
        &origin,
        as_json(json!({ "publicKey": options })),
        DefaultClientData,
    );
    let created = created.await.unwrap();
    assert_eq!(post("/passkeys", as_json(&created)).await.0, 201);
    assert_eq!(post("/passkeys", as_json(&created)).await.0, 400, "again");

    // The thief gets no passkey in place of hers.
    let mut browser = browser();
    let created = browser.register(
        &origin,
        as_json(json!({ "publicKey": theirs })),
        DefaultClientData,
    );
    let created = as_json(created.await.unwrap());
    assert_eq!(thief_posts("/passkeys", created).await.0, 400);
    let asked = thief_posts("/passkeys/options", Value::Null).await;
    assert_eq!(asked.0, 400);

    let mut shown = async || -> Value {
        let (_, _, options) = post("/step-up/options", Value::Null).await;
        let shown = hers.authenticate(
            &origin,
            as_json(json!({ "publicKey": options })),
            DefaultClientData,
        );
        as_json(shown.await.unwrap())
    };
    // The answer to a challenge of before spends the present one.
    let first = shown().await;
    let second = shown().await;
    assert_eq!(post("/step-up", first.clone()).await.0, 400);
    assert_eq!(
        post("/step-up", second).await.0,
        400,
        "the challenge is spent"
    );
    // Another session of hers has not asked for the third one.
    let third = shown().await;
    let phone = service.logged_in("alice").await;
    assert_eq!(
        send(&app, phone.bearer(), "/step-up", third.clone())
            .await
            .0,
        400
    );

    let (status, _, tokens) = post("/step-up", third.clone()).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(post("/step-up", third).await.0, 400, "again");
    let strong = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(send(&app, &strong, "/transfer", Value::Null).await.0, 200);
    // She may have another passkey in its place.
    let asked = send(&app, &strong, "/passkeys/options", Value::Null);
    assert_eq!(asked.await.0, 200);
    // The token from before says what it always said.
    assert_eq!(post("/transfer", Value::Null).await.0, 401);
    service
        .clock()
        .advance(FIVE_MINUTES + Duration::from_secs(1));
    assert_eq!(send(&app, &strong, "/transfer", json!({})).await.0, 401);
}

#[tokio::test]
async fn an_old_login_adds_no_passkey() {
    let service = TestService::start().await;
    let app = app(service.authority(), "bank.example", ORIGIN).unwrap();
    let alice = service.logged_in("alice").await;
    service
        .clock()
        .advance(FIVE_MINUTES + Duration::from_secs(1));
    let (status, headers, _) = send(&app, alice.bearer(), "/passkeys/options", Value::Null).await;
    assert_eq!(status, 401);
    let challenge = headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
}
