//! The host to which a client sent a request, and the client's address.

use std::net::SocketAddr;

use gatepass::Transport;
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_tests::application::Application;
use gatepass_warp::PeerAddr;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tower::ServiceExt;
use warp::http::Request;

fn credentials() -> Value {
    json!({ "username": "alice", "password": "alice's password" })
}

#[tokio::test]
async fn an_origin_is_held_against_the_host_of_the_target_and_of_the_header() {
    let mut setup = Setup::default();
    setup.transport = Transport::Cookie;
    let application = Application::start(ManualClock::new(), setup).await;
    let service = warp::service(example_warp::routes(&application.app));
    for (target, hosts, status) in [
        ("/auth/login", &["service.test"][..], 200),
        ("https://service.test/auth/login", &["service.test"], 200),
        // As in HTTP/2.
        ("https://service.test/auth/login", &[], 200),
        ("https://other.test/auth/login", &[], 403),
        ("/auth/login", &["other.test"], 403),
        ("/auth/login", &[], 403),
        ("/auth/login", &["service.test", "service.test"], 403),
        // The two disagree.
        ("https://other.test/auth/login", &["service.test"], 403),
        ("https://service.test/auth/login", &["other.test"], 403),
    ] {
        let mut request = Request::post(target)
            .header("origin", "https://service.test")
            .header("content-type", "application/json");
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(credentials().to_string()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{target} {hosts:?}");
    }
}

/// Logs alice in, and returns the addresses in the list of sessions of the server at `address`.
async fn listed(address: SocketAddr) -> Value {
    let client = reqwest::Client::new();
    let login = client.post(format!("http://{address}/auth/login"));
    let login = login.json(&credentials()).send().await.unwrap();
    let tokens: Value = login.json().await.unwrap();
    let sessions = client.get(format!("http://{address}/auth/sessions"));
    let sessions = sessions.bearer_auth(tokens["access_token"].as_str().unwrap());
    let mut sessions: Value = sessions.send().await.unwrap().json().await.unwrap();
    sessions["sessions"][0]["address"].take()
}

#[tokio::test]
async fn the_list_of_sessions_shows_the_address_whichever_server_it_is() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let app = &application.app;
    let mut servers = JoinSet::new();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = warp::serve(example_warp::routes(app)).incoming(listener);
    servers.spawn(async move {
        own.run().await;
        Ok(())
    });
    assert_eq!(listed(address).await, "127.0.0.1");

    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = example_warp::service(app, example_warp::routes(app));
    servers.spawn(example_warp::serve(
        listener,
        service,
        std::future::pending(),
    ));
    assert_eq!(listed(address).await, "127.0.0.1");
}

#[tokio::test]
async fn warps_own_word_for_an_address_outranks_an_extension() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let routes = example_warp::routes(&application.app);
    let own: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let other: SocketAddr = "192.0.2.2:2".parse().unwrap();
    for (remote, peer, shown) in [
        (Some(own), Some(other), json!("192.0.2.1")),
        (Some(own), None, json!("192.0.2.1")),
        (None, Some(other), json!("192.0.2.2")),
        (None, None, Value::Null),
    ] {
        let mut login = warp::test::request().method("POST").path("/auth/login");
        if let Some(remote) = remote {
            login = login.remote_addr(remote);
        }
        if let Some(peer) = peer {
            login = login.extension(PeerAddr(peer));
        }
        let login = login.json(&credentials()).reply(&routes).await;
        let tokens: Value = serde_json::from_slice(login.body()).unwrap();
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let sessions = warp::test::request().path("/auth/sessions");
        let sessions = sessions
            .header("authorization", bearer)
            .reply(&routes)
            .await;
        let sessions: Value = serde_json::from_slice(sessions.body()).unwrap();
        let sessions = sessions["sessions"].as_array().unwrap();
        let current = sessions.iter().find(|one| one["current"] == true).unwrap();
        assert_eq!(current["address"], shown, "{remote:?} {peer:?}");
    }
}
