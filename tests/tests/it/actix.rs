//! The example in actix-web: CORS for pages of other origins, and request ids.

use actix_web::{
    http::{Method, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
};
use clap::Parser;
use example_app::Settings;

/// The example's answer to a preflight: a page of `origin` wants to send JSON with cookies.
async fn preflight(trusted: &[&str], origin: &str) -> HeaderMap {
    let mut args = vec!["example", "--store", "memory:", "--transport", "cookie"];
    args.extend(trusted.iter().flat_map(|own| ["--trusted-origin", own]));
    let app = example_app::App::start(&Settings::parse_from(args))
        .await
        .unwrap();
    let app = init_service(example_actix::application(&app)).await;
    let request = TestRequest::with_uri("/auth/login")
        .method(Method::OPTIONS)
        .insert_header(("origin", origin))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header(("access-control-request-headers", "content-type"));
    call_service(&app, request.to_request())
        .await
        .headers()
        .clone()
}

#[tokio::test]
async fn pages_of_trusted_origins_and_no_others_may_use_the_examples_cookies() {
    let trusted = ["https://app.example", "https://admin.example"];
    let [app, admin] = trusted;
    for (trusted, origin, allowed, cookies) in [
        (&trusted[..], app, Some(app), true),
        (&trusted, admin, Some(admin), true),
        (&trusted, "https://evil.example", None, false),
        (&trusted, "null", None, false),
        (&[], app, Some("*"), false),
    ] {
        let headers = preflight(trusted, origin).await;
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(value("access-control-allow-origin"), allowed, "{origin}");
        let with_cookies = value("access-control-allow-credentials").is_some();
        assert_eq!(with_cookies, cookies, "{origin}");
    }
}

#[tokio::test]
async fn the_example_names_each_request_by_its_own_id_or_a_new_one() {
    let settings = Settings::parse_from(["example", "--store", "memory:"]);
    let app = example_app::App::start(&settings).await.unwrap();
    let app = init_service(example_actix::application(&app)).await;
    let mut given = Vec::new();
    for brought in [Some("an-id-of-the-proxy"), None, None] {
        let request = TestRequest::with_uri("/me");
        let request = match brought {
            Some(id) => request.insert_header(("x-request-id", id)),
            None => request,
        };
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), 401);
        let id = response.headers().get("x-request-id").unwrap();
        match brought {
            Some(brought) => assert_eq!(id, brought),
            None => given.push(id.clone()),
        }
    }
    assert!(given.first() != given.last() && given.iter().all(|id| id.len() == 36));
}
