//! Answers of the endpoints to odd requests.

mod bodies;

use super::*;

const PASSWORD: &str = "wonderland";

const JSON: (&str, &[u8]) = ("content-type", b"application/json");

/// Knows one user, and gives a claim with the other members of the login.
fn wonderland(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some(PASSWORD)) => {}
        ("hasty", _) => {
            let retry_after = Duration::from_secs(9);
            return Err(AuthenticationError::TooManyAttempts { retry_after });
        }
        ("offline", _) => {
            return Err(AuthenticationError::unavailable(std::io::Error::other(
                MARKER,
            )));
        }
        _ => return Err(AuthenticationError::BadCredentials),
    }
    let seen = json!({
        "otp": credentials.extra::<Value>("otp"),
        "nested": credentials.extra::<Value>("nested"),
        "password": credentials.extra::<Value>("password"),
    });
    let identity = Identity::new("alice").unwrap();
    Ok(identity.claims(&json!({ "seen": seen })).unwrap())
}

struct Shop {
    authority: Authority,
    endpoints: Endpoints,
    faults: TestStore,
}

impl Shop {
    async fn open() -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let faults = store.clone();
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let authority = Authority::builder(REALM, "shop-api", secret, store)
            .clock(clock)
            .authenticator(wonderland)
            .build()
            .await
            .unwrap();
        let endpoints = Endpoints::new(authority.clone());
        Self {
            authority,
            endpoints,
            faults,
        }
    }

    async fn login(&self) -> Issued {
        let identity = Identity::new("alice").unwrap();
        self.authority
            .issue(identity, Device::default())
            .await
            .unwrap()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
        body: RequestBody<'_>,
    ) -> Reply {
        let values = |name| {
            headers
                .iter()
                .filter(move |(own, _)| *own == name)
                .map(|(_, value)| *value)
        };
        let head = RequestHead::new(method, path, values);
        let reply = self.endpoints.handle(&head, body).await;
        assert_well_formed(&format!("{method} {path}"), &reply);
        reply
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(
            "POST",
            path,
            &[JSON],
            RequestBody::Complete(body.as_bytes()),
        )
        .await
    }
}

const EMPTY: RequestBody<'_> = RequestBody::Complete(b"");

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let shop = Shop::open().await;
    let bearer = format!("Bearer {}", shop.login().await.access_token.as_str());
    let auth = ("authorization", bearer.as_bytes());
    let allowed = [
        ("/auth/login", "POST"),
        ("/auth/refresh", "POST"),
        ("/auth/logout", "POST"),
        ("/auth/logout-all", "POST"),
        ("/auth/sessions", "GET, HEAD, DELETE"),
        ("/auth/sessions/AAAA", "DELETE"),
    ];
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "get", "BREW",
        "",
    ];
    for (path, allow) in allowed {
        for method in methods {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let reply = shop.send(method, path, &[auth], EMPTY).await;
            let case = format!("{method} {path}");
            assert_eq!(reply.status(), 405, "{case}");
            assert_eq!(header(&reply, "allow"), Some(allow), "{case}");
            if method == "HEAD" {
                assert!(reply.body().is_empty(), "{case}");
            } else {
                assert_eq!(body(&reply)["error"], "invalid_request", "{case}");
                assert_eq!(body(&reply)["reason"], "method_not_allowed", "{case}");
            }
        }
    }
    let verified = shop
        .authority
        .verifier()
        .verify(bearer.trim_start_matches("Bearer "), &Requirements::new())
        .await;
    assert!(verified.is_ok(), "a wrong method ended the session");
}

