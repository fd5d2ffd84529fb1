//! Log entries and `Debug` output about OAuth clients and their requests.

use base64::{Engine, engine::general_purpose::STANDARD};
use gatepass::{
    ClientId,
    wire::{Client, Endpoints, RequestBody, RequestHead},
};
use sha2::Sha256;
use test_support::{
    log::Log,
    world::{World, builder},
};
use tracing::Level;

use crate::observe::events::{PASSWORD, USERNAME, one_user, secrets::Secrets, shown::Shown};

const CLIENT_SECRET: &str = "the gateway's own secret: 100%";
const GUESS: &str = "a guess at the gateway's secret";

/// Sends forms, and keeps what must not be seen and where it could be.
struct Watch {
    endpoints: Endpoints,
    secrets: Secrets,
    shown: Shown,
}

impl Watch {
    /// Sends a form; the tokens of the answer are secrets from then on.
    async fn post(
        &mut self,
        path: &str,
        authorization: Option<&str>,
        form: &str,
    ) -> serde_json::Value {
        let head = RequestHead::new("POST", path, |name| {
            let value = match name {
                "content-type" => Some("application/x-www-form-urlencoded"),
                "authorization" => authorization,
                _ => None,
            };
            value.map(str::as_bytes).into_iter()
        });
        let body = RequestBody::Complete(form.as_bytes());
        let reply = self.endpoints.handle(&head, body).await;
        self.shown.debug(&[&head, &body, &reply]);
        let answer: serde_json::Value = serde_json::from_slice(reply.body()).unwrap_or_default();
        for name in ["access_token", "refresh_token"] {
            if let Some(token) = answer.get(name).and_then(|token| token.as_str()) {
                self.secrets.add("token of a reply", token);
            }
        }
        answer
    }
}

#[tokio::test]
async fn nothing_that_a_client_proves_itself_by_is_seen() {
    let (log, _listening) = Log::listen();
    let mut secrets = Secrets::standing();
    let mut shown = Shown(String::new());
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("gateway:{secret}")));
    let encoded = "the+gateway%27s+own+secret%3A+100%25";
    for (what, secret) in [
        ("client secret", CLIENT_SECRET),
        ("client secret", encoded),
        ("guess", GUESS),
        ("guess", "a+guess"),
    ] {
        secrets.add(what, secret);
        secrets.add(what, basic(secret).trim_start_matches("Basic "));
    }
    let hash = <Sha256 as sha2::Digest>::digest(CLIENT_SECRET);
    secrets.add_key("hash of a client secret", &hash);

    let world = World::memory();
    let node = builder(world.store.clone(), &world.clock);
    let node = node.authenticator(one_user).build().await.unwrap();
    let gateway = ClientId::new("gateway").unwrap();
    let client = Client::confidential(gateway.clone(), CLIENT_SECRET).password_grant();
    let hashed = Client::confidential_hashed(ClientId::new("hashed").unwrap(), hash.into());
    let endpoints = Endpoints::builder(node.clone())
        .client(client.clone())
        .client(hashed.clone())
        .introspection();
    shown.debug(&[&client, &hashed, &endpoints]);
    let twice = Endpoints::builder(node.clone())
        .client(client.clone())
        .client(client);
    shown.debug(&[&twice.build().unwrap_err()]);
    let endpoints = endpoints.build().unwrap();
    shown.debug(&[&endpoints]);

    let good = basic(encoded);
    let mut watch = Watch {
        endpoints,
        secrets,
        shown,
    };
    let password = PASSWORD.replace(' ', "+");
    let login = format!("grant_type=password&username={USERNAME}&password={password}");
    let answer = watch.post("/auth/token", Some(&good), &login).await;
    let text = |name: &str| {
        answer
            .get(name)
            .and_then(|text| text.as_str())
            .unwrap()
            .to_owned()
    };
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    let session = text("session_id");

    let in_body = format!(
        "client_id=gateway&client_secret={}",
        GUESS.replace(' ', "+")
    );
    let refresh_form = format!("grant_type=refresh_token&refresh_token={refresh}&{in_body}");
    let token_form = format!("token={refresh}&{in_body}");
    for (path, authorization, form) in [
        ("/auth/token", None, &refresh_form),
        ("/auth/token", Some(basic(GUESS)), &login),
        ("/auth/introspect", None, &token_form),
        (
            "/auth/revoke",
            Some(basic(CLIENT_SECRET).replace("Z2F0", "eHh4")),
            &token_form,
        ),
    ] {
        watch.post(path, authorization.as_deref(), form).await;
    }
    log.has(
        Level::INFO,
        "client.refused",
        &[("reason", "invalid_client")],
    );
    assert_eq!(log.count("client.refused"), 4);
    let presented = format!("token={refresh}");
    let wrong = [("reason", "wrong_client")];
    watch.post("/auth/revoke", None, &presented).await;
    log.has(Level::INFO, "revocation.refused", &wrong);
    for authorization in [
        "Basic !",
        &format!("Bearer {access}"),
        &good[..20],
        CLIENT_SECRET,
    ] {
        watch.post("/auth/token", Some(authorization), &login).await;
    }
    for form in [
        &in_body,
        &format!("{login}&{login}"),
        &format!("{login}&%ff"),
    ] {
        watch.post("/auth/token", None, form).await;
    }
    for token in [&access, &refresh, PASSWORD, &format!("{access}AAAA")] {
        let form = format!("token={}", token.replace(' ', "+"));
        watch.post("/auth/introspect", Some(&good), &form).await;
        watch.shown.debug(&[&node.introspect(token).await.unwrap()]);
    }
    watch
        .post("/auth/revoke", Some(&good), &format!("token={access}"))
        .await;
    let revoked = [("subject", "alice"), ("session", &session), ("jti", "*")];
    log.has(Level::INFO, "token.revoked", &revoked);
    watch.post("/auth/revoke", Some(&good), &presented).await;
    let ended = [
        ("subject", "alice"),
        ("session", session.as_str()),
        ("reason", "logout"),
    ];
    log.has(Level::INFO, "session.ended", &ended);

    watch.secrets.assert_absent(&watch.shown.0);
    watch.secrets.assert_absent(&log.text());
    assert!(!log.text().contains(USERNAME), "{}", log.text());
}
