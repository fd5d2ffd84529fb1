//! Scenarios of requests that a page of another site caused.

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario,
    wording::{ACCESS, COOKIES, REFRESH, login, me, refresh},
};

const HOST: &str = "service.test";

/// A browser's statement of a request's origin: `Sec-Fetch-Site` and `Origin`, if it sends them.
type From = (Option<&'static str>, Option<&'static str>);

/// Requests of the service's own pages, of the address bar, and of programs other than browsers.
const OWN: [From; 8] = [
    (None, None),
    (Some("same-origin"), None),
    (Some("same-origin"), Some("https://service.test")),
    (Some("same-origin"), Some("null")),
    (Some("none"), None),
    (Some(""), None),
    (None, Some("https://service.test")),
    (None, Some("http://service.test")),
];

/// Requests of other sites from old and new browsers, and attempts to hide the site.
const ELSEWHERE: [From; 16] = [
    (Some("cross-site"), None),
    (Some("cross-site"), Some("https://evil.test")),
    (Some("cross-site"), Some("https://service.test")),
    (Some("cross-site"), Some("null")),
    (Some("same-site"), None),
    (Some("same-site"), Some("https://blog.service.test")),
    (Some("SAME-ORIGIN"), None),
    (Some("same-origin, same-origin"), None),
    (Some("unknown"), None),
    (None, Some("https://evil.test")),
    (None, Some("https://service.test.evil.test")),
    (None, Some("https://service.test:8443")),
    (None, Some("https://service.test/")),
    (None, Some("https://evil.test https://service.test")),
    (None, Some("service.test")),
    (None, Some("null")),
];

fn sent(request: Request, (site, origin): From) -> Request {
    let request = request.header("host", HOST);
    let request = match site {
        Some(site) => request.header("sec-fetch-site", site),
        None => request,
    };
    match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    }
}

/// Sends each header twice, with the good value first and last.
fn sent_twice(request: &Request) -> Vec<Request> {
    let twice = |name, values: [&str; 2]| {
        let [first, last] = values;
        request
            .clone()
            .header("host", HOST)
            .header(name, first)
            .header(name, last)
    };
    vec![
        twice("sec-fetch-site", ["same-origin", "cross-site"]),
        twice("sec-fetch-site", ["cross-site", "same-origin"]),
        twice("origin", ["https://service.test", "https://evil.test"]),
        twice("origin", ["https://evil.test", "https://service.test"]),
    ]
}

impl Scenario {
    /// Sends `request` from every other site. The server must refuse it.
    fn refused_from_elsewhere(self, request: &Request) -> Self {
        let scenario = ELSEWHERE.into_iter().fold(self, |scenario, from| {
            scenario.send_cross_site(sent(request.clone(), from))
        });
        sent_twice(request)
            .into_iter()
            .fold(scenario, Self::send_cross_site)
    }
}

fn by_cookie(method: &'static str, path: &str) -> Request {
    Request::method(method, path).cookies(COOKIES)
}

/// A page of another site must not log a browser in as another user. The server doesn't even check
/// the password.
#[must_use]
pub fn a_cross_site_login_is_refused() -> Scenario {
    let request = login("alice", "alice's password");
    let scenario = Scenario::new("a_cross_site_login_is_refused")
        .over(Transport::Cookie)
        .refused_from_elsewhere(&request)
        .send_cross_site(sent(login("alice", "wrong"), (Some("cross-site"), None)))
        .send_cross_site(sent(
            Request::post("/auth/login").body("{"),
            (Some("cross-site"), None),
        ));
    OWN.into_iter().fold(scenario, |scenario, from| {
        scenario
            .send(sent(request.clone(), from), 200)
            .gets_cookies()
    })
}

/// The request spends no token.
#[must_use]
pub fn a_cross_site_refresh_is_refused() -> Scenario {
    let request = by_cookie("POST", "/auth/refresh");
    let scenario = Scenario::new("a_cross_site_refresh_is_refused")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .refused_from_elsewhere(&request);
    OWN.into_iter().fold(scenario, |scenario, from| {
        scenario
            .send(sent(request.clone(), from), 200)
            .gets_cookies()
            .keep_cookie(ACCESS, "access")
            .keep_cookie(REFRESH, "refresh")
    })
}

