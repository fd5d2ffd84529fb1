//! Scenarios of pages of other origins, which read an answer only if CORS allows it.

use super::{
    Request, Scenario,
    wording::{login, me},
};

const PAGE: &str = "https://page.example";

/// To a script, a refusal that it can't read looks like a broken network.
#[must_use]
pub fn a_page_of_another_origin_can_read_refusals() -> Scenario {
    let from_page = |request: Request| request.header("origin", PAGE);
    let read = |scenario: Scenario, request: Request, status: u16| {
        scenario
            .send(from_page(request), status)
            .header("access-control-allow-origin", "*")
            .no_header("access-control-allow-credentials")
    };
    let scenario = Scenario::new("a_page_of_another_origin_can_read_refusals").logged_in("alice");
    [
        (me("{access}"), 200),
        (Request::get("/me"), 401),
        (
            Request::get("/me").header("authorization", "Bearer a, b"),
            400,
        ),
        (me("{refresh}"), 401),
        (Request::get("/admin").bearer("{access}"), 403),
        (login("alice", "a guess"), 401),
        (login("alice", "alice's password"), 200),
        (Request::post("/auth/login").body("{"), 415),
        (Request::get("/auth/login"), 405),
        (Request::get("/auth/sessions"), 401),
        (Request::post("/auth/token"), 415),
        (Request::get("/nowhere"), 404),
        // This is no preflight, so it is refused like any other method.
        (Request::method("OPTIONS", "/auth/login"), 405),
        (Request::method("OPTIONS", "/nowhere"), 404),
    ]
    .into_iter()
    .fold(scenario, |scenario, (request, status)| {
        read(scenario, request, status)
    })
}

/// The browser asks without credentials, so a gate in front of CORS would refuse every page.
#[must_use]
pub fn a_browser_may_ask_before_it_sends_credentials() -> Scenario {
    let asked = |path: &str, method: &str, headers: &str| {
        Request::method("OPTIONS", path)
            .header("origin", PAGE)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers)
    };
    let scenario = Scenario::new("a_browser_may_ask_before_it_sends_credentials");
    [
        asked("/me", "GET", "authorization"),
        asked("/profile", "POST", "authorization,content-type"),
        asked("/auth/login", "POST", "content-type"),
        asked("/auth/refresh", "POST", "content-type"),
        asked("/auth/sessions", "DELETE", "authorization"),
        asked("/auth/token", "POST", "authorization"),
    ]
    .into_iter()
    .fold(scenario, |scenario, request| {
        scenario
            .send(request, 200)
            .header("access-control-allow-origin", "*")
            .empty()
    })
}
