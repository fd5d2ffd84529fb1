//! That a request with cookies is judged as tower-http's `csrf` layer judges it, but where we mean
//! not to.
//!
//! Three differences are meant. The handshake of a WebSocket is judged, although it is a `GET`. A
//! header that is there twice is no good one; tower-http reads the first. And an `Origin` that no
//! browser would write, with a user, a path or capitals in it, is not taken apart: it is compared
//! as it is, so that it is never that of our own pages.

use std::{convert::Infallible, future::ready};

use gatepass::Transport;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    sample::{select, subsequence},
    test_runner::Config,
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::csrf::CsrfLayer;

use super::*;

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    target_host: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

impl Request {
    fn repeats(&self) -> bool {
        let count = |name: &str| self.headers.iter().filter(|(own, _)| *own == name).count();
        ["sec-fetch-site", "origin", "host"]
            .iter()
            .any(|name| count(name) > 1)
    }

    /// Whether its origin is one that a browser might send.
    fn is_of_a_browser(&self) -> bool {
        let mut origins = self.headers.iter().filter(|(name, _)| *name == "origin");
        origins.all(|(_, origin)| !ODD_ORIGINS.contains(&origin.as_str()))
    }
}

const METHODS: [&str; 10] = [
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "BREW",
];
const SITES: [&str; 9] = [
    "same-origin",
    "none",
    "same-site",
    "cross-site",
    "",
    "Same-Origin",
    "none ",
    "x",
    "null",
];
const HOSTS: [&str; 6] = [
    "shop.example",
    "shop.example:8443",
    "app.example",
    "localhost:3000",
    "[::1]:80",
    "SHOP.example",
];
const ORIGINS: [&str; 12] = [
    "https://shop.example",
    "http://shop.example",
    "https://shop.example:8443",
    "https://app.example",
    "https://evil.example",
    "https://shop.example.evil.example",
    "http://localhost:3000",
    "http://[::1]:80",
    "moz-extension://shop.example",
    "ftp://shop.example",
    "null",
    "",
];
const ODD_ORIGINS: [&str; 8] = [
    "HTTPS://shop.example",
    "https://shop.example/",
    "https://shop.example/path",
    "https://shop.example?a",
    "https://user@shop.example",
    "https://SHOP.example",
    "shop.example",
    "https://evil.example https://shop.example",
];
const TRUSTED: [&str; 3] = [
    "https://app.example",
    "https://evil.example",
    "http://localhost:3000",
];

fn requests() -> impl Strategy<Value = Request> {
    let header = prop_oneof![
        4 => (Just("sec-fetch-site"), select(&SITES[..])),
        4 => (Just("origin"), select(&ORIGINS[..])),
        1 => (Just("origin"), select(&ODD_ORIGINS[..])),
        3 => (Just("host"), select(&HOSTS[..])),
    ];
    let headers = vec(header, 0..4);
    (
        select(&METHODS[..]),
        option::of(select(&HOSTS[..5])),
        headers,
    )
        .prop_map(|(method, target_host, headers)| Request {
            method,
            target_host,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        })
}

/// Whether tower-http lets it through.
fn theirs(runtime: &Runtime, request: &Request, trusted: &[&str]) -> bool {
    let layer = trusted.iter().fold(CsrfLayer::new(), |layer, origin| {
        layer.add_trusted_origin(*origin).unwrap()
    });
    let uri = match request.target_host {
        Some(host) => format!("https://{host}/me"),
        None => "/me".to_owned(),
    };
    let mut builder = http::Request::builder().method(request.method).uri(uri);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let service = layer.layer(service_fn(|_: http::Request<()>| {
        ready(Ok::<_, Infallible>(http::Response::new(String::new())))
    }));
    let answered = runtime.block_on(service.oneshot(builder.body(()).unwrap()));
    answered.unwrap().status() == 200
}

/// Whether a gate of ours does.
fn ours(runtime: &Runtime, authority: &Authority, cookie: &str, request: &Request) -> bool {
    let values = |name: &'static str| {
        let own = request.headers.iter().filter(move |(own, _)| *own == name);
        let cookie = (name == "cookie").then_some(cookie.as_bytes());
        own.map(|(_, value)| value.as_bytes()).chain(cookie)
    };
    let head = RequestHead::new(request.method, "/me", values).target_host(request.target_host);
    let authorized = runtime.block_on(Gate::new(authority).judge(&head));
    match authorized {
        Ok(_) => true,
        Err(rejection) if rejection.refusal() == Some(&Refusal::CrossSite) => false,
        Err(rejection) => panic!("{request:?}: {rejection:?}"),
    }
}

/// A shop of its own for each choice of trusted origins, and a cookie for it.
fn shop(runtime: &Runtime, trusted: &[&str]) -> (Authority, String) {
    runtime.block_on(async {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let mut builder = Authority::builder(REALM, "shop-api", secret, MemoryStore::new())
            .transport(Transport::Cookie);
        for origin in trusted {
            builder = builder.trusted_origin(*origin);
        }
        let authority = builder.build().await.unwrap();
        let identity = Identity::new("alice").unwrap();
        let issued = authority.issue(identity, Device::default()).await.unwrap();
        let cookie = format!("__Host-gatepass={}", issued.access_token.as_str());
        (authority, cookie)
    })
}

#[test]
fn requests_with_cookies_are_judged_as_by_tower_http() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config::with_cases(8);
    proptest!(config, |(trusted in subsequence(&TRUSTED[..], 0..=3), requests in vec(requests(), 200))| {
        let (authority, cookie) = shop(&runtime, &trusted);
        for request in requests {
            let ours = ours(&runtime, &authority, &cookie, &request);
            let theirs = theirs(&runtime, &request, &trusted);
            let safe = ["GET", "HEAD", "OPTIONS"].contains(&request.method);
            if request.repeats() {
                // A request with one of these headers twice has no site that is certain, so it is
                // refused, unless it changes nothing.
                let twice = |name| request.headers.iter().filter(|(own, _)| *own == name).count() > 1;
                let judged_by = twice("sec-fetch-site") || twice("origin");
                prop_assert!(safe || !judged_by || !ours, "{:?}", request);
                prop_assert!(!safe || ours, "{:?}", request);
            } else if request.is_of_a_browser() {
                prop_assert_eq!(ours, theirs, "{:?} {:?}", request, trusted);
            } else {
                prop_assert!(theirs || !ours, "{:?} {:?}", request, trusted);
            }
        }
    });
}

/// The differences between the two, so that each is a choice and no accident.
#[test]
fn the_differences_to_tower_http_are_the_ones_that_are_meant() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (authority, cookie) = shop(&runtime, &[]);
    let differ_by = |method, headers: &[(&'static str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let request = Request {
            method,
            target_host: None,
            headers: headers.collect(),
        };
        let ours = ours(&runtime, &authority, &cookie, &request);
        assert!(theirs(&runtime, &request, &[]) && !ours, "{request:?}");
    };
    let differ = |headers: &[_]| differ_by("POST", headers);
    let host = ("host", "shop.example");
    differ(&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]);
    differ(&[host, ("origin", "https://shop.example"), ("origin", "null")]);
    differ(&[
        host,
        ("host", "evil.example"),
        ("origin", "https://shop.example"),
    ]);
    differ(&[host, ("origin", "HTTPS://shop.example")]);
    let handshake = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    differ_by(
        "GET",
        &[host, handshake, ("origin", "https://evil.example")],
    );
    differ_by("GET", &[host, handshake, ("sec-fetch-site", "same-site")]);
    differ(&[host, ("origin", "https://shop.example/path")]);
}
