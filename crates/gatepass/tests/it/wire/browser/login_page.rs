//! Redirects of browsers to a login page.

use super::*;

const HTML: Header<'_> = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

impl Shop {
    /// The place that a gate with this login page sends a request to, or the status of its reply.
    async fn sent_to(
        &self,
        page: &str,
        head: &RequestHead<'_>,
        requirements: Requirements,
    ) -> Result<String, u16> {
        let gate = Gate::new(&self.authority)
            .auto_refresh(&self.authority)
            .require(requirements)
            .login_page(page.parse().unwrap());
        let reply = gate.judge(head).await.unwrap_err().into_reply();
        match header(&reply, "location") {
            Some(location) => {
                assert_eq!(reply.status(), 303, "{location}");
                assert_eq!(header(&reply, "cache-control"), Some("no-store"));
                assert_eq!(header(&reply, "www-authenticate"), None);
                assert!(reply.body().is_empty());
                Ok(location.to_owned())
            }
            None => Err(reply.status()),
        }
    }
}

#[tokio::test]
async fn a_browser_that_asks_for_a_page_is_sent_to_the_login_page_and_back_to_a_local_path() {
    let shop = Shop::open(Transport::Cookie).await;
    for (page, path, query, location) in [
        (
            "/login",
            "/orders",
            None,
            "/login?return_to=/orders&reason=missing",
        ),
        (
            "/login?lang=en",
            "/orders",
            Some("page=2&sort=a%20b"),
            "/login?lang=en&return_to=/orders%3Fpage%3D2%26sort%3Da%2520b&reason=missing",
        ),
        ("/", "/a//b", Some(""), "/?return_to=/a//b&reason=missing"),
        // Browsers read a host after two slashes.
        ("/login", "//evil.example/", None, "/login?reason=missing"),
        ("/login", "/\\evil.example/", None, "/login?reason=missing"),
        (
            "/login",
            "https://evil.example/",
            None,
            "/login?reason=missing",
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let head = head(method, path, &[HTML]).query(query);
            let sent = shop.sent_to(page, &head, Requirements::new()).await;
            assert_eq!(sent.as_deref(), Ok(location), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_way_back_is_the_path_that_the_browser_asked_for() {
    let shop = Shop::open(Transport::Cookie).await;
    let head = head("GET", "/orders", &[HTML]).query(Some("cut"));
    let head = head.original_target("/shop/orders", Some("page=2"));
    let sent = shop.sent_to("/login", &head, Requirements::new()).await;
    assert_eq!(
        sent.as_deref(),
        Ok("/login?return_to=/shop/orders%3Fpage%3D2&reason=missing")
    );
}

#[tokio::test]
async fn a_way_back_that_proxies_would_refuse_is_left_out() {
    let shop = Shop::open(Transport::Cookie).await;
    for (length, named) in [(1989, true), (1990, false)] {
        let query = "%".repeat(length);
        let head = head("GET", "/a/bcdefgh", &[HTML]).query(Some(&query));
        let sent = shop.sent_to("/login", &head, Requirements::new()).await;
        let sent = sent.unwrap();
        assert_eq!(sent.contains("return_to"), named, "{length}");
        assert!(sent.ends_with("reason=missing") && sent.len() < 8000);
    }
}

#[tokio::test]
async fn a_form_is_sent_to_the_login_page_and_not_back() {
    let shop = Shop::open(Transport::Cookie).await;
    for method in ["POST", "PUT", "DELETE"] {
        let head = head(method, "/orders", &[HTML]);
        let sent = shop.sent_to("/login", &head, Requirements::new()).await;
        assert_eq!(sent.as_deref(), Ok("/login?reason=missing"), "{method}");
    }
}

#[tokio::test]
async fn programs_get_their_401() {
    let shop = Shop::open(Transport::Cookie).await;
    let cases: [&[Header<'_>]; 13] = [
        &[],
        &[("accept", "*/*")],
        &[("accept", "application/json")],
        &[("accept", "application/json, text/*")],
        &[("accept", "text/html;q=0, application/json")],
        &[("accept", "text/html; q=0.000")],
        &[("accept", "text/htmlx")],
        &[("sec-fetch-mode", "navigate")],
        &[HTML, ("sec-fetch-mode", "cors")],
        &[HTML, ("sec-fetch-mode", "no-cors")],
        &[HTML, ("sec-fetch-mode", "same-origin")],
        &[HTML, ("sec-fetch-mode", "websocket")],
        &[
            HTML,
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-mode", "cors"),
        ],
    ];
    for headers in cases {
        let head = head("GET", "/orders", headers);
        let sent = shop.sent_to("/login", &head, Requirements::new()).await;
        assert_eq!(sent, Err(401), "{headers:?}");
    }
    let cases: [&[Header<'_>]; 5] = [
        &[HTML],
        &[HTML, ("sec-fetch-mode", "navigate")],
        &[("accept", "application/json"), ("accept", "TEXT/HTML")],
        &[("accept", "application/xhtml+xml;q=0.1")],
        &[("accept", "text/html;q=1.0;level=1")],
    ];
    for headers in cases {
        let head = head("GET", "/orders", headers);
        let sent = shop.sent_to("/login", &head, Requirements::new()).await;
        assert!(sent.is_ok(), "{headers:?}");
    }
}

#[tokio::test]
async fn the_login_page_itself_does_not_send_browsers_to_itself() {
    let shop = Shop::open(Transport::Cookie).await;
    let head = head("GET", "/login", &[HTML]).query(Some("return_to=/orders"));
    let sent = shop
        .sent_to("/login?lang=en", &head, Requirements::new())
        .await;
    assert_eq!(sent, Err(401));
}

#[tokio::test]
async fn only_a_refusal_that_a_login_can_mend_is_a_redirect() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    let cookies = jar.header();
    let twice = format!("{cookies}; {cookies}");
    let bearer = format!("Bearer {}x", jar.access);
    let none = Requirements::new;
    let admins = none().scopes(Scopes::parse("admin").unwrap());
    let recent = none().max_age(Duration::from_secs(1));
    shop.clock.advance(Duration::from_secs(2));
    let cookie = ("cookie", cookies.as_str());
    type Case<'c> = (
        &'c str,
        &'c [Header<'c>],
        Requirements,
        Result<&'c str, u16>,
    );
    let cases: [Case<'_>; 6] = [
        ("GET", &[HTML, cookie], admins, Err(403)),
        ("POST", &[HTML, cookie, CROSS_SITE], none(), Err(403)),
        ("GET", &[HTML, ("cookie", &twice)], none(), Err(400)),
        ("GET", &[HTML, cookie], recent, Ok("authentication_too_old")),
        (
            "GET",
            &[HTML, ("authorization", &bearer)],
            none(),
            Ok("bad_signature"),
        ),
        ("GET", &[HTML], none(), Ok("missing")),
    ];
    for (method, headers, requirements, expected) in cases {
        let head = head(method, "/orders", headers);
        let sent = shop.sent_to("/login", &head, requirements).await;
        let back = if method == "GET" {
            "return_to=/orders&"
        } else {
            ""
        };
        let expected = expected.map(|reason| format!("/login?{back}reason={reason}"));
        assert_eq!(sent, expected, "{method} {headers:?}");
    }
}

#[tokio::test]
async fn a_failing_store_sends_no_browser_away() {
    let shop = Shop::open(Transport::Cookie).await;
    let cookies = shop.log_in().await.header();
    shop.clock.advance(DAY);
    shop.faults
        .inject(Op::Load, StoreFault::Fail(StoreErrorKind::Unavailable));
    let headers = [HTML, ("cookie", cookies.as_str())];
    let head = head("GET", "/orders", &headers);
    let sent = shop.sent_to("/login", &head, Requirements::new()).await;
    assert_eq!(sent, Err(503));
}
