//! The examples over HTTP/2 with prior knowledge, and a gate in front of a service without a
//! framework.

use std::{any::Any, net::SocketAddr};

use actix_web::HttpServer;
use axum::body::Bytes;
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_tests::application::Application;
use gatepass_tower::GateLayer;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use test_support::actix;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower::Layer;
use warp::Filter;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_guarded_calls_and_refusals_share_one_connection() {
    let servers = Servers::start().await;
    for (name, address) in &servers.addresses[..3] {
        let mut client = Client::connect(*address).await;
        let user = json!({ "username": "alice", "password": "alice's password" });
        let login = client.send("POST", "/auth/login", "", &user).await;
        assert_eq!(login.status, 200, "{name}");
        assert_eq!(login.headers["cache-control"], "no-store", "{name}");
        let tokens: Value = serde_json::from_slice(&login.body).unwrap();
        let access = tokens["access_token"].as_str().unwrap();
        for (method, path, token, status) in [
            ("GET", "/me", access, 200),
            ("GET", "/me", "", 401),
            ("GET", "/me", "a.b.c", 401),
            // With a body that no handler reads.
            ("POST", "/profile", "", 401),
            ("POST", "/profile", access, 200),
            ("GET", "/admin", access, 403),
            ("PUT", "/auth/login", access, 405),
            ("POST", "/auth/logout-all", access, 204),
            ("GET", "/me", access, 401),
        ] {
            let body = if method == "POST" {
                &user
            } else {
                &Value::Null
            };
            let answer = client.send(method, path, token, body).await;
            assert_eq!(answer.status, status, "{name}: {method} {path} {token}");
            let challenged = answer.headers.contains_key("www-authenticate");
            assert_eq!(challenged, matches!(status, 401 | 403), "{name}: {path}");
        }
    }
}

/// HTTP/2 has the authority form only for `CONNECT` (RFC 9113 §8.5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_without_a_path_is_answered_and_the_connection_goes_on() {
    let servers = Servers::start().await;
    for (name, address) in &servers.addresses {
        let Client(mut sender) = Client::connect(*address).await;
        for (method, uri) in [("CONNECT", "a:1"), ("GET", "http://service.test/me")] {
            let request = Request::builder().method(method).uri(uri);
            let request = request.body(Full::new(Bytes::new())).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            assert!(status.is_client_error(), "{name}: {method} {uri} {status}");
        }
    }
}

/// hyper sends a body even in a response to HEAD, and clients then reset the stream (RFC 9113
/// §8.1.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_a_head_has_the_head_of_that_of_a_get_and_no_body() {
    let servers = Servers::start().await;
    for (name, address) in &servers.addresses {
        let mut client = Client::connect(*address).await;
        for (path, token, status) in [
            ("/me", "", 401),
            ("/me", "a.b.c", 401),
            ("/auth/sessions", "", 401),
            ("/auth/login", "", if *name == "tower" { 401 } else { 405 }),
        ] {
            let mut get = client.send("GET", path, token, &Value::Null).await;
            let mut head = client.send("HEAD", path, token, &Value::Null).await;
            assert_eq!((get.status, head.status), (status, status), "{name} {path}");
            assert_eq!(head.body, "", "{name} {path}");
            assert_ne!(get.body, "", "{name} {path}");
            for headers in [&mut get.headers, &mut head.headers] {
                headers.remove("date");
                headers.remove("x-request-id");
            }
            assert_eq!(head.headers, get.headers, "{name} {path}");
        }
    }
}

/// The example in each framework, and a gate in front of a service of hyper. Each has its own port
/// until this is dropped.
struct Servers {
    addresses: [(&'static str, SocketAddr); 4],
    _running: (JoinSet<()>, Box<dyn Any>, Application),
}

impl Servers {
    async fn start() -> Self {
        let application = Application::start(ManualClock::new(), Setup::default()).await;
        let app = application.app.clone();
        let mut tasks = JoinSet::new();

        let (axum, axum_at) = listener().await;
        let router = example_axum::router(&app);
        let served = example_axum::serve(router, axum, std::future::pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (warp, warp_at) = listener().await;
        let service = example_warp::service(&app, example_warp::routes(&app));
        let served = example_warp::serve(warp, service, std::future::pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (tower, tower_at) = listener().await;
        let gate = GateLayer::new(&app.authority);
        let service = gate.layer(warp::service(warp::any().map(|| "open to all")));
        let served = example_warp::serve(tower, service, std::future::pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (listener, actix_at) = actix::listener();
        let server = HttpServer::new(move || example_actix::application(&app));
        let server = server.workers(1).disable_signals();
        let actix = actix::Served::new(server.listen_auto_h2c(listener).unwrap().run());
        Self {
            addresses: [
                ("axum", axum_at),
                ("warp", warp_at),
                ("actix-web", actix_at),
                ("tower", tower_at),
            ],
            _running: (tasks, Box::new(actix), application),
        }
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// A connection of a client.
struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(&mut self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://service.test{path}"));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut bytes = Bytes::new();
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            bytes = body.to_string().into();
        }
        let request = request.body(Full::new(bytes)).unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}