#[tokio::test]
async fn a_path_is_an_endpoint_exactly_or_not_at_all() {
    let shop = Shop::open().await;
    let issued = shop.login().await;
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let auth = ("authorization", bearer.as_bytes());
    let nowhere = [
        "",
        "/",
        "/auth",
        "/auth/",
        "/auth/login/",
        "//auth/login",
        "/auth//login",
        "/auth/./login",
        "/auth/x/../login",
        "/auth/Login",
        "/AUTH/login",
        "/auth/login;x",
        "/auth/login%20",
        "/auth/%6cogin",
        "/auth%2Flogin",
        "/authlogin",
        "/auth/loginx",
        "/x/auth/login",
        "auth/login",
        "/auth/sessions/",
        "/auth/sessions/a/b",
        "/auth/sessions//a",
        "/auth/sessions/a/",
        "/auth/session",
        "/auth/logout-all/",
        "/auth/login\0",
        "/auth/login?x=1",
    ];
    for path in nowhere {
        for method in ["POST", "GET", "DELETE"] {
            let reply = shop
                .send(method, path, &[auth, JSON], RequestBody::Complete(b"{}"))
                .await;
            assert_eq!(reply.status(), 404, "{method} {path:?}");
            assert_eq!(body(&reply)["reason"], "not_found", "{method} {path:?}");
        }
    }
    let id = issued.session_id.to_string();
    let foreign = [
        format!("{id}="),
        format!("%{id}"),
        id.to_lowercase(),
        id.replacen(&id[..1], &format!("%{:02X}", id.as_bytes()[0]), 1),
        "..".into(),
        "{id}".into(),
        "'".into(),
    ];
    for id in foreign {
        let reply = shop
            .send("DELETE", &format!("/auth/sessions/{id}"), &[auth], EMPTY)
            .await;
        assert_eq!(reply.status(), 404, "{id}");
    }
    let reply = shop
        .send("DELETE", &format!("/auth/sessions/{id}"), &[auth], EMPTY)
        .await;
    assert_eq!((reply.status(), reply.body()), (204, &b""[..]));
    let paths: Vec<_> = shop.endpoints.paths().collect();
    assert_eq!(
        paths,
        [
            "/auth/login",
            "/auth/reauthenticate",
            "/auth/refresh",
            "/auth/logout",
            "/auth/logout-all",
            "/auth/sessions",
            "/auth/sessions/{id}",
            "/auth/token",
            "/auth/revoke",
            "/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server",
        ]
    );
}

#[tokio::test]
async fn authentication_is_judged_before_the_body() {
    let shop = Shop::open().await;
    let broken = [
        RequestBody::TooLarge,
        RequestBody::Stalled,
        RequestBody::Broken,
        RequestBody::Complete(b"{"),
        EMPTY,
    ];
    let places = [
        ("POST", "/auth/logout-all"),
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", "/auth/sessions/AAAA"),
    ];
    type Credentials<'h> = (&'h str, &'h [(&'h str, &'h [u8])], u16, &'h str);
    let credentials: [Credentials<'_>; 5] = [
        ("none", &[], 401, "missing"),
        ("Basic", &[("authorization", b"Basic YTpi")], 401, "missing"),
        (
            "a bad token",
            &[("authorization", b"Bearer a.b.c")],
            401,
            "malformed",
        ),
        (
            "no token",
            &[("authorization", b"Bearer ")],
            400,
            "ambiguous",
        ),
        (
            "two headers",
            &[
                ("authorization", b"Bearer a"),
                ("authorization", b"Bearer a"),
            ],
            400,
            "ambiguous",
        ),
    ];
    for sent in broken {
        for (case, headers, status, reason) in credentials {
            for (method, path) in places {
                let reply = shop.send(method, path, headers, sent).await;
                let got = (reply.status(), body(&reply)["reason"].clone());
                assert_eq!(
                    got,
                    (status, json!(reason)),
                    "{case}, {sent:?} to {method} {path}"
                );
                assert!(header(&reply, "www-authenticate").is_some(), "{case}");
            }
            if reason != "missing" {
                let reply = shop.send("POST", "/auth/logout", headers, sent).await;
                assert_eq!(reply.status(), status, "{case}, {sent:?} to logout");
            }
        }
    }
    let reply = shop.send("POST", "/auth/logout", &[], EMPTY).await;
    assert_eq!(
        (reply.status(), &body(&reply)["reason"]),
        (401, &json!("missing"))
    );
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_get() {
    let shop = Shop::open().await;
    let bearer = format!("Bearer {}", shop.login().await.access_token.as_str());
    let auth = ("authorization", bearer.as_bytes());
    for headers in [&[auth][..], &[]] {
        let get = shop.send("GET", "/auth/sessions", headers, EMPTY).await;
        let values = |name| {
            headers
                .iter()
                .filter(move |(own, _)| *own == name)
                .map(|(_, value)| *value)
        };
        let head = RequestHead::new("HEAD", "/auth/sessions", values);
        let reply = shop.endpoints.handle(&head, EMPTY).await;
        assert_eq!(reply.status(), get.status());
        assert!(reply.body().is_empty() && !get.body().is_empty());
        // No framework can tell how long the body was.
        let length = get.body().len().to_string();
        let expected = get.headers().chain([("content-length", &*length)]);
        assert!(reply.headers().eq(expected));
    }
}

