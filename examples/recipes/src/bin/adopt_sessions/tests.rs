use std::sync::{Arc, Mutex};

use axum::{body::Body, http::Request};
use gatepass_testkit::TestService;
use rusqlite::Connection;
use tower::ServiceExt;

use super::*;

/// As Django 5.2 has written them for `alice`, but for the date.
const ROWS: &str = "
    CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password TEXT, is_active BOOL);
    CREATE TABLE django_session (session_key TEXT PRIMARY KEY, session_data TEXT, expire_date TEXT);
    INSERT INTO auth_user VALUES (1, 'pbkdf2_sha256$1000000$S7ZVBg7MWMGfyLjwFpz3KT$6GQ1PH1DAM4fal0O7Hm0IjCkyGTbR0qB8RVFXDV5fug=', TRUE);
    INSERT INTO django_session VALUES ('mnb9ejqkzahqqccw408osjb21i8r4emg', '.eJxVjMsKwyAQAP_FcxEVH7HH3vsNsu6uNW0xEJNT6L8XIYf2OjPMIRLsW0175zXNJK5Ci8svy4AvbkPQE9pjkbi0bZ2zHIk8bZf3hfh9O9u_QYVexzawKco4q5DJW9YWOE4KM1Lk6BX44By6HFUORscJrMumWFMYvXWaxOcL4Ss30Q:1xY1nx:jKrsdX_XvAPlTf-7MXVBGLjaqwXdWRCjLPjkiH15OL4', '9999-12-14 13:52:29.555209')";

#[tokio::test]
async fn a_browser_that_django_has_logged_in_moves_over() {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(ROWS).unwrap();
    let database = Arc::new(Mutex::new(database));
    let django = Django {
        database: Arc::clone(&database),
        secret_key: "django-insecure-recipe".into(),
    };
    let adopt = Adopt::new("old:django", Timestamp::MAX, django).cookie("sessionid");
    let service =
        TestService::configured(|builder| builder.transport(Transport::Cookie).adopt(adopt)).await;
    let visit = async |cookies: &str| {
        let request = Request::get("/me")
            .header("cookie", cookies)
            .body(Body::empty());
        let response = app(service.authority())
            .oneshot(request.unwrap())
            .await
            .unwrap();
        let set = response.headers().get_all("set-cookie").iter();
        let set = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        (response.status().as_u16(), Vec::from_iter(set).join("; "))
    };
    let old = "sessionid=mnb9ejqkzahqqccw408osjb21i8r4emg";
    let (status, own) = visit(old).await;
    assert_eq!((status, own.split("; ").count()), (200, 2));
    assert_eq!(visit(&format!("{old}; {own}")).await, (200, String::new()));
    assert_eq!(visit("sessionid=guessed").await.0, 401);

    // A new password ends the sessions of the old one.
    let changed = "UPDATE auth_user SET password = 'another'";
    database.lock().unwrap().execute(changed, []).unwrap();
    assert_eq!(visit(old).await.0, 401);
}
