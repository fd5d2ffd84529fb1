//! Answers to OAuth clients that no scenario can express.

mod attempts;
mod discovery;
mod outage;

use base64::{Engine, engine::general_purpose::STANDARD};
use gatepass::wire::{Client, EndpointsBuilder};

use super::*;

const CALLER: &str = "gateway";
const KEY: &str = "the gateway's own secret";
/// `gateway:the+gateway%27s+own+secret`
const BASIC: &str = "Basic Z2F0ZXdheTp0aGUrZ2F0ZXdheSUyN3Mrb3duK3NlY3JldA==";

/// Knows every user whose password is "wonderland", with the scopes "a" and "b".
fn everybody(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    if credentials.password() != Some("wonderland") {
        return Err(AuthenticationError::BadCredentials);
    }
    let identity = Identity::new(credentials.username())?.scopes(Scopes::parse("a b").unwrap());
    Ok(match credentials.extra::<String>("lifetime") {
        Some(seconds) => identity.access_ttl(Duration::from_secs(seconds.parse().unwrap())),
        _ => identity,
    })
}

/// Endpoints over a store that fails on command.
struct Service {
    authority: Authority,
    endpoints: Endpoints,
    faults: TestStore,
    clock: ManualClock,
}

impl Service {
    async fn open() -> Self {
        Self::configured(|endpoints| endpoints.introspection().client(gateway())).await
    }

    async fn configured(configure: impl FnOnce(EndpointsBuilder) -> EndpointsBuilder) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let faults = store.clone();
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let authority = Authority::builder(REALM, "shop-api", secret, store)
            .clock(clock.clone())
            .authenticator(everybody)
            .build()
            .await
            .unwrap();
        let builder = Endpoints::builder(authority.clone()).password_grant();
        let endpoints = configure(builder).build().unwrap();
        Self {
            authority,
            endpoints,
            faults,
            clock,
        }
    }

    /// Sends a form, with an `Authorization` header if it is not empty.
    async fn post(&self, path: &str, authorization: &str, form: &str) -> Reply {
        let body = RequestBody::Complete(form.as_bytes());
        send(&self.endpoints, "POST", path, authorization, body).await
    }

    async fn token(&self, form: &str) -> Reply {
        self.post("/auth/token", "", form).await
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.token(&format!("grant_type=refresh_token&refresh_token={token}"))
            .await
    }

    /// The tokens of a new session: access, refresh.
    async fn login(&self) -> (String, String) {
        tokens(&self.token(LOGIN).await)
    }

    async fn lives(&self, access: &str) -> bool {
        let verifier = self.authority.verifier();
        verifier.verify(access, &Requirements::new()).await.is_ok()
    }

    async fn sessions(&self) -> usize {
        let alice = Subject::new("alice").unwrap();
        self.authority
            .sessions(&alice, None)
            .await
            .unwrap()
            .sessions
            .len()
    }
}

const LOGIN: &str = "grant_type=password&username=alice&password=wonderland";

fn gateway() -> Client {
    Client::confidential(CALLER.try_into().unwrap(), KEY)
}

async fn send(
    endpoints: &Endpoints,
    method: &str,
    path: &str,
    authorization: &str,
    body: RequestBody<'_>,
) -> Reply {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", authorization),
    ];
    let head = RequestHead::new(method, path, |name| {
        let named = headers.iter().filter(move |(own, _)| *own == name);
        let present = named.filter(|(_, value)| !value.is_empty());
        present.map(|(_, value)| value.as_bytes())
    });
    endpoints.handle(&head, body).await
}

