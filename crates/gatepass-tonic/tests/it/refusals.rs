//! A gRPC client sees each refusal and each failure, over a real socket.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    Authority, Error, Identity, IdentityError, InternalError, MasterSecret, MemoryStore,
    ProtectedResource, Refusal, Requirements, Scopes, Staleness, StoreError, store::StoreErrorKind,
};
use gatepass_testkit::{ManualClock, StoreFault, TestStore};
use gatepass_tonic::{GateLayer, gate};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tonic::{Code, Status, body::Body};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use crate::served::{Served, login, subject};
use test_support::tonic::{
    calls::{bearer, reason, unary},
    probe::Probe,
};

const REALM: &str = r#"Bearer realm="https://issuer.test""#;

/// Every error, with its code, and whether its status has a challenge.
fn errors() -> Vec<(Error, Code, bool)> {
    let unauthenticated = [
        Refusal::Missing,
        Refusal::Malformed,
        Refusal::BadSignature,
        Refusal::UnknownKey,
        Refusal::WrongType,
        Refusal::WrongIssuer,
        Refusal::WrongAudience,
        Refusal::Expired,
        Refusal::NotYetValid,
        Refusal::Revoked,
        Refusal::UnknownSession,
        Refusal::AuthenticationTooOld {
            max_age: Duration::from_secs(300),
        },
        Refusal::AuthenticationTooWeak {
            amr: vec![],
            acr: vec!["phr".to_owned()],
        },
        Refusal::SessionEnded,
        Refusal::RefreshExpired,
        Refusal::Reused,
        Refusal::WrongClient,
        Refusal::BadCredentials,
        Refusal::InvalidClient,
    ];
    let required = Scopes::parse("admin").unwrap();
    let retry_after = Duration::from_secs(7);
    unauthenticated
        .into_iter()
        .map(|refusal| (refusal.into(), Code::Unauthenticated, true))
        .chain([
            (Refusal::Ambiguous.into(), Code::InvalidArgument, true),
            (
                Refusal::ScopeNotGranted.into(),
                Code::InvalidArgument,
                false,
            ),
            (
                Refusal::InsufficientScope { required }.into(),
                Code::PermissionDenied,
                true,
            ),
            (Refusal::CrossSite.into(), Code::PermissionDenied, false),
            (
                Refusal::TooManyAttempts { retry_after }.into(),
                Code::ResourceExhausted,
                false,
            ),
            (
                StoreError::new(StoreErrorKind::TimedOut).into(),
                Code::Unavailable,
                false,
            ),
            (IdentityError::TooLarge.into(), Code::Internal, false),
            (InternalError::new("secret").into(), Code::Internal, false),
        ])
        .collect()
}

#[tokio::test]
async fn every_error_has_its_code_its_reason_and_what_the_reply_over_http_has() {
    let (authority, _) = authority().await;
    for (error, code, challenged) in errors() {
        let status = gatepass_tonic::status(authority.verifier(), &error);
        let reply = authority.verifier().error_reply(&error);
        let body: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(status.code(), code, "{error}");
        assert_eq!(reason(&status), body["reason"].as_str(), "{error}");
        assert_eq!(status.message(), body["error_description"], "{error}");
        let challenge = status.metadata().get("www-authenticate");
        assert_eq!(challenge.is_some(), challenged, "{error}");
        for (name, value) in reply.headers().filter(|(name, _)| *name != "content-type") {
            assert_eq!(status.metadata().get(name).unwrap(), value, "{error}");
        }
        assert!(!format!("{status:?}").contains("secret"), "{status:?}");
    }
}

/// The gate's requirements, the client's metadata, and the answer: its code, its reason, and the
/// part of the challenge after the realm.
type Row<'a> = (
    &'a str,
    fn(GateLayer) -> GateLayer,
    HeaderMap,
    Code,
    &'a str,
    &'a str,
);

