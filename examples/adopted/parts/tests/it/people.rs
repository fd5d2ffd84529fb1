//! People with sessions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PASSWORD, STRANGER, Warehouse, bearer};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_user_who_makes_a_key_has_just_logged_in() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (_, id) = warehouse.machine(&admin, "parts:read").await;
    warehouse.clock.advance(6 * MINUTE);

    let body = json!({ "name": "import", "scopes": "parts:read" });
    for (line, body) in [
        ("POST /keys".to_owned(), body),
        (format!("DELETE /keys/{id}"), Value::Null),
    ] {
        let refused = warehouse.ask(&line, &admin, body).await;
        let reason = &refused.body["reason"];
        assert_eq!(
            (refused.status, reason),
            (401, &json!("authentication_too_old")),
            "{line}"
        );
    }
    assert_eq!(
        warehouse.ask("GET /keys", &admin, Value::Null).await.status,
        200
    );

    let password = json!({ "password": PASSWORD });
    let again = warehouse
        .ask("POST /auth/reauthenticate", &admin, password)
        .await;
    assert_eq!(again.status, 200, "{again:?}");
    warehouse.machine(&bearer(&again.body), "parts:read").await;
}

#[tokio::test]
async fn a_logout_ends_the_session_and_not_the_keys() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (machine, _) = warehouse.machine(&admin, "parts:read").await;
    let logout = warehouse
        .ask("POST /auth/logout-all", &admin, Value::Null)
        .await;
    assert_eq!(logout.status, 204, "{logout:?}");
    let parts = async |caller| warehouse.ask("GET /api/parts", caller, Value::Null).await;
    parts(&admin).await.is_error(401, "invalid_token");
    assert_eq!(parts(&machine).await.status, 200);
}

#[tokio::test]
async fn a_client_refreshes_with_an_old_token_in_its_header() {
    let warehouse = Warehouse::open().await;
    let tokens = warehouse.tokens("admin").await;
    warehouse.clock.advance(20 * MINUTE);
    let old = bearer(&tokens);
    warehouse
        .ask("GET /api/parts", &old, Value::Null)
        .await
        .is_error(401, "invalid_token");
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    let refreshed = warehouse.ask("POST /auth/refresh", &old, body).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let fresh = bearer(&refreshed.body);
    assert_eq!(
        warehouse
            .ask("GET /api/parts", &fresh, Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn requests_that_no_route_takes_are_answered_in_json() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    for (line, body, status, error) in [
        ("GET /api/nothing", Value::Null, 404, "not_found"),
        ("GET /nothing", Value::Null, 404, "not_found"),
        ("POST /api/parts", Value::Null, 405, "method_not_allowed"),
        (
            "PUT /api/parts/bolt",
            json!({ "stock": -1 }),
            400,
            "invalid_request",
        ),
        (
            "POST /keys",
            json!({ "name": "import" }),
            400,
            "invalid_request",
        ),
        (
            "POST /keys",
            json!({ "name": "import", "scopes": "\"" }),
            400,
            "invalid_request",
        ),
    ] {
        warehouse
            .ask(line, &admin, body)
            .await
            .is_error(status, error);
    }
    // A client without access learns nothing about faults of its body.
    let body = json!({ "stock": -1 });
    let stranger = warehouse.ask("PUT /api/parts/bolt", STRANGER, body).await;
    stranger.is_error(401, "missing_token");
}

#[tokio::test]
async fn another_password_ends_the_sessions_and_other_scopes_reach_them() {
    let warehouse = Warehouse::open().await;
    let tokens = warehouse.tokens("admin").await;
    let admin = bearer(&tokens);
    let refresh = async |tokens: &Value| {
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        warehouse.ask("POST /auth/refresh", STRANGER, body).await
    };
    let parts = async |caller| warehouse.ask("GET /api/parts", caller, Value::Null).await;
    let set = async |password, scopes| {
        let set = warehouse.service.set_user("admin", password, scopes).await;
        set.unwrap();
    };
    // As each start of the program does.
    set(PASSWORD, "parts:read parts:write").await;
    assert_eq!(parts(&admin).await.status, 200);

    set(PASSWORD, "parts:read").await;
    let stale = parts(&admin).await;
    assert_eq!(
        (stale.status, &stale.body["reason"]),
        (401, &json!("stale_grant"))
    );
    let refreshed = refresh(&tokens).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let admin = bearer(&refreshed.body);
    assert_eq!(parts(&admin).await.status, 200);
    let body = json!({ "stock": 1 });
    let write = warehouse.ask("PUT /api/parts/bolt", &admin, body).await;
    assert_eq!(write.status, 403, "{write:?}");

    set("through-it", "parts:read").await;
    parts(&admin).await.is_error(401, "invalid_token");
    assert_eq!(refresh(&refreshed.body).await.status, 401);
}
