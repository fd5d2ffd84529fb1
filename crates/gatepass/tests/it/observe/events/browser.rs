//! Log entries about the requests of browsers.

use gatepass::{
    Transport,
    wire::{Endpoints, Reply, RequestBody, RequestHead},
};
use test_support::{
    log::Log,
    world::{MINUTE, World, builder},
};
use tracing::Level;

use crate::observe::events::{PASSWORD, one_user, secrets::Secrets};

#[tokio::test]
async fn whatever_a_browser_does_no_token_is_logged() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock)
        .transport(Transport::Cookie)
        .authenticator(one_user);
    let node = node.build().await.unwrap();
    let endpoints = Endpoints::builder(node.clone()).resume().renew();
    let endpoints = endpoints.build().unwrap();
    let send = async |path: &str, cookies: &str, origin: &str, body: &str| {
        let head = RequestHead::new("POST", path, |name| {
            let value = match name {
                "content-type" => "application/json",
                "cookie" => cookies,
                "origin" => origin,
                _ => "",
            };
            (!value.is_empty()).then_some(value.as_bytes()).into_iter()
        });
        endpoints
            .handle(&head, RequestBody::Complete(body.as_bytes()))
            .await
    };
    let with = |password: &str| format!(r#"{{"username":"alice","password":"{password}"}}"#);
    let reply = send("/auth/login", "", "", &with(PASSWORD)).await;
    let mut cookies = String::new();
    let mut keep = |reply: &Reply| {
        let set = reply.headers().filter(|(name, _)| *name == "set-cookie");
        let set: Vec<_> = set
            .map(|(_, line)| line.split(';').next().unwrap())
            .collect();
        for cookie in &set {
            let (_, token) = cookie.split_once('=').unwrap();
            secrets.add("cookie", token);
            token
                .split('.')
                .for_each(|part| secrets.add("segment", part));
        }
        set.join("; ")
    };
    cookies.push_str(&keep(&reply));

    send("/auth/renew", &cookies, "https://evil.example", "").await;
    log.has(Level::INFO, "token.refused", &[("reason", "cross_site")]);
    keep(&send("/auth/renew", &cookies, "", "").await);
    let of_alice = [("subject", "alice"), ("session", "*"), ("jti", "*")];
    log.has(Level::INFO, "session.renewed", &of_alice);
    send("/auth/reauthenticate", &cookies, "", &with("wrong")).await;
    let refused = [&of_alice[..2], &[("reason", "bad_credentials")]].concat();
    log.has(Level::INFO, "reauthentication.refused", &refused);
    keep(&send("/auth/reauthenticate", &cookies, "", &with(PASSWORD)).await);
    log.has(Level::INFO, "session.reauthenticated", &of_alice[..2]);
    world.clock.advance(20 * MINUTE);
    keep(&send("/auth/resume", &cookies, "", "").await);
    send("/auth/resume", &cookies.repeat(2), "", "").await;
    send("/auth/logout", &cookies.replace("gpr_", "gpr_A"), "", "").await;
    let reply = send("/auth/logout", &cookies, "", "").await;
    assert_eq!(reply.status(), 204);
    secrets.assert_absent(&log.text());
}
