//! Bodies of requests to the endpoints, and which requests the endpoints answer.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::pending;
use gatepass::{Authority, MasterSecret, MemoryStore, wire::Endpoints};
use gatepass_warp::routes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::ServiceExt;
use warp::{Filter, Rejection, http::Request};

async fn endpoints() -> Endpoints {
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    let authority = authority.build().await.unwrap();
    Endpoints::new(authority)
}

fn refresh<B>(body: B) -> Request<B> {
    Request::post("/auth/refresh")
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_waited_for_no_longer_than_the_timeout() {
    let service = warp::service(routes(endpoints().await));
    let began = tokio::time::Instant::now();
    let never = StreamBody::new(pending::<Result<Frame<Bytes>, Infallible>>());
    let response = service.oneshot(refresh(never)).await.unwrap();
    assert_eq!(began.elapsed(), Endpoints::BODY_TIMEOUT);
    assert_eq!(response.status(), 408);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains(r#""reason":"body_stalled""#));
}

#[tokio::test]
async fn a_body_in_pieces_is_read_no_further_than_the_limit() {
    let piece = "x".repeat(1024);
    for (pieces, status) in [(16, 400), (17, 413), (usize::MAX, 413)] {
        let service = warp::service(routes(endpoints().await));
        let piece = Bytes::from(piece.clone());
        let frames = std::iter::repeat(piece).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let body = StreamBody::new(futures_util::stream::iter(frames.take(pieces)));
        let response = service.oneshot(refresh(body)).await.unwrap();
        assert_eq!(response.status(), status, "{pieces}");
    }
}

#[tokio::test]
async fn a_broken_body_is_answered_as_one() {
    let service = warp::service(routes(endpoints().await));
    let broken = [Err::<Frame<Bytes>, _>(std::io::Error::other("reset"))];
    let body = StreamBody::new(futures_util::stream::iter(broken));
    let response = service.oneshot(refresh(body)).await.unwrap();
    assert_eq!(response.status(), 400);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains(r#""reason":"body_unparseable""#));
}

#[tokio::test]
async fn a_body_that_a_route_before_has_taken_is_our_own_fault() {
    let greedy = warp::post()
        .and(warp::body::bytes())
        .and_then(async |_| Err::<String, Rejection>(warp::reject::not_found()));
    let app = greedy.or(routes(endpoints().await));
    let request = warp::test::request().method("POST").path("/auth/refresh");
    let response = request.body("{}").reply(&app).await;
    assert_eq!(response.status(), 500);
    assert!(String::from_utf8_lossy(response.body()).contains(r#""reason":"internal""#));
}

#[tokio::test]
async fn the_endpoints_answer_all_that_is_theirs_and_reject_the_rest() {
    let app = routes(endpoints().await).or(warp::any().map(|| "the application's"));
    let id = "AAAAAAAAAAAAAAAAAAAAAAAA";
    for (path, ours) in [
        ("/auth/refresh".to_owned(), true),
        ("/auth/refresh?token=x".to_owned(), true),
        (format!("/auth/sessions/{id}"), true),
        (format!("/auth/sessions/{id}/x"), false),
        ("/auth/sessions/".to_owned(), false),
        ("/auth/refresh/".to_owned(), false),
        ("/auth/login".to_owned(), false),
        ("/auth".to_owned(), false),
        ("//auth/refresh".to_owned(), false),
        ("/auth/%72efresh".to_owned(), false),
    ] {
        for method in ["GET", "POST", "PUT", "OPTIONS", "BREW"] {
            let request = warp::test::request().method(method).path(&path);
            let response = request.reply(&app).await;
            let theirs = response.body() == "the application's";
            assert_eq!(theirs, !ours, "{method} {path}");
        }
    }
}
