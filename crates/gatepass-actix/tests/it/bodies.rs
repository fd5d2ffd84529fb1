//! The endpoints apply only their own limits to bodies, and get paths as clients sent them.

use std::time::Duration;

use actix_web::{
    App,
    dev::Payload,
    error::PayloadError,
    http::Method,
    test::{TestRequest, call_service, init_service, read_body},
    web::{Bytes, FormConfig, JsonConfig, PayloadConfig},
};
use futures_util::{Stream, stream};
use gatepass::wire::Endpoints;

use crate::rig::{authority, bearer, endpoints};

/// The status and reason of the answer to a refresh with this body, and how long it took.
async fn refresh(
    body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
) -> (u16, String, Duration) {
    let endpoints = endpoints(&authority().await);
    let app = App::new()
        // Limits of the application's own handlers.
        .app_data(PayloadConfig::new(4).mimetype("text/plain".parse().unwrap()))
        .app_data(JsonConfig::default().limit(4))
        .app_data(FormConfig::default().limit(4))
        .configure(gatepass_actix::configure(endpoints));
    let app = init_service(app).await;
    let began = tokio::time::Instant::now();

    let request = TestRequest::post().uri("/auth/refresh");
    let request = request.insert_header(("content-type", "application/json"));
    // The body from a real connection also has this type.
    let payload: Payload = Payload::Stream {
        payload: Box::pin(body),
    };
    let (request, _) = request.to_request().replace_payload(payload);
    let response = call_service(&app, request).await;
    let status = response.status().as_u16();
    let body: serde_json::Value = serde_json::from_slice(&read_body(response).await).unwrap();
    let reason = body.get("reason").unwrap().as_str().unwrap().to_owned();
    (status, reason, began.elapsed())
}

fn outcome(status: u16, reason: &str, after: Duration) -> (u16, String, Duration) {
    (status, reason.to_owned(), after)
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_arrive_is_waited_for_no_longer_than_the_timeout() {
    let expected = outcome(408, "body_stalled", Endpoints::BODY_TIMEOUT);
    assert_eq!(refresh(stream::pending()).await, expected);

    // The timeout also applies to a body that arrives a byte at a time.
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(Bytes::from_static(b" ")), ()))
    });
    assert_eq!(refresh(drops).await, expected);
}

#[tokio::test(start_paused = true)]
async fn one_is_read_up_to_the_limit_of_the_endpoints_and_no_other() {
    let empty = r#"{"refresh_token":""}"#;
    for (length, status, reason) in [
        (Endpoints::BODY_LIMIT, 401, "malformed"),
        (Endpoints::BODY_LIMIT + 1, 413, "body_too_large"),
    ] {
        let body = format!("{empty:length$}");
        let chunks: Vec<_> = body
            .as_bytes()
            .chunks(1000)
            .map(Bytes::copy_from_slice)
            .collect();
        let answered = refresh(stream::iter(chunks.into_iter().map(Ok))).await;
        assert_eq!(
            answered,
            outcome(status, reason, Duration::ZERO),
            "{length}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_off_is_not_understood() {
    let chunks = [
        Ok(Bytes::from_static(br#"{"refresh_token":""}"#)),
        Err(PayloadError::Incomplete(None)),
    ];
    let (status, reason, _) = refresh(stream::iter(chunks)).await;
    assert_eq!((status, reason.as_str()), (400, "body_unparseable"));
}

#[tokio::test]
async fn paths_are_judged_as_they_were_sent() {
    let authority = authority().await;
    let app = App::new().configure(gatepass_actix::configure(endpoints(&authority)));
    let app = init_service(app).await;
    for (method, path, status) in [
        (Method::GET, "/auth/sessions", 200),
        (Method::GET, "/auth/sessions?of=mine", 200),
        (Method::GET, "/auth/%73essions", 404),
        (Method::GET, "/auth/sessions/", 404),
        (Method::GET, "//auth/sessions", 404),
        (Method::GET, "/Auth/sessions", 404),
        (Method::DELETE, "/auth/sessions/somebody%2Felses", 404),
        (Method::DELETE, "/auth/sessions/%FF", 404),
        (Method::DELETE, "/auth/sessions/a/b", 404),
        (Method::PUT, "/auth/sessions", 405),
    ] {
        let (name, value) = bearer(&authority).await;
        let request = TestRequest::with_uri(path)
            .method(method)
            .insert_header((name, value));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), status, "{path}");
    }
}