fn tokens(reply: &Reply) -> (String, String) {
    let body = body(reply);
    let text = |name| body.get(name).and_then(Value::as_str).unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn said(reply: &Reply) -> (u16, Value) {
    let reason = body(reply).get("reason").cloned();
    (reply.status(), reason.unwrap_or_default())
}

#[tokio::test]
async fn a_lifetime_that_the_identity_has_holds_for_the_session() {
    let service = Service::open().await;
    for seconds in [60, 1800, 7200] {
        let reply = service.token(&format!("{LOGIN}&lifetime={seconds}")).await;
        assert_eq!(body(&reply)["expires_in"], json!(seconds));
        let (_, refresh) = tokens(&reply);
        let refreshed = service.refresh(&refresh).await;
        assert_eq!(body(&refreshed)["expires_in"], json!(seconds));
        let (access, _) = tokens(&refreshed);
        service.clock.advance(Duration::from_secs(seconds + 31));
        assert!(!service.lives(&access).await, "{seconds} s are over");
    }
    let reply = service.token(LOGIN).await;
    assert_eq!(body(&reply)["expires_in"], json!(900), "unless it has one");
}

#[tokio::test]
async fn a_bearer_with_the_configured_scope_may_introspect() {
    let scopes = Scopes::parse("a b").unwrap();
    let service = Service::configured(|it| it.introspection_with(scopes)).await;
    let (access, refresh) = service.login().await;
    let (narrow, _) = tokens(&service.token(&format!("{LOGIN}&scope=a")).await);
    let asked = format!("token={refresh}");
    let introspect = async |authorization: &str, form: &str| {
        let path = "/auth/introspect";
        service.post(path, authorization, form).await
    };

    let reply = introspect(&format!("bearer {access}"), &asked).await;
    assert_eq!(
        (reply.status(), &body(&reply)["sub"]),
        (200, &json!("alice"))
    );
    let reply = introspect(&format!("Bearer {access}"), "").await;
    assert_eq!(said(&reply), (400, json!("missing_parameter")));
    assert_eq!(header(&reply, "www-authenticate"), None);

    let reply = introspect(&format!("Bearer {narrow}"), &asked).await;
    assert_eq!(said(&reply), (403, json!("insufficient_scope")));
    let challenge = header(&reply, "www-authenticate").unwrap();
    assert!(
        challenge.starts_with(r#"Bearer realm="https://shop.example""#),
        "{challenge}"
    );
    assert!(challenge.ends_with(r#"scope="a b""#), "{challenge}");
    // Before the body is looked at, and a refresh token is none.
    for form in [asked.as_str(), ""] {
        let reply = introspect(&format!("Bearer {refresh}"), form).await;
        assert_eq!(said(&reply), (401, json!("wrong_type")));
    }
    for authorization in ["Bearer", "Bearer a b", "", BASIC] {
        let reply = introspect(authorization, &asked).await;
        assert_eq!(
            said(&reply),
            (401, json!("invalid_client")),
            "{authorization}"
        );
    }
    service
        .authority
        .revoke(service.authority.client_id(), &access)
        .await
        .unwrap();
    let reply = introspect(&format!("Bearer {access}"), &asked).await;
    assert_eq!(said(&reply), (401, json!("revoked")));
}

#[tokio::test]
async fn a_bearer_may_not_introspect_where_no_scope_is_configured() {
    let none = Service::configured(EndpointsBuilder::introspection).await;
    let empty = Service::configured(|it| it.introspection_with(Scopes::default())).await;
    for service in [none, empty] {
        let (access, refresh) = service.login().await;
        let (bearer, asked) = (format!("Bearer {access}"), format!("token={refresh}"));
        let reply = service.post("/auth/introspect", &bearer, &asked).await;
        assert_eq!(said(&reply), (401, json!("invalid_client")));
    }
}

#[tokio::test]
async fn only_who_may_use_passwords_may() {
    let desktop = Client::public("desktop".try_into().unwrap());
    let trusted = Client::public("trusted".try_into().unwrap()).password_grant();
    let service = Service::configured(|it| it.client(desktop).client(trusted)).await;
    let at = async |endpoints: &Endpoints, form: String| {
        let body = RequestBody::Complete(form.as_bytes());
        send(endpoints, "POST", "/auth/token", "", body).await
    };
    let refused = at(&service.endpoints, format!("{LOGIN}&client_id=desktop")).await;
    assert_eq!(said(&refused), (400, json!("unauthorized_client")));
    assert_eq!(body(&refused)["error"], "unauthorized_client");
    assert_eq!(service.sessions().await, 0);
    let let_in = at(&service.endpoints, format!("{LOGIN}&client_id=trusted")).await;
    assert_eq!(let_in.status(), 200);

    let off = Endpoints::builder(service.authority.clone())
        .build()
        .unwrap();
    let refused = at(&off, LOGIN.to_owned()).await;
    assert_eq!(said(&refused), (400, json!("unsupported_grant_type")));
}

#[tokio::test]
async fn a_client_is_found_though_another_ones_id_reads_alike() {
    let named = |id: &str, secret| Client::confidential(id.try_into().unwrap(), secret);
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let clients = [("a b", "one"), ("a+b", "two"), ("a%20b", "three")];
    for turn in 0..clients.len() {
        let mut clients = clients;
        clients.rotate_left(turn);
        let add = |it: EndpointsBuilder, (id, secret)| it.client(named(id, secret));
        let service = Service::configured(|it| clients.into_iter().fold(it, add)).await;
        for (pair, status) in [
            ("a b:one", 200),
            ("a+b:one", 200),
            ("a+b:two", 200),
            ("a%2Bb:two", 200),
            ("a%20b:three", 200),
            ("a%2520b:three", 200),
            ("a b:two", 401),
            ("a%2Bb:one", 401),
            ("a+b:three", 401),
        ] {
            let reply = service.post("/auth/revoke", &basic(pair), "token=x").await;
            assert_eq!(reply.status(), status, "{pair}");
        }
    }
}
