//! The log tells where a login, a refresh and an end came from, and by what.

use gatepass::{
    Authority, Credentials, Device, Requirements,
    wire::{Endpoints, RequestBody, RequestHead},
};
use serde_json::Value;
use test_support::{
    log::Log,
    world::{World, builder, login},
};
use tracing::Level;

use crate::observe::events::{PASSWORD, USERNAME, one_user};

const ADDRESS: &str = "203.0.113.9";

async fn shop(world: &World) -> (Authority, Endpoints) {
    let node = builder(world.store.clone(), &world.clock).authenticator(one_user);
    let node = node.build().await.unwrap();
    let endpoints = Endpoints::builder(node.clone()).password_grant().resume();
    (node, endpoints.build().unwrap())
}

/// Sends a request with a user agent that is longer than a log should have it.
async fn send(endpoints: &Endpoints, path: &str, bearer: &str, body: &str) -> Value {
    let agent = format!("Agent/1.0\u{7} {}", "x".repeat(300));
    let bearer = format!("Bearer {bearer}");
    let kind = match body.starts_with('{') {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    let head = RequestHead::new("POST", path, |name| {
        let value = match name {
            "user-agent" => Some(agent.as_bytes()),
            "content-type" => Some(kind.as_bytes()),
            "authorization" if bearer.len() > 7 => Some(bearer.as_bytes()),
            _ => None,
        };
        value.into_iter()
    });
    let head = head.address(Some(ADDRESS.parse().unwrap()));
    let reply = endpoints
        .handle(&head, RequestBody::Complete(body.as_bytes()))
        .await;
    assert!(reply.status() < 300, "{path}: {reply:?}");
    serde_json::from_slice(reply.body()).unwrap_or_default()
}

#[tokio::test]
async fn logins_refreshes_and_ends_say_where_they_came_from() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let (node, endpoints) = shop(&world).await;
    let cut = format!("Agent/1.0 {}", "x".repeat(246));
    let seen = [("address", ADDRESS), ("user_agent", &*cut)];
    let with = |more: &[(&'static str, &'static str)]| {
        let of_alice = [("subject", "alice"), ("session", "*")];
        let all = [&of_alice[..], &seen, more].concat();
        all.iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect::<Vec<_>>()
    };
    let has = |name: &str, more: &[(&'static str, &'static str)]| {
        let fields = with(more);
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        log.has(Level::INFO, name, &fields);
    };
    let issued = |method| [("jti", "*"), ("client", "default"), ("method", method)];

    let body = format!(r#"{{"username":"{USERNAME}","password":"{PASSWORD}"}}"#);
    let tokens = send(&endpoints, "/auth/login", "", &body).await;
    has("session.issued", &issued("password"));
    let grant = format!(
        "grant_type=password&username=a&password={}",
        PASSWORD.replace(' ', "+")
    );
    send(&endpoints, "/auth/token", "", &grant).await;
    has("session.issued", &issued("password"));

    let refresh = format!(r#"{{"refresh_token":{}}}"#, tokens["refresh_token"]);
    let tokens = send(&endpoints, "/auth/refresh", "", &refresh).await;
    let rotated = |method| [&[("generation", "*")], &issued(method)[..]].concat();
    has("session.refreshed", &rotated("refresh"));
    let access = tokens["access_token"].as_str().unwrap();
    let again = format!(r#"{{"password":"{PASSWORD}"}}"#);
    send(&endpoints, "/auth/reauthenticate", access, &again).await;
    has("session.refreshed", &rotated("reauthenticate"));

    send(&endpoints, "/auth/logout", access, "").await;
    has("session.ended", &[("reason", "logout")]);
    let tokens = send(&endpoints, "/auth/login", "", &body).await;
    let access = tokens["access_token"].as_str().unwrap();
    send(&endpoints, "/auth/logout-all", access, "").await;
    let fields = [
        &[
            ("subject", "alice"),
            ("up_to", "*"),
            ("reason", "logout_all"),
        ],
        &seen[..],
    ];
    log.has(Level::INFO, "sessions.ended", &fields.concat());

    // A login of the application's own, and an end by it.
    let own = login(&node, "alice").await;
    let of_alice = [("subject", "alice"), ("session", "*")];
    let fields = [&of_alice[..], &issued("application")].concat();
    log.has(Level::INFO, "session.issued", &fields);
    let mut device = Device::default();
    device.address = Some(ADDRESS.parse().unwrap());
    let token = own.access_token.as_str();
    node.for_device(device).logout(token).await.unwrap();
    let fields = [&of_alice[..], &[("reason", "logout"), ("address", ADDRESS)]].concat();
    log.has(Level::INFO, "session.ended", &fields);
}

#[tokio::test]
async fn verified_tokens_are_logged_at_info_where_that_is_wanted() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock)
        .authenticator(one_user)
        .log_verified_tokens();
    let node = node.build().await.unwrap();
    let credentials = Credentials::new(USERNAME, PASSWORD);
    let issued = node.login(&credentials, Device::default()).await.unwrap();
    let token = issued.access_token.as_str();
    node.verifier()
        .verify(token, &Requirements::new())
        .await
        .unwrap();
    let fields = [
        ("subject", "alice"),
        ("session", "*"),
        ("jti", "*"),
        ("client", "default"),
    ];
    log.has(Level::INFO, "token.verified", &fields);
}
