//! The error format of an application, and its choices about endpoints.

use std::sync::{Arc, Mutex};

use gatepass::{BuildError, Transport, wire::Endpoint};

use super::*;

type Seen = Arc<Mutex<Vec<(String, Problem)>>>;

/// An authority that answers each problem with its reason, over a store that can fail.
async fn authority() -> (Authority, TestStore, Seen) {
    let store = TestStore::new(MemoryStore::new());
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let authority = Authority::builder(REALM, "shop-api", secret, store.clone())
        .transport(Transport::Both)
        .authenticator(gatepass_testkit::OnePassword::new("wonderland"))
        .error_response(move |head, problem, reply| {
            let path = format!("{} {}", head.method(), head.path());
            told.lock().unwrap().push((path, problem.clone()));
            let text = problem.reason().as_bytes();
            reply
                .with_body("text/plain", text)
                .with_header("x-own", "yes")
        });
    (authority.build().await.unwrap(), store, seen)
}

fn head<'a>(method: &'a str, path: &'a str) -> RequestHead<'a> {
    RequestHead::new(method, path, |name| {
        let json = b"application/json".as_slice();
        (name == "content-type").then_some(json).into_iter()
    })
}

fn assert_own(reply: &Reply, status: u16, reason: &str) {
    assert_eq!(reply.status(), status, "{reason}");
    assert_eq!(reply.body(), reason.as_bytes());
    assert_eq!(header(reply, "content-type"), Some("text/plain"));
    assert_eq!(header(reply, "x-own"), Some("yes"));
}

