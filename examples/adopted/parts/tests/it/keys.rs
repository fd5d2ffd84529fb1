//! Machines with API keys.

use std::fs;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{PASSWORD, STRANGER, Upload, Warehouse};

#[tokio::test]
async fn a_key_and_a_session_reach_the_same_handlers() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (machine, _) = warehouse.machine(&admin, "parts:read parts:write").await;
    for (caller, key, by) in [
        (&admin, Value::Null, "admin"),
        (&machine, json!("import"), "import of admin"),
    ] {
        let who = warehouse.ask("GET /api/whoami", caller, Value::Null).await;
        assert_eq!(who.body, json!({ "user": "admin", "key": key }));
        let stock = json!({ "stock": 12 });
        let set = warehouse.ask("PUT /api/parts/bolt", caller, stock).await;
        let bolt = json!({ "name": "bolt", "stock": 12, "changed_by": by });
        assert_eq!((set.status, &set.body), (200, &bolt));
        let parts = warehouse.ask("GET /api/parts", caller, Value::Null).await;
        assert_eq!(parts.body, json!([bolt]));
    }
}

#[tokio::test]
async fn a_key_does_no_more_than_its_scopes() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (reader, _) = warehouse.machine(&admin, "parts:read").await;
    assert_eq!(
        warehouse
            .ask("GET /api/parts", &reader, Value::Null)
            .await
            .status,
        200
    );
    let set = warehouse
        .ask("PUT /api/parts/bolt", &reader, json!({ "stock": 1 }))
        .await;
    set.is_error(403, "insufficient_scope");
    let (idle, _) = warehouse.machine(&admin, "").await;
    warehouse
        .ask("GET /api/parts", &idle, Value::Null)
        .await
        .is_error(403, "insufficient_scope");
}

#[tokio::test]
async fn a_key_does_no_more_than_its_owner() {
    let warehouse = Warehouse::open().await;
    let guest = warehouse.person("guest").await;
    let body = json!({ "name": "import", "scopes": "parts:write" });
    warehouse
        .ask("POST /keys", &guest, body)
        .await
        .is_error(403, "insufficient_scope");

    // The same holds if the owner has lost a scope since.
    let admin = warehouse.person("admin").await;
    let (machine, _) = warehouse.machine(&admin, "parts:read parts:write").await;
    let set = async || {
        let stock = json!({ "stock": 1 });
        warehouse.ask("PUT /api/parts/bolt", &machine, stock).await
    };
    assert_eq!(set().await.status, 200);
    warehouse
        .service
        .set_user("admin", PASSWORD, "parts:read")
        .await
        .unwrap();
    set().await.is_error(403, "insufficient_scope");
}

#[tokio::test]
async fn only_a_key_that_is_good_admits_its_owner() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let ask = async |key: &str| {
        let key = Some(("x-api-key", key.to_owned()));
        warehouse.ask("GET /api/whoami", &key, Value::Null).await
    };
    for unknown in [
        "",
        "parts_",
        "parts_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ä",
    ] {
        ask(unknown).await.is_error(401, "invalid_token");
    }
    let (machine, id) = warehouse.machine(&admin, "parts:read").await;
    let (_, key) = machine.as_ref().unwrap();
    assert_eq!(ask(key).await.status, 200);

    let both = HeaderMap::from_iter([
        ("x-api-key".parse().unwrap(), key.parse().unwrap()),
        (
            "authorization".parse().unwrap(),
            admin.as_ref().unwrap().1.parse().unwrap(),
        ),
    ]);
    let both = warehouse.send("GET /api/whoami", both, Value::Null).await;
    both.is_error(400, "invalid_request");

    let revoke = format!("DELETE /keys/{id}");
    let guest = warehouse.person("guest").await;
    warehouse
        .ask(&revoke, &guest, Value::Null)
        .await
        .is_error(404, "not_found");
    assert_eq!(ask(key).await.status, 200);
    assert_eq!(
        warehouse.ask(&revoke, &admin, Value::Null).await.status,
        204
    );
    ask(key).await.is_error(401, "invalid_token");

    let neither = warehouse
        .ask("GET /api/whoami", STRANGER, Value::Null)
        .await;
    neither.is_error(401, "missing_token");
}

#[tokio::test]
async fn a_body_that_comes_after_the_end_of_its_key_or_session_changes_nothing() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (set, stock) = ("PUT /api/parts/bolt", json!({ "stock": 1 }));
    let (make, key) = ("POST /keys", json!({ "name": "late", "scopes": "" }));
    let (machine, id) = warehouse.machine(&admin, "parts:write").await;
    let revoke = format!("DELETE /keys/{id}");
    let session = warehouse.person("admin").await;
    let other = warehouse.person("admin").await;
    for (line, body, caller, end, ender) in [
        (set, &stock, &machine, revoke.as_str(), &admin),
        (set, &stock, &session, "POST /auth/logout", &session),
        (make, &key, &other, "POST /auth/logout", &other),
    ] {
        let upload = Upload::begin(&warehouse, line, caller, body.clone()).await;
        let ended = warehouse.ask(end, ender, Value::Null).await;
        assert_eq!(ended.status, 204, "{ended:?}");
        assert_eq!(upload.end().await, 401, "{line}");
    }
    for empty in ["GET /api/parts", "GET /keys"] {
        let list = warehouse.ask(empty, &admin, Value::Null).await;
        assert_eq!(list.body, json!([]), "{empty}");
    }
    let upload = Upload::begin(&warehouse, set, &admin, stock).await;
    assert_eq!(upload.end().await, 200);
}

#[tokio::test]
async fn a_key_makes_no_keys() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (machine, id) = warehouse.machine(&admin, "parts:read").await;
    let body = json!({ "name": "another", "scopes": "parts:read" });
    for (line, body) in [
        ("POST /keys".to_owned(), body),
        ("GET /keys".to_owned(), Value::Null),
        (format!("DELETE /keys/{id}"), Value::Null),
        ("GET /auth/sessions".to_owned(), Value::Null),
    ] {
        let refused = warehouse.ask(&line, &machine, body).await;
        assert_eq!(
            (refused.status, &refused.body["reason"]),
            (401, &json!("missing")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_text_of_a_key_is_shown_once_and_kept_nowhere() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (machine, id) = warehouse.machine(&admin, "parts:read").await;
    let list = warehouse.ask("GET /keys", &admin, Value::Null).await;
    assert_eq!(
        list.body,
        json!([{ "id": id, "name": "import", "scopes": "parts:read" }])
    );
    let (_, key) = machine.unwrap();
    for file in fs::read_dir(warehouse.directory.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(key.len())
                .any(|window| window == key.as_bytes())
        );
    }
}

#[tokio::test]
async fn no_shared_cache_keeps_an_answer_to_a_key() {
    let warehouse = Warehouse::open().await;
    let admin = warehouse.person("admin").await;
    let (machine, _) = warehouse.machine(&admin, "parts:read").await;
    let parts = warehouse.ask("GET /api/parts", &machine, Value::Null).await;
    assert_eq!(parts.headers["cache-control"], "private");
    let refused = warehouse
        .ask("PUT /api/parts/bolt", &machine, Value::Null)
        .await;
    assert_eq!(
        (refused.status, &refused.headers["cache-control"]),
        (403, &"no-store".parse().unwrap())
    );
}
