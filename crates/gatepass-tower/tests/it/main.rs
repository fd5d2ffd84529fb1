//! The gate keeps to tower's contract, and keeps refused requests from the service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use gatepass::{
    Authority, Device, Identity, MasterSecret, MemoryStore, Refusal, Requirements, Scopes,
    Staleness, Transport, wire::AuthState,
};
use gatepass_testkit::{ManualClock, TestStore};
use gatepass_tower::GateLayer;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};

type Body = Full<Bytes>;

/// A service that panics if it is called without having been polled ready, and counts its calls.
#[derive(Default)]
struct Picky {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<Body>> for Picky {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::SeqCst);
        let state = request.extensions().get::<AuthState>().expect("an state");
        let name = state
            .optional_pass()
            .map_or("nobody".to_owned(), |pass| pass.subject().to_string());
        ready(Ok(Response::new(Full::from(name))))
    }
}

/// An authority whose gates judge at once, and one whose gates ask the store. They take different
/// paths in the code.
async fn authorities() -> [Authority; 2] {
    let of = async |store| {
        let secret = MasterSecret::generate().unwrap();
        let authority = Authority::builder("https://issuer.test", "api", secret, store);
        authority.build().await.unwrap()
    };
    let store = || TestStore::new(MemoryStore::new());
    [of(store().durable()).await, of(store()).await]
}

async fn access_token(authority: &Authority) -> String {
    let identity = Identity::new("alice")
        .unwrap()
        .scopes(Scopes::parse("profile").unwrap());
    authority
        .issue(identity, Device::default())
        .await
        .unwrap()
        .access_token
        .as_str()
        .to_owned()
}

fn request(authorization: Option<&str>) -> Request<Body> {
    let request = Request::builder().uri("/");
    let request = match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    request.body(Full::default()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    for authority in authorities().await {
        let bearer = format!("Bearer {}", access_token(&authority).await);
        let mut gate = GateLayer::new(&authority).layer(Picky::default());
        for _ in 0..3 {
            let response = gate
                .ready()
                .await
                .unwrap()
                .call(request(Some(&bearer)))
                .await
                .unwrap();
            assert_eq!(
                (response.status().as_u16(), text(response).await),
                (200, "alice".to_owned())
            );
        }
    }
}

#[tokio::test]
async fn a_refreshed_request_reaches_the_service_that_was_polled_ready() {
    let clock = ManualClock::new();
    let secret = MasterSecret::generate().unwrap();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = Authority::builder("https://issuer.test", "api", secret, store)
        .clock(clock.clone())
        .transport(Transport::Cookie);
    let authority = authority.build().await.unwrap();
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let cookies = format!(
        "__Host-gatepass={}; __Host-gatepass-refresh={}",
        issued.access_token.as_str(),
        issued.refresh_token.as_str(),
    );
    clock.advance(Duration::from_secs(1200));
    let gate = GateLayer::new(&authority).auto_refresh(&authority);
    let mut gate = gate.layer(Picky::default());
    for _ in 0..3 {
        let request = Request::builder().header("cookie", &cookies);
        let request = request.body(Full::default()).unwrap();
        let response = gate.ready().await.unwrap().call(request).await.unwrap();
        let set: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(set.len(), 2);
        assert!(set.iter().all(|cookie| cookie.is_sensitive()));
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(text(response).await, "alice");
    }
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_service() {
    for authority in authorities().await {
        let picky = Picky::default();
        let calls = Arc::clone(&picky.calls);
        let gate = GateLayer::new(&authority).layer(picky);
        for authorization in [
            None,
            Some(""),
            Some("Bearer nonsense"),
            Some("Basic YTpi"),
            Some("Bearer a b"),
        ] {
            let response = gate.clone().oneshot(request(authorization)).await.unwrap();
            assert!(
                matches!(response.status().as_u16(), 400 | 401),
                "{authorization:?}"
            );
            assert!(
                response.headers().contains_key("www-authenticate"),
                "{authorization:?}"
            );
        }
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    }
}

/// A service that reserves room for the next call when it is polled ready.
struct Reserving {
    room: Arc<()>,
    reserved: Option<Arc<()>>,
}

impl Clone for Reserving {
    fn clone(&self) -> Self {
        Self {
            room: Arc::clone(&self.room),
            reserved: None,
        }
    }
}

impl Service<Request<Body>> for Reserving {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.reserved = Some(Arc::clone(&self.room));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        self.reserved = None;
        ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn a_refused_request_keeps_nothing_that_was_reserved_for_it() {
    for authority in authorities().await {
        let room = Arc::new(());
        let service = Reserving {
            room: Arc::clone(&room),
            reserved: None,
        };
        let mut gate = GateLayer::new(&authority).layer(service);
        let free = Arc::strong_count(&room);
        let gate = gate.ready().await.unwrap();
        assert_eq!(Arc::strong_count(&room), free + 1);
        let response = gate.call(request(None)).await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(Arc::strong_count(&room), free);
    }
}

#[tokio::test]
async fn an_optional_gate_lets_strangers_through_and_refuses_bad_tokens() {
    for authority in authorities().await {
        let gate = GateLayer::new(&authority)
            .require(Requirements::new().optional())
            .layer(Picky::default());
        let stranger = gate.clone().oneshot(request(None)).await.unwrap();
        assert_eq!(
            (stranger.status().as_u16(), text(stranger).await),
            (200, "nobody".to_owned())
        );
        let forged = gate.oneshot(request(Some("Bearer a.b.c"))).await.unwrap();
        assert_eq!(forged.status(), 401);
    }
}

#[tokio::test]
async fn requirements_of_a_route_add_up() {
    for authority in authorities().await {
        let bearer = format!("Bearer {}", access_token(&authority).await);
        let layer = GateLayer::new(&authority)
            .require(Requirements::new().scopes(Scopes::parse("admin").unwrap()))
            .require(Requirements::new().staleness(Staleness::Strict));
        let refused = layer
            .layer(Picky::default())
            .oneshot(request(Some(&bearer)))
            .await
            .unwrap();
        assert_eq!(refused.status(), 403);
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.ends_with(r#"scope="admin""#), "{challenge}");

        // A gate that is optional and then requires more is no longer optional.
        let layer = GateLayer::new(&authority)
            .require(Requirements::new().optional())
            .require(Requirements::new().staleness(Staleness::Strict));
        let stranger = layer.layer(Picky::default()).oneshot(request(None));
        assert_eq!(stranger.await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_can_be_replaced_and_its_challenge_stays() {
    for authority in authorities().await {
        let layer = GateLayer::new(&authority).error_response(
            |error: &gatepass::Error, usual: Response<Vec<u8>>| {
                assert!(matches!(error, gatepass::Error::Refused(Refusal::Missing)));
                usual.map(|_| Full::from("please log in"))
            },
        );
        let response = layer
            .layer(Picky::default())
            .oneshot(request(None))
            .await
            .unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="https://issuer.test""#
        );
        assert_eq!(text(response).await, "please log in");
    }
}
