//! The output of `Debug` and `Display`.

use std::fmt::{Debug, Write};

use gatepass::{
    Authority, Credentials, Device, Error, KeySet, MasterSecret, Requirements, Verifier,
    keys::{SecretSet, SigningKey},
    wire::{Endpoints, ErrorFormat, Reply, RequestBody, RequestHead},
};
use gatepass_testkit::ManualClock;
use test_support::{
    log::Log,
    world::{SECRET, World, subject, verify},
};

use crate::observe::events::{PASSWORD, one_user, secrets::Secrets};

#[tokio::test]
async fn no_debug_and_no_display_shows_a_secret() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let clock = ManualClock::new();
    let mut shown = Shown(String::new());

    let master = MasterSecret::from_bytes(SECRET).unwrap();
    let previous: Vec<_> = SECRET.iter().rev().copied().collect();
    secrets.add_key("previous secret", &previous);
    let previous = MasterSecret::from_bytes(&previous).unwrap();
    let key = SigningKey::derived(&master);
    let keys = KeySet::signing(key.clone());
    shown.debug(&[&master, &key, key.verifying_key(), &keys]);
    let world = World::memory();
    let with_users = || {
        let secrets = SecretSet::new(master.clone()).announce(previous.clone());
        Authority::builder(
            "https://shop.example",
            "shop-api",
            secrets,
            world.store.clone(),
        )
        .clock(clock.clone())
        .authenticator(one_user)
    };
    let verifying = Verifier::builder(
        "https://shop.example",
        "shop-api",
        keys,
        world.store.clone(),
    );
    shown.debug(&[&with_users(), &verifying]);
    let node: Authority = with_users().build().await.unwrap();
    let credentials = Credentials::new("alice", PASSWORD);
    let issued = node.login(&credentials, Device::default()).await.unwrap();
    secrets.add_issued(&issued);
    let pass = verify(&node, &issued).await.unwrap();
    let session = node.sessions(&subject("alice"), None).await.unwrap();
    let (access, token) = (&issued.access_token, &issued.refresh_token);
    shown.debug(&[
        &node,
        node.verifier(),
        &credentials,
        &issued,
        access,
        token,
        &pass,
        &session,
    ]);

    // Every error that a token can be the cause of, and every build that a secret can fail.
    let (access, token) = (access.as_str(), token.as_str());
    let forged = format!("{}AAAA", &access[..access.len() - 4]);
    let spaced = format!(" {access}");
    // Another last character than the one that is there, which may be either.
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    let changed = format!("{}{last}", &token[..token.len() - 1]);
    for text in [
        token,
        &forged,
        &spaced,
        PASSWORD,
        &access[..20],
        &format!("{token}x"),
    ] {
        secrets.add("presented", text);
        shown.error(
            &node
                .verifier()
                .verify(text, &Requirements::new())
                .await
                .unwrap_err(),
        );
        shown.error(&node.logout(&format!("{text}!")).await.unwrap_err());
    }
    for text in [access, &format!("{token}x"), &changed] {
        shown.error(&node.refresh(text).await.unwrap_err());
    }
    shown.debug(&[&MasterSecret::from_bytes(PASSWORD.as_bytes()).unwrap_err()]);
    shown.debug(&[&SigningKey::hs256(PASSWORD.as_bytes()).unwrap_err()]);
    shown.debug(&[&SigningKey::from_any_pem(SECRET).unwrap_err()]);

    // The wire: heads, bodies and replies.
    let endpoints = Endpoints::new(node.clone());
    shown.debug(&[&endpoints]);
    let bearer = format!("Bearer {access}");
    let login = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let refresh = format!(r#"{{"refresh_token":"{token}"}}"#);
    let broken = format!(r#"{{"password":"{PASSWORD}","#);
    let requests = [
        ("POST", "/auth/login", login.as_str()),
        ("POST", "/auth/login", broken.as_str()),
        ("POST", "/auth/refresh", refresh.as_str()),
        ("GET", "/auth/sessions", ""),
        ("POST", "/auth/logout", refresh.as_str()),
        ("POST", "/auth/refresh", refresh.as_str()),
    ];
    for (method, path, body) in requests {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let head = RequestHead::new(method, path, |name| {
            let named = headers.iter().filter(move |(own, _)| *own == name);
            named.map(|(_, value)| value.as_bytes())
        });
        let body = RequestBody::Complete(body.as_bytes());
        shown.debug(&[&head, &body]);
        let reply = endpoints.handle(&head, body).await;
        shown.debug(&[&reply]);
        if let Ok(body) = serde_json::from_slice::<serde_json::Value>(reply.body()) {
            for name in ["access_token", "refresh_token"] {
                if let Some(token) = body.get(name).and_then(|token| token.as_str()) {
                    secrets.add("token of a reply", token);
                }
            }
        }
    }

    secrets.assert_absent(&shown.0);
    secrets.assert_absent(&log.text());
}

/// All that was shown.
pub(crate) struct Shown(pub(crate) String);

impl Shown {
    pub(crate) fn debug(&mut self, all: &[&dyn Debug]) {
        for one in all {
            writeln!(self.0, "{one:?} {one:#?}").unwrap();
        }
    }

    /// An error in every form that it has, the wire's too.
    pub(crate) fn error(&mut self, error: &Error) {
        self.debug(&[error, &Reply::of_error(error, "shop", ErrorFormat::Login)]);
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = next {
            writeln!(self.0, "{error}").unwrap();
            next = error.source();
        }
        for format in [ErrorFormat::Login, ErrorFormat::Resource] {
            let reply = Reply::of_error(error, "shop", format);
            self.0.push_str(&String::from_utf8_lossy(reply.body()));
            reply.headers().for_each(|header| self.debug(&[&header]));
        }
    }
}
