use axum::{body::Body, http::Request};
use gatepass_testkit::TestService;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_at_once() {
    let users = Users::open().unwrap();
    let own = users.clone();
    let service = TestService::configured(|builder| builder.authenticator(own)).await;
    let app = app(users, service.authority().clone()).unwrap();
    let root = service.logged_in("root").scopes("admin").await;
    let alice = service.logged_in("alice").scopes("customer").await;
    let set = async |bearer: &str, roles: &'static str| {
        let request = Request::put("/users/root/roles").header("authorization", bearer);
        let request = request.body(Body::from(roles)).unwrap();
        app.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(set(alice.bearer(), "admin").await, StatusCode::FORBIDDEN);
    assert_eq!(set(root.bearer(), "customer").await, StatusCode::NO_CONTENT);
    // The token that still says `admin` is refused: its client refreshes it.
    assert_eq!(set(root.bearer(), "admin").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_login_has_the_roles_of_the_table_and_a_refresh_the_new_ones() {
    let users = Users::open().unwrap();
    let own = users.clone();
    let service = TestService::configured(|builder| builder.authenticator(own)).await;
    let app = app(users.clone(), service.authority().clone()).unwrap();
    let post = async |path: &str, body: Value| -> (StatusCode, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    };
    let wrong = json!({ "username": "alice", "password": "looking glass" });
    assert_eq!(post("/auth/login", wrong).await.0, StatusCode::UNAUTHORIZED);
    let right = json!({ "username": "alice", "password": "wonderland" });
    let (_, tokens) = post("/auth/login", right).await;
    assert_eq!(tokens["scope"], "customer", "{tokens}");
    users.set_roles("alice", "customer author").unwrap();
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let (_, tokens) = post("/auth/refresh", refresh).await;
    assert_eq!(tokens["scope"], "author customer", "{tokens}");
}
