use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use gatepass_testkit::TestService;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

async fn users() -> Users {
    let users = Users::open(":memory:", Passwords::new().unwrap()).unwrap();
    users.add("root", "looking glass", "admin").await.unwrap();
    users.add("alice", "wonderland", "").await.unwrap();
    users
}

async fn post(app: &Router, path: &str, bearer: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {bearer}"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn log_in(app: &Router, username: &str, password: &str) -> (StatusCode, Value) {
    let credentials = json!({ "username": username, "password": password });
    post(app, "/auth/login", "", credentials).await
}

async fn get_as(app: &Router, path: &str, tokens: &Value) -> StatusCode {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let request = Request::get(path).header("authorization", bearer);
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_login_needs_the_right_password_and_has_the_roles_of_the_table() {
    let users = users().await;
    let service = TestService::configured(|builder| builder.authenticator(users)).await;
    let app = app(service.authority());
    for (name, password) in [
        ("alice", "looking glass"),
        ("hatter", "wonderland"),
        ("alice", ""),
    ] {
        let (status, refused) = log_in(&app, name, password).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused["reason"], "bad_credentials");
    }
    for (name, password, status) in [("alice", "wonderland", 403), ("root", "looking glass", 200)] {
        let (_, tokens) = log_in(&app, name, password).await;
        assert_eq!(get_as(&app, "/me", &tokens).await, 200);
        assert_eq!(get_as(&app, "/admin", &tokens).await, status, "{name}");
    }
}

#[tokio::test]
async fn a_deleted_user_gets_no_further_token() {
    let users = users().await;
    let own = users.clone();
    let service = TestService::configured(|builder| builder.authenticator(own)).await;
    let app = app(service.authority());
    let (_, tokens) = log_in(&app, "alice", "wonderland").await;
    users.remove("alice");
    // The new user doesn't get the id of the old one, and with it the sessions.
    assert!(users.add("mallory", "treacle", "").await.unwrap());
    assert!(!users.add("Mallory", "tea time", "").await.unwrap());
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let (status, refused) = post(&app, "/auth/refresh", "", refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{refused}");
    assert_eq!(get_as(&app, "/me", &tokens).await, 401);
}

#[tokio::test]
async fn a_user_types_the_password_again_without_the_name() {
    let users = users().await;
    let service = TestService::configured(|builder| builder.authenticator(users)).await;
    let app = app(service.authority());
    let (_, tokens) = log_in(&app, "alice", "wonderland").await;
    let bearer = tokens["access_token"].as_str().unwrap();
    for (password, status) in [("looking glass", 401), ("wonderland", 200)] {
        let password = json!({ "password": password });
        let (got, answer) = post(&app, "/auth/reauthenticate", bearer, password).await;
        assert_eq!(got, status, "{answer}");
    }
}
