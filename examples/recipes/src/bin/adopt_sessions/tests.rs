use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, request::Builder},
    response::Response,
};
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

const OLD: &str = "sessionid=mnb9ejqkzahqqccw408osjb21i8r4emg";

/// The service after the move, and Django's database.
struct Moved {
    service: TestService,
    database: Arc<Mutex<Connection>>,
}

impl Moved {
    async fn start() -> Self {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(ROWS).unwrap();
        let database = Arc::new(Mutex::new(database));
        let django = Django {
            database: Arc::clone(&database),
            secret_key: "django-insecure-recipe".into(),
        };
        let adopt = Adopt::new("old:django", Timestamp::MAX, django.clone()).cookie("sessionid");
        let service = TestService::configured(|builder| {
            let builder = builder.transport(Transport::Cookie);
            builder.authenticator(django).adopt(adopt)
        });
        Self {
            service: service.await,
            database,
        }
    }

    async fn send(&self, request: Builder, cookies: &str) -> Response {
        let request = request.header("cookie", cookies).body(Body::empty());
        let app = app(self.service.authority()).unwrap();
        app.oneshot(request.unwrap()).await.unwrap()
    }

    /// The status of the page, and the cookies that it sets.
    async fn visit(&self, cookies: &str) -> (u16, String) {
        let response = self.send(Request::get("/me"), cookies).await;
        let set = response.headers().get_all("set-cookie").iter();
        let set = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        (response.status().as_u16(), Vec::from_iter(set).join("; "))
    }

    fn change(&self, sql: &str) {
        self.database.lock().unwrap().execute(sql, []).unwrap();
    }
}

#[tokio::test]
async fn a_browser_that_django_has_logged_in_moves_over() {
    let moved = Moved::start().await;
    let (status, own) = moved.visit(OLD).await;
    assert_eq!((status, own.split("; ").count()), (200, 2));
    let both = format!("{OLD}; {own}");
    assert_eq!(moved.visit(&both).await, (200, String::new()));
    assert_eq!(moved.visit("sessionid=guessed").await.0, 401);

    // The old cookie doesn't bring back a user who has logged out.
    let logout = Request::post("/auth/logout").header("sec-fetch-site", "same-origin");
    assert_eq!(moved.send(logout, &both).await.status(), 204);
    for cookies in [&both, &own, OLD] {
        assert_eq!(moved.visit(cookies).await.0, 401, "{cookies}");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let moved = Moved::start().await;
    moved.change("UPDATE auth_user SET password = 'another'");
    assert_eq!(moved.visit(OLD).await.0, 401);
}

#[tokio::test]
async fn a_user_who_is_no_longer_active_is_gone_at_the_next_refresh() {
    let moved = Moved::start().await;
    let own = moved.visit(OLD).await.1;
    moved.change("UPDATE auth_user SET is_active = FALSE");
    assert_eq!(moved.visit(&own).await.0, 200);
    moved.service.clock().advance(Duration::from_secs(1000)); // a token lives for 900
    assert_eq!(moved.visit(&own).await.0, 401);
}
