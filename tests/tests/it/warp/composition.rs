//! Together with warp's own wrappers, and in the example's middleware.

use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use clap::Parser;
use example_app::{App, Settings};
use gatepass::{Device, Identity, Transport, wire::Delivery};
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_tests::application::Application;
use gatepass_warp::{Auth, OwnedRequestHead, gate, gate_from_layer, gated, issue, request_head};
use tower::ServiceExt;
use warp::{
    Filter, Rejection, Reply,
    http::{HeaderMap, Request, StatusCode},
};

#[tokio::test]
async fn refusals_pass_through_warps_own_wrappers() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let cors = warp::cors()
        .allow_any_origin()
        .allow_methods(["GET", "POST"])
        .allow_header("authorization");
    let app = example_warp::routes(&application.app)
        // The usual end of a chain. It must not affect gatepass.
        .recover(async |rejection: Rejection| {
            if rejection.is_not_found() {
                Ok(StatusCode::NOT_FOUND)
            } else {
                Err(rejection)
            }
        })
        .with(warp::compression::gzip())
        .with(cors)
        .with(warp::log("requests"))
        .with(warp::trace::request());
    for (method, path, status) in [
        ("GET", "/me", 401),
        ("POST", "/profile", 401),
        ("POST", "/auth/logout-all", 401),
        ("PUT", "/auth/login", 405),
        ("POST", "/auth/login", 415),
        ("GET", "/nowhere", 404),
    ] {
        let request = warp::test::request().method(method).path(path);
        let request = request.header("origin", "https://page.example");
        let response = request.header("accept-encoding", "gzip").reply(&app).await;
        assert_eq!(response.status(), status, "{path}");
        let headers = response.headers();
        assert_eq!(
            headers["access-control-allow-origin"],
            "https://page.example"
        );
        assert_eq!(
            headers.contains_key("www-authenticate"),
            status == 401,
            "{path}"
        );
        assert_eq!(headers.contains_key("allow"), status == 405, "{path}");
    }
}

#[tokio::test]
async fn the_log_sees_each_answer_once_and_the_handler_only_what_was_admitted() {
    let application = Application::start(ManualClock::new(), Setup::default()).await;
    let verifier = application.app.authority.verifier().clone();
    let (runs, seen) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let counter = Arc::clone(&runs);
    let handler = move |Auth(pass): Auth| {
        counter.fetch_add(1, Ordering::SeqCst);
        ready(pass.subject().to_string())
    };
    let statuses: Arc<Mutex<Vec<u16>>> = Arc::clone(&seen);
    let log = warp::log::custom(move |info| statuses.lock().unwrap().push(info.status().as_u16()));
    let cors = warp::cors()
        .allow_origin("https://page.example")
        .allow_method("GET");
    let me = warp::path!("me").and(warp::get());
    let forgotten = warp::path!("forgotten").and(warp::get());
    let app = gated(me, gate(verifier), handler.clone())
        .or(gated(forgotten, gate_from_layer(), handler))
        .with(warp::compression::gzip())
        .with(cors)
        .with(log);
    let identity = Identity::new("alice").unwrap();
    let issued = application.app.authority.issue(identity, Device::default());
    let bearer = format!("Bearer {}", issued.await.unwrap().access_token.as_str());
    for (method, path, bearer, status, ran) in [
        ("GET", "/me", None, 401, 0),
        ("GET", "/me", Some("Bearer a.b.c"), 401, 0),
        ("GET", "/forgotten", Some(&*bearer), 500, 0),
        ("GET", "/me", Some(&*bearer), 200, 1),
        // Browsers send preflights without credentials.
        ("OPTIONS", "/me", None, 200, 0),
    ] {
        let request = warp::test::request().method(method).path(path);
        let mut request = request
            .header("origin", "https://page.example")
            .header("access-control-request-method", "GET");
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let response = request.reply(&app).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [status]);
        assert_eq!(runs.swap(0, Ordering::SeqCst), ran, "{method} {path}");
        let headers = response.headers();
        assert_eq!(
            headers["access-control-allow-origin"],
            "https://page.example"
        );
        let no_store = headers
            .get("cache-control")
            .map(|value| value == "no-store");
        assert_eq!(no_store, (status >= 400).then_some(true), "{method} {path}");
    }
}

#[tokio::test]
async fn both_cookies_of_a_login_are_set_and_in_no_log() {
    async fn callback(app: App, head: OwnedRequestHead) -> impl Reply {
        let identity = Identity::new("alice").unwrap();
        issue(&app.endpoints, identity, &head, Delivery::Cookies).await
    }

    let mut setup = Setup::default();
    setup.transport = Transport::Cookie;
    let application = Application::start(ManualClock::new(), setup).await;
    let app = application.app.clone();
    let with_app = warp::any().map(move || app.clone());
    let callback = warp::path!("callback")
        .and(with_app)
        .and(request_head())
        .then(callback);
    let response = warp::test::request()
        .path("/callback")
        .reply(&callback)
        .await;
    assert_eq!(response.status(), 200);
    let cookies = response.headers().get_all("set-cookie");
    let names: Vec<&str> = cookies
        .iter()
        .map(|cookie| cookie.to_str().unwrap().split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["__Host-gatepass", "__Host-gatepass-refresh"]);
    assert!(cookies.iter().all(|cookie| cookie.is_sensitive()));
}

#[tokio::test]
async fn a_request_is_shown_without_its_credentials() {
    let request = warp::test::request()
        .path("/me?token=secret")
        .header("cookie", "secret");
    let head = request
        .header("authorization", "Bearer secret")
        .filter(&request_head())
        .await;
    assert!(!format!("{head:?}").contains("secret"));
}

/// The answer of the example, which trusts the origins in `trusted`, to `request`.
async fn answered(trusted: &[&str], request: Request<String>) -> (StatusCode, HeaderMap) {
    let mut args = vec!["example", "--store", "memory:", "--transport", "cookie"];
    args.extend(trusted.iter().flat_map(|own| ["--trusted-origin", own]));
    let app = App::start(&Settings::parse_from(args)).await.unwrap();
    let service = example_warp::service(&app, example_warp::routes(&app));
    let response = service.oneshot(request).await.unwrap();
    (response.status(), response.headers().clone())
}

#[tokio::test]
async fn pages_of_trusted_origins_and_no_others_may_use_cookies() {
    let trusted = "https://app.example";
    for (listed, origin, allowed, cookies) in [
        (&[trusted][..], trusted, Some(trusted), true),
        (&[trusted], "https://evil.example", None, true),
        (&[], trusted, Some("*"), false),
    ] {
        let request = Request::options("/auth/login")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(String::new());
        let (_, headers) = answered(listed, request.unwrap()).await;
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        let answer = value("access-control-allow-origin");
        assert_eq!(answer, allowed, "{origin}");
        let with_cookies = value("access-control-allow-credentials").is_some();
        assert_eq!(with_cookies, cookies, "{origin}");
    }
}

#[tokio::test]
async fn the_examples_own_pages_need_not_be_listed() {
    let request = Request::post("/auth/login")
        .header("host", "own.example")
        .header("origin", "https://own.example")
        .header("content-type", "application/json")
        .body(r#"{"username":"alice","password":"alice-in-wonderland"}"#.to_owned());
    let (status, headers) = answered(&["https://app.example"], request.unwrap()).await;
    assert_eq!(status, 200);
    assert!(headers.contains_key("x-request-id"));
}