#[tokio::test]
async fn a_refused_call_is_told_why_and_never_reaches_its_service() {
    let (authority, clock) = authority().await;
    let old = login(&authority, Identity::of(subject("alice"))).await;
    clock.advance(Duration::from_secs(301));
    let ended = login(&authority, Identity::of(subject("alice"))).await;
    authority.logout(&ended).await.unwrap();
    let (old, ended) = (bearer(&old), bearer(&ended));
    let mut twice = old.clone();
    twice.append("authorization", HeaderValue::from_static("Bearer other"));
    let spoiled = HeaderMap::from_iter([(
        HeaderName::from_static("authorization"),
        HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    )]);
    let refresh = bearer("gpr_AAAA");
    let rows: Vec<Row<'_>> = vec![
        (
            "nothing",
            as_it_is,
            HeaderMap::new(),
            Code::Unauthenticated,
            "missing",
            "",
        ),
        (
            "two",
            as_it_is,
            twice,
            Code::InvalidArgument,
            "ambiguous",
            r#", error="invalid_request", error_description="the credentials are ambiguous or not well-formed""#,
        ),
        (
            "not ASCII",
            as_it_is,
            spoiled,
            Code::InvalidArgument,
            "ambiguous",
            r#", error="invalid_request", error_description="the credentials are ambiguous or not well-formed""#,
        ),
        (
            "no token",
            as_it_is,
            refresh.clone(),
            Code::Unauthenticated,
            "wrong_type",
            r#", error="invalid_token", error_description="the token is of another type""#,
        ),
        (
            "ended",
            as_it_is,
            ended.clone(),
            Code::Unauthenticated,
            "revoked",
            r#", error="invalid_token", error_description="the token has been revoked""#,
        ),
        (
            "ended, strictly",
            |gate| gate.require(Requirements::new().staleness(Staleness::Strict)),
            ended,
            Code::Unauthenticated,
            "revoked",
            r#", error="invalid_token", error_description="the token has been revoked""#,
        ),
        (
            "optionally",
            |gate| gate.require(Requirements::new().optional()),
            refresh,
            Code::Unauthenticated,
            "wrong_type",
            r#", error="invalid_token", error_description="the token is of another type""#,
        ),
        (
            "scope",
            |gate| gate.require(Requirements::new().scopes(Scopes::parse("admin").unwrap())),
            old.clone(),
            Code::PermissionDenied,
            "insufficient_scope",
            r#", error="insufficient_scope", error_description="the token lacks a scope", scope="admin""#,
        ),
        (
            "class",
            |gate| gate.require(Requirements::new().acr(["phr"]).unwrap()),
            old.clone(),
            Code::Unauthenticated,
            "authentication_too_weak",
            r#", error="insufficient_user_authentication", error_description="another kind of authentication is required", acr_values="phr""#,
        ),
        (
            "age",
            |gate| gate.require(Requirements::new().max_age(Duration::from_secs(300))),
            old,
            Code::Unauthenticated,
            "authentication_too_old",
            r#", error="insufficient_user_authentication", error_description="a more recent authentication is required", max_age="300""#,
        ),
    ];
    for (name, requirements, metadata, code, why, challenge) in rows {
        let served = Served::start(requirements(gate(&authority))).await;
        let status = served.unary(metadata).await.unwrap_err();
        assert_eq!(status.code(), code, "{name}: {status:?}");
        assert_eq!(reason(&status), Some(why), "{name}");
        let expected = format!("{REALM}{challenge}");
        assert_eq!(
            status.metadata().get("www-authenticate").unwrap(),
            &*expected,
            "{name}"
        );
        assert_eq!(served.probe.reached(), 0, "{name}");
        // The connection stays open, and the gate lets a call with a token through.
        let bob = Identity::of(subject("bob")).scopes(Scopes::parse("admin").unwrap());
        let bob = bob.acr("phr").unwrap();
        let token = login(&authority, bob).await;
        assert_eq!(served.unary(bearer(&token)).await.unwrap(), "bob", "{name}");
        assert_eq!(served.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_store_that_fails_refuses_nobody() {
    let store = TestStore::new(MemoryStore::new());
    let faults = store.clone();
    let authority = Authority::builder("https://issuer.test", "api", secret(), store)
        .build()
        .await
        .unwrap();
    let token = login(&authority, Identity::of(subject("alice"))).await;
    let strictly = gate(&authority).require(Requirements::new().staleness(Staleness::Strict));
    let served = Served::start(strictly).await;

    faults.inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    let status = served.unary(bearer(&token)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), Some("store_unavailable"));
    assert_eq!(status.metadata().get("retry-after").unwrap(), "2");
    assert_eq!(served.probe.reached(), 0);

    faults.heal();
    assert_eq!(served.unary(bearer(&token)).await.unwrap(), "alice");
}

#[tokio::test]
async fn an_optional_gate_lets_strangers_in_and_its_service_may_still_refuse_them() {
    let (authority, _) = authority().await;
    let served = Served::start(gate(&authority).require(Requirements::new().optional())).await;
    let status = served.unary(HeaderMap::new()).await.unwrap_err();
    assert_eq!(served.probe.reached(), 1, "the gate lets it through");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), Some("missing"));
    assert_eq!(status.metadata().get("www-authenticate").unwrap(), REALM);
}

