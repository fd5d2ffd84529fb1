//! Clients that send only a part of a request's head, over raw sockets.

use std::{future::pending, net::SocketAddr};

use example_app::HEAD_TIMEOUT;
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_tests::{
    application::Application,
    sockets::{cut_off_after, exchange},
};
use tokio::{net::TcpListener, task::JoinSet};

/// Everything that a client sends.
const PARTS: [&[u8]; 8] = [
    b"",
    b"GET /me HTTP/1.1\r\nhost: loc",
    b"GET /me HTTP/1.1\r\nhost: localhost\r\n",
    b"POST /auth/login HTTP/1.1\r\ncontent-length: 3\r\n",
    // After a complete request.
    b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /me HT",
    // The beginning of HTTP/2.
    b"P",
    b"PRI * HTTP/2.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

#[tokio::test]
async fn axum_cuts_off_a_client_that_sends_half_a_head() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let (listener, address) = listener().await;
    let router = example_axum::router(&application.app);
    let mut server = JoinSet::new();
    server.spawn(example_axum::serve(router, listener, pending()));
    cuts_off(address).await;
}

#[tokio::test]
async fn warp_cuts_off_a_client_that_sends_half_a_head() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let (listener, address) = listener().await;
    let app = &application.app;
    let service = example_warp::service(app, example_warp::routes(app));
    let mut server = JoinSet::new();
    server.spawn(example_warp::serve(listener, service, pending()));
    cuts_off(address).await;
}

#[tokio::test]
async fn tonic_cuts_off_a_client_that_sends_half_a_head() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let (listener, address) = listener().await;
    let router = example_tonic::router(&application.app);
    let mut server = JoinSet::new();
    server.spawn(example_tonic::serve(router, listener, pending()));
    // tonic waits without a limit until it knows whether a client speaks HTTP/2.
    for part in &PARTS[1..5] {
        let shown = String::from_utf8_lossy(part);
        assert_eq!(cut_off_after(address, part).await, HEAD_TIMEOUT, "{shown}");
    }
}

async fn cuts_off(address: SocketAddr) {
    for part in PARTS {
        let shown = String::from_utf8_lossy(part);
        assert_eq!(cut_off_after(address, part).await, HEAD_TIMEOUT, "{shown}");
    }
    // A faster client is served.
    let whole = b"GET /me HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = exchange(address, whole).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
