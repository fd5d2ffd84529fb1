//! Forged access tokens as bearer tokens in requests: 400 or 401, and never a fault of ours.

use axum::{Router, body::Body, http, routing::get};
use gatepass::{Refusal, keys::Algorithm};
use gatepass_axum::{Auth, GateLayer};
use http_body_util::BodyExt;
use serde_json::Value;
use test_support::{
    attacks::{Attack, Table},
    rig::Rig,
};
use tower::ServiceExt;

fn router(rig: &Rig) -> Router {
    let me = async |Auth(pass): Auth| pass.subject().to_string();
    let gate = GateLayer::new(&rig.authority);
    Router::new().route("/me", get(me)).route_layer(gate)
}

/// The attack as the value of a header field, if it can be one. White space around it would belong
/// to the field, and not to the token.
fn field(token: &str) -> Option<http::HeaderValue> {
    let value = http::HeaderValue::from_str(&format!("Bearer {token}")).ok();
    let value =
        value.or_else(|| http::HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).ok());
    value.filter(|_| token.trim() == token)
}

/// RFC 6750 §2.1.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

async fn an_attack_on_a_gate_is_answered_with_what_is_wrong_with_it(algorithm: Algorithm) {
    let rig = Rig::new(algorithm).await;
    let router = router(&rig);
    let table = Table::of(&rig);
    let mut sent = 0;
    for Attack {
        name,
        token,
        reason,
        ..
    } in &table.attacks
    {
        let Some(field) = field(token) else {
            continue;
        };
        sent += 1;
        let request = http::Request::get("/me").header("authorization", field);
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let said: Value = serde_json::from_slice(&body).unwrap();
        let expected = if is_b64token(token) {
            (401, reason.reason())
        } else {
            (400, Refusal::Ambiguous.reason())
        };
        let reason = said["reason"].as_str().unwrap();
        assert_eq!(
            (head.status.as_u16(), reason),
            expected,
            "{algorithm}, {name}"
        );
        assert!(
            head.headers.contains_key("www-authenticate"),
            "{algorithm}, {name}"
        );
    }
    assert!(sent * 10 > table.attacks.len() * 9, "{algorithm}: {sent}");
    assert_eq!(rig.counts.calls(), 0, "{algorithm}: the store was asked");
    for control in table.controls {
        let request =
            http::Request::get("/me").header("authorization", field(&control.token).unwrap());
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap());
        assert_eq!(
            response.await.unwrap().status(),
            200,
            "{algorithm}, {}",
            control.name
        );
    }
}

async fn an_attack_over_a_socket_is_refused(algorithm: Algorithm) {
    let rig = Rig::new(algorithm).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/me", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, router(&rig)).into_future());
    let client = reqwest::Client::new();
    let send = async |field: http::HeaderValue| {
        let request = client.get(&url).header("authorization", field);
        request.send().await.unwrap().status().as_u16()
    };
    let mut last = "";
    for (
        number,
        Attack {
            group, name, token, ..
        },
    ) in Table::of(&rig).attacks.iter().enumerate()
    {
        // A sample: the first attack of each group, and each tenth of all.
        if *group == last && number % 10 != 0 {
            continue;
        }
        let Some(field) = field(token) else {
            continue;
        };
        last = group;
        let status = send(field).await;
        // The server doesn't read a head of a MiB to its end.
        let expected: &[u16] = if token.len() < 100_000 {
            &[400, 401]
        } else {
            &[431]
        };
        assert!(expected.contains(&status), "{algorithm}, {name}: {status}");
    }
    assert_eq!(rig.counts.calls(), 0, "{algorithm}: the store was asked");
    assert_eq!(send(field(rig.good()).unwrap()).await, 200, "{algorithm}");
    server.abort();
}

test_support::by_each_family! {
    an_attack_on_a_gate_is_answered_with_what_is_wrong_with_it
    an_attack_over_a_socket_is_refused
}
