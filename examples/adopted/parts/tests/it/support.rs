//! The service on its own port, with its own file and clock.

use std::sync::Arc;

use example_parts::Service;
use gatepass::MasterSecret;
use gatepass_testkit::ManualClock;
use reqwest::{Client, Method, Response, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The service, with the users `admin`, who may read and write, and `guest`, who may read.
pub(crate) struct Warehouse {
    pub(crate) clock: ManualClock,
    pub(crate) service: Arc<Service>,
    pub(crate) directory: TempDir,
    client: Client,
    url: String,
}

/// The header that a client sends, if it has any: its name and its value.
pub(crate) type Credentials = Option<(&'static str, String)>;

/// A client without credentials.
pub(crate) const STRANGER: &Credentials = &None;

pub(crate) const PASSWORD: &str = "looking-glass";

impl Warehouse {
    pub(crate) async fn open() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = ManualClock::new();
        let path = directory.path().join("parts.db");
        let secret = MasterSecret::generate().unwrap();
        let service = Service::start(&path, secret, clock.clone()).await.unwrap();
        for (name, scopes) in [("admin", "parts:read parts:write"), ("guest", "parts:read")] {
            service.set_user(name, PASSWORD, scopes).await.unwrap();
        }
        let service = Arc::new(service);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&service);
        tokio::spawn(async move { serving.serve(listener).await });
        Self {
            clock,
            service,
            directory,
            client: Client::new(),
            url,
        }
    }

    /// Sends a request with a method and a path. A null `body` means no body.
    pub(crate) async fn ask(&self, line: &str, credentials: &Credentials, body: Value) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = credentials {
            headers.insert(*name, value.parse().unwrap());
        }
        self.send(line, headers, body).await
    }

    pub(crate) async fn send(&self, line: &str, headers: HeaderMap, body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = match body {
            Value::Null => request,
            body => request.json(&body),
        };
        Answer::of(request.headers(headers).send().await.unwrap()).await
    }

    /// The tokens of a login.
    pub(crate) async fn tokens(&self, name: &str) -> Value {
        let body = json!({ "username": name, "password": PASSWORD });
        let answer = self.ask("POST /auth/login", STRANGER, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// A person who has just logged in.
    pub(crate) async fn person(&self, name: &str) -> Credentials {
        bearer(&self.tokens(name).await)
    }

    /// A machine with a key of `owner`, and the number of that key.
    pub(crate) async fn machine(&self, owner: &Credentials, scopes: &str) -> (Credentials, i64) {
        let body = json!({ "name": "import", "scopes": scopes });
        let made = self.ask("POST /keys", owner, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let key = made.body["key"].as_str().unwrap().to_owned();
        let id = made.body["id"].as_i64().unwrap();
        (Some(("x-api-key", key)), id)
    }
}

/// A request that its gate has let through, and whose body the client still holds back.
pub(crate) struct Upload {
    stream: TcpStream,
    body: String,
}

impl Upload {
    pub(crate) async fn begin(
        warehouse: &Warehouse,
        line: &str,
        credentials: &Credentials,
        body: Value,
    ) -> Self {
        let host = warehouse.url.strip_prefix("http://").unwrap();
        let body = body.to_string();
        let (name, value) = credentials.as_ref().unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\n{name}: {value}\r\ncontent-length: {}\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body when a filter after the gate reads it.
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, body }
    }

    /// Sends the body, and returns the status of the answer.
    pub(crate) async fn end(mut self) -> u16 {
        self.stream.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.strip_prefix("HTTP/1.1 ").unwrap();
        status[..3].parse().unwrap()
    }
}

/// The credentials in an answer with tokens.
pub(crate) fn bearer(tokens: &Value) -> Credentials {
    let token = tokens["access_token"].as_str().unwrap();
    Some(("authorization", format!("Bearer {token}")))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        Self {
            status,
            headers,
            body,
        }
    }

    /// Checks the status and the name of the error.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, error: &str) {
        assert_eq!(
            (self.status, &self.body["error"]),
            (status, &json!(error)),
            "{self:?}"
        );
    }
}
