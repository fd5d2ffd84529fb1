//! tower-http's own authorization layer, with gatepass to decide.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{Request, Response},
};
use gatepass::{Authority, Demand, Device, Grant, MasterSecret, MemoryStore, Subject};
use gatepass_tower::{Admission, Authorize};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::auth::AsyncRequireAuthorizationLayer;

async fn whoami(request: Request<Body>) -> Result<Response<Vec<u8>>, Infallible> {
    let admission = request.extensions().get::<Admission>().unwrap();
    Ok(Response::new(
        admission.pass().unwrap().subject().as_str().into(),
    ))
}

#[tokio::test]
async fn it_admits_what_the_gate_admits_and_refuses_the_same_way() {
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    let authority = authority.build().await.unwrap();
    let authorize = Authorize::<Vec<u8>>::new(authority.verifier().clone(), Demand::new());
    let service = AsyncRequireAuthorizationLayer::new(authorize).layer(service_fn(whoami));

    let refused = service
        .clone()
        .oneshot(Request::new(Body::empty()))
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        r#"Bearer realm="https://issuer.test""#
    );

    let grant = Grant::new(Subject::new("alice").unwrap());
    let issued = authority.issue(grant, Device::default()).await.unwrap();
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let request = Request::get("/")
        .header("authorization", bearer)
        .body(Body::empty())
        .unwrap();
    let admitted = service.oneshot(request).await.unwrap();
    assert_eq!(
        (admitted.status().as_u16(), admitted.body().as_slice()),
        (200, &b"alice"[..])
    );
}
