//! Tokens, and how sessions end.

use serde_json::{Value, json};

use crate::support::Api;

#[tokio::test]
async fn only_a_good_token_opens_what_needs_a_user() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    for line in [
        "GET /api/user",
        "PUT /api/user",
        "POST /api/profiles/jake/follow",
        "DELETE /api/profiles/jake/follow",
        "GET /api/articles/feed",
        "POST /api/articles",
        "PUT /api/articles/a",
        "DELETE /api/articles/a",
        "POST /api/articles/a/favorite",
        "DELETE /api/articles/a/favorite",
        "POST /api/articles/a/comments",
        "DELETE /api/articles/a/comments/1",
        "GET /api/user/sessions",
    ] {
        let anonymous = api.ask(line, Value::Null).await;
        anonymous.is_error(401, "token", "is missing");
        let forged = api
            .send(line, Some("Token eyJhbGciOiJub25lIn0.e30."), Value::Null)
            .await;
        forged.is_error(401, "token", "is invalid");
    }
    // A bad token is also refused on routes where a token is optional: a client must notice it.
    let line = "GET /api/articles";
    assert_eq!(api.ask(line, Value::Null).await.status, 200);
    assert_eq!(
        api.send(line, Some("Token e.e.e"), Value::Null)
            .await
            .status,
        401
    );
    // gatepass's own scheme works as well.
    let bearer = format!("Bearer {}", jake.token);
    assert_eq!(
        api.send("GET /api/user", Some(&bearer), Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let api = Api::start().await;
    let (phone, laptop) = (api.register("jake").await, api.log_in("jake").await);
    let change = json!({ "user": { "password": "through-it" } });
    let changed = laptop.ask("PUT /api/user", change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    phone
        .get("/api/user")
        .await
        .is_error(401, "token", "is invalid");
    laptop.get("/api/user").await.ok("user");
    let login = |password| json!({ "user": { "email": "jake@example.com", "password": password } });
    let old = api
        .ask("POST /api/users/login", login("looking-glass"))
        .await;
    old.is_error(401, "credentials", "invalid");
    let new = api.ask("POST /api/users/login", login("through-it")).await;
    assert_eq!(new.status, 200);
}

#[tokio::test]
async fn a_logout_ends_one_session_or_all() {
    let api = Api::start().await;
    let (phone, laptop) = (api.register("jake").await, api.log_in("jake").await);
    let sessions = laptop.get("/api/user/sessions").await;
    assert_eq!(sessions.ok("sessions").as_array().unwrap().len(), 2);

    let logout = phone.ask("POST /api/user/logout", Value::Null).await;
    assert_eq!(logout.status, 204, "{logout:?}");
    phone
        .get("/api/user")
        .await
        .is_error(401, "token", "is invalid");
    laptop.get("/api/user").await.ok("user");

    let tablet = api.log_in("jake").await;
    let logout = laptop.ask("POST /api/user/logout-all", Value::Null).await;
    assert_eq!(logout.status, 204);
    for device in [laptop, tablet] {
        let refused = device.get("/api/user").await;
        refused.is_error(401, "token", "is invalid");
    }
}

#[tokio::test]
async fn a_client_gets_a_fresh_token_after_half_of_its_life() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    for days in [0, 6] {
        api.clock.advance(days);
        let current = jake.get("/api/user").await;
        assert_eq!(current.ok("user")["token"], json!(jake.token));
    }
    api.clock.advance(2);
    let current = jake.get("/api/user").await;
    assert_ne!(current.ok("user")["token"], json!(jake.token));
    let renewed = api.user(&current);
    // The new token is of the same session.
    let sessions = renewed.get("/api/user/sessions").await;
    assert_eq!(sessions.ok("sessions").as_array().unwrap().len(), 1);

    api.clock.advance(7);
    let expired = jake.get("/api/user").await;
    expired.is_error(401, "token", "has expired");
}

#[tokio::test]
async fn a_guesser_has_to_wait() {
    let api = Api::start().await;
    api.register("jake").await;
    let guess = json!({ "user": { "email": "jake@example.com", "password": "guess" } });
    let mut refused = api.ask("POST /api/users/login", guess.clone()).await;
    for _ in 0..25 {
        if refused.status != 401 {
            break;
        }
        refused = api.ask("POST /api/users/login", guess.clone()).await;
    }
    refused.is_error(429, "request", "too many attempts");
}
