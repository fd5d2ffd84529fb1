//! The authority, gate and endpoints of these tests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::test::TestRequest;
use gatepass::{
    Authority, Device, Identity, MasterSecret, MemoryStore, Scopes, Transport, wire::Endpoints,
};
use gatepass_actix::{Auth, Gate};

/// An authority with a store in memory and bearer tokens.
pub(crate) async fn authority() -> Authority {
    authority_over(Transport::Bearer).await
}

/// An authority whose tokens travel by `transport`.
pub(crate) async fn authority_over(transport: Transport) -> Authority {
    let secret = MasterSecret::generate().unwrap();
    let builder = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    builder.transport(transport).build().await.unwrap()
}

/// A gate of this authority.
pub(crate) fn gate(authority: &Authority) -> Gate {
    Gate::new(authority)
}

/// The endpoints of this authority.
pub(crate) fn endpoints(authority: &Authority) -> Endpoints {
    Endpoints::new(authority.clone())
}

/// An access token of alice, who has the scope `profile`, as a header field.
pub(crate) async fn bearer(authority: &Authority) -> (&'static str, String) {
    let identity = Identity::new("alice").unwrap();
    let identity = identity.scopes(Scopes::parse("profile").unwrap());
    let issued = authority.issue(identity, Device::default()).await.unwrap();
    (
        "authorization",
        format!("Bearer {}", issued.access_token.as_str()),
    )
}

/// A `GET` with this access token, if there is one.
pub(crate) fn get(path: &str, bearer: Option<&(&'static str, String)>) -> TestRequest {
    let request = TestRequest::with_uri(path);
    match bearer {
        Some((name, value)) => request.insert_header((*name, value.as_str())),
        None => request,
    }
}

/// How often handlers ran.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The handler of a route that has no gate.
pub(crate) async fn unguarded(_: Auth) -> &'static str {
    "this handler must never run"
}
