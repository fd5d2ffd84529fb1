//! The example, with the client that is generated from its `.proto`.

use axum::http::HeaderMap;
use example_tonic::proto::account_client::AccountClient;
use futures_util::TryStreamExt;
use gatepass_testkit::{
    ManualClock,
    scenario::{Driver, Request as HttpRequest, Setup},
};
use gatepass_tests::frameworks::tonic::{OverBoth, over_sockets};
use serde_json::{Value, json};
use tonic::{Code, Request, metadata::MetadataMap};

use test_support::tonic::calls::{bearer, reason, unary};

async fn log_in(example: &OverBoth, device: &str) -> String {
    let body = json!({ "username": "alice", "password": "alice's password", "device": device });
    let answer = example
        .send(HttpRequest::post("/auth/login").json(&body))
        .await;
    let tokens: Value = serde_json::from_slice(&answer.body).unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

fn with(token: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.metadata_mut() = MetadataMap::from_headers(bearer(token));
    request
}

#[tokio::test]
async fn a_login_over_http_opens_the_methods_of_the_same_port() {
    let example = over_sockets(ManualClock::new(), Setup::default()).await;
    let mut client = AccountClient::new(example.channel.clone());
    client.health(()).await.unwrap();
    assert_eq!(client.maybe(()).await.unwrap().into_inner().subject, None);

    let phone = log_in(&example, "phone").await;
    let laptop = log_in(&example, "laptop").await;
    let me = client.me(with(&phone)).await.unwrap().into_inner();
    assert_eq!((&*me.subject, &*me.scope), ("alice", "profile"));
    let stream = client.sessions(with(&phone)).await.unwrap().into_inner();
    let mut sessions: Vec<_> = stream.try_collect().await.unwrap();
    sessions.sort_by(|one, other| other.device.cmp(&one.device));
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| (session.device.as_deref().unwrap(), session.current))
        .collect();
    assert_eq!(shown, [("phone", true), ("laptop", false)]);
    assert_eq!(sessions[0].id, me.session_id);

    let status = client.admin(with(&laptop)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.message(), "the token lacks a scope");
}

#[tokio::test]
async fn the_list_of_sessions_has_the_address_of_the_connection() {
    let example = over_sockets(ManualClock::new(), Setup::default()).await;
    let token = log_in(&example, "phone").await;
    let request = HttpRequest::get("/auth/sessions").bearer(&token);
    let answer = example.send(request).await;
    let listed: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(listed["sessions"][0]["address"], "127.0.0.1");
}

#[tokio::test]
async fn a_method_that_is_not_named_is_guarded() {
    let example = over_sockets(ManualClock::new(), Setup::default()).await;
    let path = "/gatepass.example.v1.Account/ToCome";
    let call = async |metadata| {
        let answer = unary::<_, ()>(example.channel.clone(), path, metadata).await;
        answer.map(drop).unwrap_err()
    };
    assert_eq!(reason(&call(HeaderMap::new()).await), Some("missing"));
    let token = log_in(&example, "phone").await;
    assert_eq!(call(bearer(&token)).await.code(), Code::Unimplemented);
}