/// A page of another site logs no user out, on one device or on all.
#[must_use]
pub fn a_cross_site_logout_is_refused() -> Scenario {
    let requests = [
        by_cookie("POST", "/auth/logout"),
        by_cookie("POST", "/auth/logout-all"),
        by_cookie("DELETE", "/auth/sessions"),
        by_cookie("DELETE", "/auth/sessions/AAAAAAAAAAAAAAAAAAAAAAAA"),
        Request::post("/auth/logout").cookies("__Host-gatepass={access}"),
        Request::post("/auth/logout").cookies("__Host-gatepass-refresh={refresh}"),
        // An HTML form sends a body, which doesn't change the origin of the request.
        by_cookie("POST", "/auth/logout").json(&json!({})),
    ];
    let scenario = Scenario::new("a_cross_site_logout_is_refused")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    let scenario = requests
        .iter()
        .fold(scenario, Scenario::refused_from_elsewhere)
        .send(by_cookie("GET", "/me"), 200);
    OWN.into_iter().fold(scenario, |scenario, from| {
        scenario
            .logged_in_by_cookie("alice")
            .send(sent(by_cookie("POST", "/auth/logout"), from), 204)
            .clears_cookies()
    })
}

/// These requests change something in the user's name.
#[must_use]
pub fn a_cross_site_call_is_refused() -> Scenario {
    let password = json!({ "password": "alice's password" });
    let requests = [
        by_cookie("POST", "/profile"),
        by_cookie("POST", "/transfer"),
        by_cookie("POST", "/auth/renew"),
        by_cookie("POST", "/auth/resume"),
        by_cookie("POST", "/auth/reauthenticate").json(&password),
    ];
    let scenario = Scenario::new("a_cross_site_call_is_refused")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    let scenario = requests
        .iter()
        .fold(scenario, Scenario::refused_from_elsewhere);
    OWN.into_iter().fold(scenario, |scenario, from| {
        scenario.send(sent(by_cookie("POST", "/profile"), from), 200)
    })
}

/// A page of another site could open a WebSocket, and read and write as the user (cross-site
/// WebSocket hijacking). The handshake is a `GET`, and the gate refuses it all the same.
#[must_use]
pub fn a_web_socket_of_a_page_elsewhere_is_refused() -> Scenario {
    let opens = |path| {
        by_cookie("GET", path)
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let scenario = Scenario::new("a_web_socket_of_a_page_elsewhere_is_refused")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    let scenario = ["/me", "/maybe", "/auto/me"]
        .iter()
        .fold(scenario, |scenario, path| {
            scenario.refused_from_elsewhere(&opens(path))
        });
    OWN.into_iter().fold(scenario, |scenario, from| {
        scenario.send(sent(opens("/me"), from), 200)
    })
}

/// A visitor who follows a link from another site arrives logged in.
#[must_use]
pub fn a_request_that_changes_nothing_may_come_from_anywhere() -> Scenario {
    let scenario = Scenario::new("a_request_that_changes_nothing_may_come_from_anywhere")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice");
    ELSEWHERE
        .into_iter()
        .chain(OWN)
        .fold(scenario, |scenario, from| {
            scenario
                .send(sent(by_cookie("GET", "/me"), from), 200)
                .send(sent(by_cookie("GET", "/auth/sessions"), from), 200)
        })
}

/// No browser sends bearer tokens by itself.
#[must_use]
pub fn bearer_requests_may_come_from_anywhere() -> Scenario {
    let scenario = Scenario::new("bearer_requests_may_come_from_anywhere").over(Transport::Both);
    ELSEWHERE.into_iter().fold(scenario, |scenario, from| {
        scenario
            .send(sent(login("alice", "alice's password"), from), 200)
            .gets_tokens()
            .send(sent(me("{access}"), from), 200)
            .send(
                sent(by_cookie("POST", "/profile").bearer("{access}"), from),
                200,
            )
            .send(sent(refresh("{refresh}"), from), 200)
            .gets_tokens()
            .send(
                sent(by_cookie("POST", "/auth/logout").bearer("{access}"), from),
                204,
            )
    })
}
