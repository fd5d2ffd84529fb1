//! Only pages of trusted origins may use the example's cookies.

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use clap::Parser;
use example_app::{App, Settings};
use tower::ServiceExt;

/// The example's answer to a preflight: a page of `origin` wants to send JSON with cookies.
async fn preflight(trusted: &[&str], origin: &str) -> HeaderMap {
    let mut args = vec!["example", "--store", "memory:", "--transport", "cookie"];
    args.extend(trusted.iter().flat_map(|own| ["--trusted-origin", own]));
    let app = App::start(&Settings::parse_from(args)).await.unwrap();
    let request = Request::builder()
        .method("OPTIONS")
        .uri("/auth/login")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .body(Body::empty())
        .unwrap();
    let response = example_axum::router(&app).oneshot(request).await.unwrap();
    response.headers().clone()
}

#[tokio::test]
async fn pages_of_trusted_origins_and_no_others_may_use_cookies() {
    let trusted = ["https://app.example", "https://admin.example"];
    for (trusted, origin, allowed, cookies) in [
        (
            &trusted[..],
            "https://app.example",
            Some("https://app.example"),
            true,
        ),
        (
            &trusted,
            "https://admin.example",
            Some("https://admin.example"),
            true,
        ),
        (&trusted, "https://evil.example", None, true),
        (&trusted, "null", None, true),
        (&[], "https://app.example", Some("*"), false),
    ] {
        let headers = preflight(trusted, origin).await;
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        let answer = value("access-control-allow-origin");
        assert_eq!(answer, allowed, "{origin}");
        let with_cookies = value("access-control-allow-credentials").is_some();
        assert_eq!(with_cookies, cookies, "{origin}");
    }
}