/// The gate and the service behind it give the same challenge as over HTTP.
#[tokio::test]
async fn a_stranger_learns_where_the_service_is_described() {
    let resource = ProtectedResource::new("https://mcp.example/mcp");
    let authority = Authority::builder("https://issuer.test", "api", secret(), MemoryStore::new())
        .protected_resource(resource)
        .build()
        .await
        .unwrap();
    let metadata = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
    let expected = format!(r#"{REALM}, scope="admin", resource_metadata="{metadata}""#);
    let admin = Requirements::new().scopes(Scopes::parse("admin").unwrap());
    for (requirements, reached) in [(admin.clone(), 0), (admin.optional(), 1)] {
        let served = Served::start(gate(&authority).require(requirements)).await;
        let status = served.unary(HeaderMap::new()).await.unwrap_err();
        assert_eq!(served.probe.reached(), reached);
        let challenge = status.metadata().get("www-authenticate");
        assert_eq!(challenge.unwrap(), &*expected);
    }
}

/// A page of another site can't make a browser send gRPC. Even if it could, the rules for cookies
/// would apply.
#[tokio::test]
async fn a_call_by_cookie_may_change_something() {
    let authority = Authority::builder("https://issuer.test", "api", secret(), MemoryStore::new())
        .transport(gatepass::Transport::Cookie)
        .build()
        .await
        .unwrap();
    let token = login(&authority, Identity::of(subject("alice"))).await;
    let served = Served::start(gate(&authority)).await;
    let cookie = |site: &'static str| {
        let value = HeaderValue::try_from(format!("__Host-gatepass={token}")).unwrap();
        HeaderMap::from_iter([
            (HeaderName::from_static("cookie"), value),
            (
                HeaderName::from_static("sec-fetch-site"),
                HeaderValue::from_static(site),
            ),
        ])
    };
    assert_eq!(served.unary(cookie("same-origin")).await.unwrap(), "alice");
    let status = served.unary(cookie("cross-site")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(reason(&status), Some("cross_site"));
}

/// A page that calls by gRPC-Web can read those headers of a refusal that CORS exposes.
#[tokio::test]
async fn a_refusal_has_the_headers_of_cors_around_the_gate() {
    let (authority, _) = authority().await;
    let probe = Probe::default();
    let exposed = ["grpc-status", "grpc-message", gatepass_tonic::REASON];
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://shop.example"))
        .expose_headers(exposed.map(HeaderName::from_static));
    let guarded = cors.layer(gate(&authority).layer(probe.clone()));
    let call = Request::post("/Probe/Unary")
        .header("content-type", "application/grpc")
        .header("origin", "https://shop.example")
        .body(Body::empty())
        .unwrap();
    let refused = guarded.oneshot(call).await.unwrap();
    let expected = [
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-expose-headers", &exposed.join(",")),
        ("grpc-status", "16"),
        (gatepass_tonic::REASON, "missing"),
        ("www-authenticate", REALM),
    ];
    for (name, value) in expected {
        assert_eq!(refused.headers().get(name).unwrap(), value, "{name}");
    }
    assert_eq!(probe.reached(), 0);
}

#[tokio::test]
async fn custom_claims_are_typed_and_a_type_that_does_not_fit_is_ours() {
    let (authority, _) = authority().await;
    let served = Served::start(gate(&authority)).await;
    let tenant = async |claims: serde_json::Value| {
        let identity = Identity::of(subject("alice")).claims(&claims).unwrap();
        let metadata = bearer(&login(&authority, identity).await);
        let answer = unary::<_, String>(served.channel.clone(), "/Probe/Tenant", metadata).await;
        answer.map(tonic::Response::into_inner)
    };
    assert_eq!(
        tenant(serde_json::json!({ "tenant": 7 })).await.unwrap(),
        "7"
    );
    let status = tenant(serde_json::json!({ "tenant": "seven" }))
        .await
        .unwrap_err();
    reveals_nothing(&status);
}

#[test]
fn a_missing_gate_is_loud_in_the_log_and_reveals_nothing() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let request = tonic::Request::new(());
    let status = tracing::subscriber::with_default(subscriber, || {
        gatepass_tonic::RequestAuth::pass(&request).unwrap_err()
    });
    reveals_nothing(&status);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("ERROR") && log.contains("gate.missing"),
        "{log}"
    );
    assert!(log.contains("gatepass_tonic::gate"), "{log}");

    // Each of these calls needs a gate before the method.
    use gatepass_tonic::RequestAuth as _;
    reveals_nothing(&request.optional_pass().unwrap_err());
    reveals_nothing(&request.pass_with::<Nothing>().unwrap_err());
    reveals_nothing(&request.claims::<()>().unwrap_err());
}

struct Nothing;

impl gatepass::RequiredScopes for Nothing {
    const SCOPES: &'static [&'static str] = &[];
}

fn reveals_nothing(status: &Status) {
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the server failed");
    assert_eq!(reason(status), Some("internal"));
}

fn as_it_is(gate: GateLayer) -> GateLayer {
    gate
}

fn secret() -> MasterSecret {
    MasterSecret::generate().unwrap()
}

async fn authority() -> (Authority, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = Authority::builder("https://issuer.test", "api", secret(), store)
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    (authority, clock)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
