//! The application on its own port and in its own database, and clients for it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gatepass::{Clock, MasterSecret, SystemClock, Timestamp};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::servers::{server, unique};
use tokio::net::TcpListener;

/// The server, until the test ends.
pub(crate) struct Api {
    pub(crate) clock: Later,
    client: Client,
    url: String,
}

/// The clock of the machine, moved forward if the test says so.
#[derive(Clone, Default)]
pub(crate) struct Later {
    machine: SystemClock,
    secs: Arc<AtomicU64>,
}

impl Later {
    pub(crate) fn advance(&self, days: u64) {
        self.secs.fetch_add(days * 86_400, Ordering::SeqCst);
    }

    fn offset(&self) -> Duration {
        Duration::from_secs(self.secs.load(Ordering::SeqCst))
    }
}

impl Clock for Later {
    fn now(&self) -> Timestamp {
        self.machine.now() + self.offset()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + self.offset()
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        let server = server("GATEPASS_TEST_POSTGRES");
        let name = unique("conduit");
        let mut connection = PgConnection::connect(&server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        let clock = Later::default();
        let secret = MasterSecret::generate().unwrap();
        let database = format!("{server}/{name}");
        let app = example_conduit::app(&database, secret, clock.clone()).await;
        let app = app.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self {
            clock,
            client: Client::new(),
            url,
        }
    }

    /// Sends a request without a token.
    pub(crate) async fn ask(&self, line: &str, body: Value) -> Answer {
        self.send(line, None, body).await
    }

    /// Gets a path without a token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), Value::Null).await
    }

    /// Sends a request with this value of `Authorization`. `line` has a method and a path. A null
    /// `body` means no body.
    pub(crate) async fn send(
        &self,
        line: &str,
        authorization: Option<&str>,
        body: Value,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let caching = response.headers().get("cache-control");
        let is_kept = caching.is_none_or(|caching| caching != "no-store");
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        Answer {
            status,
            body,
            is_kept,
        }
    }

    /// Registers a user with this name.
    pub(crate) async fn register(&self, name: &str) -> User<'_> {
        let body = json!({ "user": credentials(name) });
        let answer = self.ask("POST /api/users", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        self.user(&answer)
    }

    /// Begins another session of a user.
    pub(crate) async fn log_in(&self, name: &str) -> User<'_> {
        let body = json!({ "user": credentials(name) });
        let answer = self.ask("POST /api/users/login", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.user(&answer)
    }

    /// The client that keeps the token of this answer.
    pub(crate) fn user(&self, answer: &Answer) -> User<'_> {
        let token = answer.body["user"]["token"].as_str().unwrap();
        User {
            api: self,
            token: token.to_owned(),
        }
    }
}

/// The members with which the user of this name registers and logs in.
pub(crate) fn credentials(name: &str) -> Value {
    json!({
        "username": name,
        "email": format!("{name}@example.com"),
        "password": "looking-glass",
    })
}

/// A client that keeps a user's token.
#[derive(Clone)]
pub(crate) struct User<'a> {
    api: &'a Api,
    pub(crate) token: String,
}

impl User<'_> {
    pub(crate) async fn ask(&self, line: &str, body: Value) -> Answer {
        let authorization = format!("Token {}", self.token);
        self.api.send(line, Some(&authorization), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), Value::Null).await
    }

    /// Writes an article, and returns it.
    pub(crate) async fn write(&self, title: &str, tags: &[&str]) -> Value {
        let article = json!({
            "title": title, "description": "about it", "body": "all of it", "tagList": tags,
        });
        let answer = self
            .ask("POST /api/articles", json!({ "article": article }))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["article"].clone()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Whether a cache may keep the answer.
    pub(crate) is_kept: bool,
}

impl Answer {
    /// Checks that this is an error in the API's format with this status, member and message.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, member: &str, message: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body, json!({ "errors": { member: [message] } }));
    }

    /// Checks that the request succeeded, and returns a member of its body.
    #[track_caller]
    pub(crate) fn ok(&self, member: &str) -> &Value {
        assert_eq!(self.status, 200, "{self:?}");
        &self.body[member]
    }
}

/// The names of the members of an object, in order.
pub(crate) fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}
