//! Helpers that the tests share.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request},
};
use gatepass::{Authority, Device, Identity, MemoryStore, Scopes, Transport};
use gatepass_axum::{Auth, GateLayer};
use gatepass_testkit::{ManualClock, TestStore};
use http_body_util::BodyExt;
use serde_json::Value;
use test_support::world::{builder, subject};
use tower::ServiceExt;

/// An authority, and a count of the requests that its gates let through.
pub(crate) struct Rig {
    pub(crate) authority: Authority,
    pub(crate) store: TestStore,
    runs: Arc<AtomicUsize>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::over(Transport::Bearer).await
    }

    /// A rig whose tokens travel by `transport`.
    pub(crate) async fn over(transport: Transport) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let handle = store.clone();
        let builder = builder(store, &clock).transport(transport);
        Self {
            authority: builder.build().await.unwrap(),
            store: handle,
            runs: Arc::default(),
        }
    }

    pub(crate) fn gate(&self) -> GateLayer {
        GateLayer::new(&self.authority)
    }

    /// A handler that counts its runs, and says who is logged in.
    pub(crate) fn handler(&self) -> impl Fn(Auth) -> Ready<String> + Clone + Send + use<> {
        let runs = Arc::clone(&self.runs);
        move |Auth(pass)| {
            runs.fetch_add(1, Ordering::SeqCst);
            ready(pass.subject().to_string())
        }
    }

    /// A handler that counts its runs, and doesn't ask who is logged in.
    pub(crate) fn open(&self) -> impl Fn() -> Ready<&'static str> + Clone + Send + use<> {
        let runs = Arc::clone(&self.runs);
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            ready("open")
        }
    }

    /// How often a handler ran since the last call.
    pub(crate) fn runs(&self) -> usize {
        self.runs.swap(0, Ordering::SeqCst)
    }

    /// An access token of `name`, with these scopes.
    pub(crate) async fn bearer(&self, name: &str, scopes: &str) -> String {
        let identity = Identity::of(subject(name)).scopes(Scopes::parse(scopes).unwrap());
        let issued = self.authority.issue(identity, Device::default()).await;
        format!("Bearer {}", issued.unwrap().access_token.as_str())
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The reason of the refusal, if gatepass gave one.
    pub(crate) fn reason(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("reason")?.as_str()?.to_owned())
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// A request with this access token, if there is one.
pub(crate) fn asked(method: &str, path: &str, bearer: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(bearer) = bearer {
        request = request.header("authorization", bearer);
    }
    request.body(Body::empty()).unwrap()
}