#[tokio::test]
async fn a_gate_and_an_endpoint_answer_by_the_function_of_the_application() {
    let (authority, _, seen) = authority().await;
    let refused = Gate::new(&authority).judge(&head("GET", "/me")).await;
    let reply = refused.unwrap_err().into_reply();
    assert_own(&reply, 401, "missing");
    assert!(header(&reply, "www-authenticate").is_some());

    let endpoints = Endpoints::new(authority);
    let body = RequestBody::Complete(br#"{"username":"alice","password":"x"}"#);
    let reply = endpoints.handle(&head("POST", "/auth/login"), body).await;
    assert_own(&reply, 401, "bad_credentials");
    let reply = endpoints
        .handle(&head("POST", "/auth/login"), RequestBody::Broken)
        .await;
    assert_own(&reply, 400, "body_unparseable");
    let reply = endpoints
        .handle(&head("GET", "/auth/login"), RequestBody::Complete(b""))
        .await;
    assert_own(&reply, 405, "method_not_allowed");
    let reply = endpoints
        .handle(&head("GET", "/nowhere"), RequestBody::Complete(b""))
        .await;
    assert_own(&reply, 404, "not_found");

    let seen = seen.lock().unwrap();
    let (path, problem) = seen.get(1).unwrap();
    assert_eq!(path, "POST /auth/login");
    assert_eq!(problem.refusal(), Some(&Refusal::BadCredentials));
    assert_eq!(problem.error(), "invalid_grant");
    let (_, problem) = seen.get(2).unwrap();
    assert_eq!(problem.refusal(), None);
}

#[tokio::test]
async fn the_application_learns_nothing_of_a_failure_that_it_could_tell() {
    let (authority, store, seen) = authority().await;
    store.inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    let endpoints = Endpoints::new(authority);
    let body = RequestBody::Complete(br#"{"username":"alice","password":"wonderland"}"#);
    let reply = endpoints.handle(&head("POST", "/auth/login"), body).await;
    assert_own(&reply, 503, "store_unavailable");
    assert_eq!(header(&reply, "retry-after"), Some("2"));
    let seen = seen.lock().unwrap();
    let (_, problem) = seen.first().unwrap();
    let error = Error::from(StoreError::new(StoreErrorKind::Unavailable));
    assert_eq!(problem.description(), error.description());
    assert_eq!(problem.refusal(), None);
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_of_the_applications_body() {
    let (authority, ..) = authority().await;
    let refused = Gate::new(&authority).judge(&head("HEAD", "/me")).await;
    let reply = refused.unwrap_err().into_reply().for_method("HEAD");
    assert_eq!(header(&reply, "content-length"), Some("7"));
    assert!(reply.body().is_empty());
}

#[tokio::test]
async fn a_header_that_could_break_a_framework_is_left_out() {
    let (authority, ..) = authority().await;
    let refused = Gate::new(&authority).judge(&head("GET", "/me")).await;
    let reply = refused.unwrap_err().into_reply();
    for name in ["", "x y", "X-Upper", "x-\n", "x:"] {
        let reply = reply.clone().with_header(name, "a");
        assert_eq!(reply.headers().count(), refused_headers(), "{name:?}");
    }
    let reply = reply.with_header("x-own", "a\r\nset-cookie: b");
    assert_eq!(header(&reply, "x-own"), Some("aset-cookie: b"));
}

/// `Cache-Control`, `Content-Type`, the challenge, and the application's own.
const fn refused_headers() -> usize {
    4
}

#[tokio::test]
async fn paths_that_no_router_could_tell_apart_are_refused() {
    let (authority, ..) = authority().await;
    let builder = || Endpoints::builder(authority.clone());
    for bad in [
        builder().path(Endpoint::Token, "token"),
        builder().path(Endpoint::Token, "/token/"),
        builder().path(Endpoint::Token, "/to{k}en"),
        builder().path(Endpoint::Token, "/auth/login"),
        builder().path(Endpoint::Session, "/auth/devices"),
        builder().path(Endpoint::Session, "/auth/{id}/device"),
        builder().path(Endpoint::Metadata, "/metadata"),
    ] {
        let error = bad.build().unwrap_err();
        assert!(matches!(error, BuildError::EndpointPath(_)), "{error}");
    }
    let moved = builder()
        .mount("/")
        .path(Endpoint::Token, "/oauth/token")
        .path(Endpoint::Session, "/devices/{id}")
        .without(Endpoint::Login)
        .build()
        .unwrap();
    for (path, serves) in [
        ("/oauth/token", true),
        ("/token", false),
        ("/login", false),
        ("/logout", true),
        ("/auth/logout", false),
        ("/devices/abc", true),
        ("/devices/", false),
        ("/devices/a/b", false),
        ("/sessions", true),
        ("/sessions/abc", false),
        ("/.well-known/jwks.json", true),
    ] {
        assert_eq!(moved.serves(path), serves, "{path}");
    }
}

#[tokio::test]
async fn the_metadata_and_the_description_name_what_is_mounted_where_it_is() {
    let (authority, ..) = authority().await;
    let endpoints = Endpoints::builder(authority)
        .path(Endpoint::Revoke, "/revoke")
        .without(Endpoint::Token)
        .without(Endpoint::Jwks)
        .build()
        .unwrap();
    let path = "/.well-known/oauth-authorization-server";
    let reply = endpoints
        .handle(&head("GET", path), RequestBody::Complete(b""))
        .await;
    let metadata = body(&reply);
    let url = format!("{REALM}/revoke");
    assert_eq!(metadata.get("revocation_endpoint"), Some(&json!(url)));
    assert_eq!(metadata.get("grant_types_supported"), Some(&json!([])));
    for gone in [
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "jwks_uri",
    ] {
        assert_eq!(metadata.get(gone), None, "{gone}");
    }
    let described: Value = serde_json::from_str(&endpoints.openapi()).unwrap();
    let described = described.get("paths").and_then(Value::as_object).unwrap();
    assert!(described.contains_key("/revoke"));
    for gone in [
        "/auth/revoke",
        "/auth/token",
        "/token",
        "/.well-known/jwks.json",
    ] {
        assert!(!described.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn forms_need_cookies() {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let authority = Authority::builder(REALM, "shop-api", secret, MemoryStore::new());
    let authority = authority.build().await.unwrap();
    let forms =
        Endpoints::builder(authority).forms("/login".parse().unwrap(), "/".parse().unwrap());
    let error = forms.build().unwrap_err();
    assert!(matches!(error, BuildError::FormsWithoutCookies), "{error}");
}
