//! Logins without a password, and users whom the application has authenticated again by itself.

use gatepass::{Issued, Pass, Transport};

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Logs Alice in by a one-time code.
fn by_code(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    let code: Option<String> = credentials.extra("code");
    match (credentials.username(), credentials.password(), code) {
        ("alice", None, Some(code)) if code == "493021" => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

struct Shop {
    authority: Authority,
    endpoints: Endpoints,
    clock: ManualClock,
}

impl Shop {
    async fn open(transport: Transport) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let authority = Authority::builder(REALM, "shop-api", secret, store)
            .clock(clock.clone())
            .transport(transport)
            .authenticator(by_code)
            .build()
            .await
            .unwrap();
        Self {
            endpoints: Endpoints::new(authority.clone()),
            authority,
            clock,
        }
    }

    async fn log_in(&self) -> (Issued, Pass) {
        let alice = Identity::new("alice").unwrap();
        let issued = self.authority.issue(alice, Device::default()).await;
        let issued = issued.unwrap();
        let pass = self.verify(issued.access_token.as_str(), None).await;
        (issued, pass.unwrap())
    }

    async fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Pass, Error> {
        let any = Requirements::new();
        let requirements = max_age.map_or(any.clone(), |max_age| any.max_age(max_age));
        self.authority.verifier().verify(token, &requirements).await
    }

    async fn post(&self, path: &str, headers: &[(&'static str, &str)], sent: &Value) -> Reply {
        let headers = [&[JSON], headers].concat();
        let sent = sent.to_string();
        let head = head(path, &headers);
        let body = RequestBody::Complete(sent.as_bytes());
        let reply = self.endpoints.handle(&head, body).await;
        assert_well_formed(path, &reply);
        reply
    }
}

fn head<'h>(path: &'h str, headers: &'h [(&'static str, &'h str)]) -> RequestHead<'h> {
    RequestHead::new("POST", path, move |name| {
        let values = headers.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    })
}

#[tokio::test]
async fn other_credentials_take_the_place_of_a_password() {
    let shop = Shop::open(Transport::Bearer).await;
    let reply = shop
        .post(
            "/auth/login",
            &[],
            &json!({ "username": "alice", "code": "493021" }),
        )
        .await;
    assert_eq!(reply.status(), 200);
    let token = body(&reply)["access_token"].as_str().unwrap().to_owned();
    shop.clock.advance(Duration::from_secs(600));
    assert!(
        shop.verify(&token, Some(Duration::from_secs(300)))
            .await
            .is_err()
    );
    let bearer = format!("Bearer {token}");
    let authorized = [("authorization", &*bearer)];
    let again = shop
        .post(
            "/auth/reauthenticate",
            &authorized,
            &json!({ "code": "493021" }),
        )
        .await;
    assert_eq!(again.status(), 200);
    let token = body(&again)["access_token"].as_str().unwrap().to_owned();
    assert!(
        shop.verify(&token, Some(Duration::from_secs(300)))
            .await
            .is_ok()
    );
    for (path, sent, status, reason) in [
        (
            "/auth/login",
            json!({ "username": "alice" }),
            400,
            "missing_parameter",
        ),
        (
            "/auth/login",
            json!({ "code": "493021" }),
            400,
            "missing_parameter",
        ),
        (
            "/auth/login",
            json!({ "username": "alice", "password": "", "code": "493021" }),
            401,
            "bad_credentials",
        ),
        (
            "/auth/login",
            json!({ "username": "alice", "password": null, "code": "493021" }),
            400,
            "missing_parameter",
        ),
        ("/auth/reauthenticate", json!({}), 400, "missing_parameter"),
        (
            "/auth/reauthenticate",
            json!({ "code": "1" }),
            401,
            "bad_credentials",
        ),
    ] {
        let reply = shop.post(path, &authorized, &sent).await;
        assert_eq!(reply.status(), status, "{path} {sent}");
        assert_eq!(body(&reply)["reason"], reason, "{path} {sent}");
    }
}

#[tokio::test]
async fn a_step_up_of_the_application_is_answered_the_way_its_token_came() {
    for (transport, by_cookie) in [
        (Transport::Bearer, false),
        (Transport::Both, false),
        (Transport::Both, true),
        (Transport::Cookie, true),
    ] {
        let case = format!("{transport:?} {by_cookie}");
        let shop = Shop::open(transport).await;
        let (issued, pass) = shop.log_in().await;
        shop.clock.advance(Duration::from_secs(600));
        let token = issued.access_token.as_str();
        let (bearer, cookie) = (
            format!("Bearer {token}"),
            format!("__Host-gatepass={token}"),
        );
        let headers = match by_cookie {
            true => [("cookie", &*cookie)],
            false => [("authorization", &*bearer)],
        };
        let alice = Identity::new("alice").unwrap();
        let head = head("/passkey", &headers);
        let stepped_up = shop.endpoints.reauthenticated(&pass, alice, &head).await;
        let reply = stepped_up.unwrap().into_reply();
        assert_well_formed(&case, &reply);
        assert_eq!(reply.status(), 200, "{case}");
        let cookies = reply.headers().filter(|(name, _)| *name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| value.to_owned()).collect();
        let token = if by_cookie {
            assert!(body(&reply).get("access_token").is_none(), "{case}");
            assert_eq!(cookies.len(), 2, "{case}");
            let (access, _) = cookies[0].split_once(';').unwrap();
            access.strip_prefix("__Host-gatepass=").unwrap().to_owned()
        } else {
            assert!(cookies.is_empty(), "{case}");
            body(&reply)["access_token"].as_str().unwrap().to_owned()
        };
        let recent = shop.verify(&token, Some(Duration::from_secs(60))).await;
        assert_eq!(recent.unwrap().session_id(), pass.session_id(), "{case}");
    }
}

#[tokio::test]
async fn a_step_up_as_another_user_is_refused_and_changes_nothing() {
    let shop = Shop::open(Transport::Bearer).await;
    let (issued, pass) = shop.log_in().await;
    shop.clock.advance(Duration::from_secs(600));
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let headers = [("authorization", &*bearer)];
    let mallory = Identity::new("mallory").unwrap();
    let head = head("/callback", &headers);
    let rejection = shop.endpoints.reauthenticated(&pass, mallory, &head).await;
    let reply = rejection.unwrap_err().into_reply();
    assert_well_formed("another user", &reply);
    assert_eq!(reply.status(), 401);
    assert_eq!(body(&reply)["reason"], "bad_credentials");
    let refreshed = shop.authority.refresh(issued.refresh_token.as_str()).await;
    let refreshed = refreshed.unwrap();
    let token = refreshed.access_token.as_str();
    let pass = shop.verify(token, None).await.unwrap();
    assert_eq!(pass.subject().as_str(), "alice");
    assert!(
        shop.verify(token, Some(Duration::from_secs(60)))
            .await
            .is_err()
    );
}