#[tokio::test]
async fn further_members_of_a_login_reach_the_authenticator() {
    let shop = Shop::open().await;
    let login = r#"{"otp":"123456","username":"alice","nested":{"a":[1,null]},"password":"wonderland","ü":1}"#;
    let reply = shop.post("/auth/login", login).await;
    assert_eq!(reply.status(), 200);
    let token = body(&reply)["access_token"].as_str().unwrap().to_owned();
    let pass = shop
        .authority
        .verifier()
        .verify(&token, &Requirements::new())
        .await
        .unwrap();
    let claims: Value = pass.claims().unwrap();
    let seen = json!({ "otp": "123456", "nested": { "a": [1, null] }, "password": null });
    assert_eq!(
        claims,
        json!({ "seen": seen }),
        "and the password is none of them"
    );

    // Elsewhere they are ignored.
    let refresh =
        json!({ "refresh_token": body(&reply)["refresh_token"], "x": [1], "username": "bob" });
    assert_eq!(
        shop.post("/auth/refresh", &refresh.to_string())
            .await
            .status(),
        200
    );
    assert_eq!(
        shop.post("/auth/logout", &refresh.to_string())
            .await
            .status(),
        204
    );
}

#[tokio::test]
async fn a_token_answer_has_its_members_and_no_others() {
    let shop = Shop::open().await;
    let reply = shop
        .post(
            "/auth/login",
            r#"{"username":"alice","password":"wonderland"}"#,
        )
        .await;
    let answer = body(&reply);
    let names: BTreeSet<_> = answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        Vec::from_iter(names),
        [
            "access_token",
            "expires_at",
            "expires_in",
            "refresh_at",
            "refresh_expires_at",
            "refresh_token",
            "scope",
            "server_time",
            "session_id",
            "token_type"
        ]
    );
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(answer["server_time"], json!(ManualClock::START.unix_secs()));
}

