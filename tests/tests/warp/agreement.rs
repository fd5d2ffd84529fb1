//! That the example in warp answers as the one in axum does, to the byte.

use std::net::SocketAddr;

use gatepass_testkit::{ManualClock, scenario::Setup};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::application::Application;

/// What comes back for these bytes, but for what differs from one request to the next, or is the server's
/// own: how long a body is, hyper says at another place than axum, and of a `HEAD` axum alone.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    // A server that has not read all of a request may reset the connection behind its answer.
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8(response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    let server = ["date:", "x-request-id:", "connection:", "content-length:"];
    let is_servers = |line: &str| server.iter().any(|name| line.starts_with(name));
    let kept: Vec<_> = head.lines().filter(|line| !is_servers(line)).collect();
    let length = format!("content-length: {}", body.len());
    assert!(
        request.starts_with(b"HEAD") || head.lines().any(|line| line == length),
        "{response}"
    );
    format!("{}\n\n{body}", kept.join("\n"))
}

fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: service.test\r\nconnection: close\r\n{headers}{length}\r\n{body}")
        .into_bytes()
}

#[tokio::test]
async fn the_same_bytes_are_answered_by_the_same_bytes() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let app = &application.app;
    let mut servers = JoinSet::new();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let axum = listener.local_addr().unwrap();
    let router = example_axum::router(app);
    servers.spawn(async move { axum::serve(listener, router).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let warp = listener.local_addr().unwrap();
    let service = example_warp::service(app, example_warp::routes(app));
    servers.spawn(example_warp::serve(
        listener,
        service,
        std::future::pending(),
    ));

    let json = "content-type: application/json";
    let mut requests = Vec::new();
    let own = [
        ("GET", "/health"),
        ("HEAD", "/health"),
        ("GET", "/me"),
        ("HEAD", "/me"),
        ("POST", "/profile"),
        ("GET", "/admin"),
        ("POST", "/transfer"),
        ("GET", "/strict"),
        ("GET", "/maybe"),
        ("GET", "/nowhere"),
        ("POST", "/me/more"),
        ("GET", "/"),
    ];
    for (method, path) in own {
        for headers in [
            &[][..],
            &["authorization: Bearer a.b.c"],
            &["authorization: Bearer"],
            &["authorization: Basic YTpi"],
            &["authorization: Bearer a", "authorization: Bearer b"],
            &["origin: https://page.example"],
        ] {
            requests.push(request(method, path, headers, ""));
        }
    }
    for path in app.endpoints.paths() {
        let path = path.replace("{id}", "AAAAAAAAAAAAAAAAAAAAAAAA");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            requests.push(request(method, &path, &[], ""));
            requests.push(request(method, &path, &["authorization: Bearer a.b.c"], ""));
            requests.push(request(method, &path, &[json], "{"));
        }
        requests.push(request("POST", &path, &[json], &"x".repeat(16 * 1024 + 1)));
        requests.push(request("GET", &format!("{path}/"), &[], ""));
        requests.push(request("GET", &format!("{path}?x=y"), &[], ""));
    }
    requests.push(request(
        "OPTIONS",
        "/auth/login",
        &[
            "origin: https://page.example",
            "access-control-request-method: POST",
        ],
        "",
    ));
    for request in requests {
        let asked = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        let expected = exchange(axum, &request).await;
        assert!(expected.starts_with("HTTP/1.1 "), "{asked}: {expected}");
        assert_eq!(exchange(warp, &request).await, expected, "{asked}");
    }
}
