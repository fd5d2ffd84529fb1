//! A body that does not arrive.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
};
use futures_util::stream::pending;
use gatepass::{Authority, MasterSecret, MemoryStore, wire::Endpoints};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_no_longer_than_the_timeout() {
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    let endpoints = Endpoints::builder(authority.build().await.unwrap())
        .build()
        .unwrap();
    let router: Router = gatepass_axum::routes(endpoints);
    let began = tokio::time::Instant::now();

    let request = Request::post("/auth/refresh")
        .header("content-type", "application/json")
        .body(Body::from_stream(pending::<Result<Bytes, Infallible>>()))
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(began.elapsed(), Endpoints::BODY_TIMEOUT);
    assert_eq!(response.status(), 408);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains(r#""reason":"body_stalled""#));
}