#[tokio::test]
async fn refused_logins_differ_in_nothing_that_tells_users_apart() {
    let shop = Shop::open().await;
    let unknown = shop
        .post("/auth/login", r#"{"username":"mallory","password":"x"}"#)
        .await;
    let wrong = shop
        .post("/auth/login", r#"{"username":"alice","password":"x"}"#)
        .await;
    assert_eq!(
        (unknown.status(), unknown.body()),
        (wrong.status(), wrong.body())
    );
    assert!(unknown.headers().eq(wrong.headers()));
    assert_eq!(
        (wrong.status(), &body(&wrong)["error"]),
        (401, &json!("invalid_grant"))
    );
    let hasty = shop
        .post("/auth/login", r#"{"username":"hasty","password":"x"}"#)
        .await;
    assert_eq!(
        (hasty.status(), header(&hasty, "retry-after")),
        (429, Some("9"))
    );
    let offline = shop
        .post("/auth/login", r#"{"username":"offline","password":"x"}"#)
        .await;
    assert_eq!(
        (offline.status(), header(&offline, "retry-after")),
        (503, Some("2"))
    );
    assert!(!String::from_utf8_lossy(offline.body()).contains("hunter2"));
}

#[tokio::test]
async fn a_store_that_is_down_is_503_everywhere_and_refuses_nobody() {
    let shop = Shop::open().await;
    let issued = shop.login().await;
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let auth = ("authorization", bearer.as_bytes());
    let refresh = json!({ "refresh_token": issued.refresh_token.as_str() }).to_string();
    shop.faults
        .inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    let replies = [
        (
            "login",
            shop.post(
                "/auth/login",
                r#"{"username":"alice","password":"wonderland"}"#,
            )
            .await,
        ),
        ("refresh", shop.post("/auth/refresh", &refresh).await),
        ("logout", shop.post("/auth/logout", &refresh).await),
        (
            "logout by access token",
            shop.send("POST", "/auth/logout", &[auth], EMPTY).await,
        ),
        (
            "logout-all",
            shop.send("POST", "/auth/logout-all", &[auth], EMPTY).await,
        ),
        (
            "sessions",
            shop.send("GET", "/auth/sessions", &[auth], EMPTY).await,
        ),
        (
            "end others",
            shop.send("DELETE", "/auth/sessions", &[auth], EMPTY).await,
        ),
    ];
    for (case, reply) in replies {
        assert_eq!(reply.status(), 503, "{case}");
        assert_eq!(body(&reply)["reason"], "store_unavailable", "{case}");
        assert_eq!(header(&reply, "www-authenticate"), None, "{case}");
    }
    shop.faults.heal();
    assert_eq!(shop.post("/auth/refresh", &refresh).await.status(), 200);
}

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let shop = Shop::open().await;
    let issued = shop.login().await;
    let login = br#"{"username":"alice","password":"wonderland"}"#;
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let headers = [("authorization", bearer.as_bytes()), JSON];
    let head = RequestHead::new("POST", "/auth/login", |name| {
        headers
            .iter()
            .filter(move |(own, _)| *own == name)
            .map(|(_, value)| *value)
    });
    let reply = shop
        .endpoints
        .handle(&head, RequestBody::Complete(login))
        .await;
    let token = body(&reply)["refresh_token"].as_str().unwrap().to_owned();
    let pass = shop
        .authority
        .verifier()
        .verify(issued.access_token.as_str(), &Requirements::new())
        .await
        .unwrap();
    let state = Gate::new(&shop.authority).judge(&head).await.unwrap();
    let secret = MasterSecret::from_bytes(PASSWORD.repeat(4).as_bytes()).unwrap();
    let builder = Authority::builder(REALM, "shop-api", secret.clone(), MemoryStore::new());
    let shown = [
        format!("{issued:?}"),
        format!("{:?} {:?}", issued.access_token, issued.refresh_token),
        format!("{reply:?}"),
        format!("{head:?}"),
        format!("{:?}", RequestBody::Complete(login)),
        format!("{:?}", HeaderField::Once(bearer.as_bytes())),
        format!("{:?}", Credentials::new("alice", PASSWORD)),
        format!("{pass:?} {state:?}"),
        format!("{secret:?} {builder:?}"),
        format!(
            "{:?} {:?} {:?}",
            shop.authority,
            shop.authority.verifier(),
            shop.endpoints
        ),
        format!("{:?}", Endpoints::builder(shop.authority.clone())),
    ];
    let bytes = format!("{:?}", PASSWORD.as_bytes());
    let signature = issued.access_token.as_str().rsplit('.').next().unwrap();
    for shown in shown {
        for hidden in [
            PASSWORD,
            bytes.trim_matches(['[', ']']),
            signature,
            issued.refresh_token.as_str(),
            &token,
            "gpr_",
        ] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
