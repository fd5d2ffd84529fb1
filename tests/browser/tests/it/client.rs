//! The JavaScript client's own tests, in the browser.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gatepass_browser_tests::{
    browser::Browser,
    example::Example,
    in_each_framework,
    site::{Answer, Site},
};
use gatepass_tests::conformance::Framework;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use reqwest::redirect::Policy;

in_each_framework!(
    the_clients_tests_pass_by_cookie,
    the_clients_tests_pass_by_bearer,
    the_clients_tests_pass_by_cookie_if_every_third_answer_is_dropped,
    the_clients_tests_pass_by_bearer_if_every_third_answer_is_dropped,
);

async fn the_clients_tests_pass_by_cookie(framework: Framework) {
    pass(framework, "cookie", false).await;
}

async fn the_clients_tests_pass_by_bearer(framework: Framework) {
    pass(framework, "bearer", false).await;
}

async fn the_clients_tests_pass_by_cookie_if_every_third_answer_is_dropped(framework: Framework) {
    pass(framework, "cookie", true).await;
}

async fn the_clients_tests_pass_by_bearer_if_every_third_answer_is_dropped(framework: Framework) {
    pass(framework, "bearer", true).await;
}

async fn pass(framework: Framework, transport: &str, drops: bool) {
    let example = Example::start(framework).await;
    let front = Front::new(&example.origin, drops);
    let dropped = Arc::clone(&front.dropped);
    let site = Site::serve(move |request| answer(Arc::clone(&front), request)).await;
    let browser = Browser::start().await;
    browser
        .open(&format!(
            "http://127.0.0.1:{}/clients/js/test/browser.html?transport={transport}",
            site.port()
        ))
        .await;
    browser.until("window.__results").await;
    let results = browser.value("window.__results").await;
    let results = results.as_array().unwrap();
    assert!(results.len() >= 10, "{results:#?}");
    for result in results {
        assert_eq!(result["ok"], true, "{result:#}");
    }
    assert_eq!(dropped.load(Ordering::Relaxed) > 5, drops);
}

/// Serves the files of the client, and forwards other requests to an example. It may lose the
/// answers.
struct Front {
    service: String,
    client: reqwest::Client,
    drops: bool,
    answered: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

impl Front {
    fn new(service: &str, drops: bool) -> Arc<Self> {
        let client = reqwest::Client::builder().redirect(Policy::none()).build();
        Arc::new(Self {
            service: service.to_owned(),
            client: client.unwrap(),
            drops,
            answered: AtomicUsize::new(0),
            dropped: Arc::default(),
        })
    }
}

async fn answer(front: Arc<Front>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    match path.strip_prefix("/clients/js/") {
        Some(file) => Ok(serve(file)),
        None => hand_on(&front, request).await,
    }
}

fn serve(file: &str) -> Response<Full<Bytes>> {
    let content_type = match file.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "application/octet-stream",
    };
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/js/");
    let (status, body) = match std::fs::read(format!("{root}{file}")) {
        Ok(body) => (StatusCode::OK, body),
        Err(_) => (StatusCode::NOT_FOUND, Vec::new()),
    };
    let answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type);
    answer.body(body.into()).unwrap()
}

async fn hand_on(front: &Front, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let url = format!("{}{}", front.service, head.uri);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = front.client.request(head.method, url).body(body);
    let asked = asked.headers(head.headers).send().await;
    let answered = asked.map_err(io::Error::other)?;
    let mut answer = Response::builder().status(answered.status());
    for (name, value) in answered.headers() {
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING && name != "connection" {
            answer = answer.header(name, value);
        }
    }
    let body = answered.bytes().await.map_err(io::Error::other)?;
    let number = front.answered.fetch_add(1, Ordering::Relaxed) + 1;
    if front.drops && number.is_multiple_of(3) {
        front.dropped.fetch_add(1, Ordering::Relaxed);
        return Err(io::Error::other("dropped, as the test wants it"));
    }
    Ok(answer.body(Full::from(body)).unwrap())
}
