//! Scenarios of gates that send a browser to the login page.

use std::time::Duration;

use gatepass::Transport;

use super::{
    Request, Scenario,
    wording::{BOTH, COOKIES},
};

const LATER: Duration = Duration::from_secs(1_200);
const DAY: Duration = Duration::from_secs(86_400);

/// A browser that opens a page.
fn page(path: &str) -> Request {
    page_by("GET", path)
}

fn page_by(method: &'static str, path: &str) -> Request {
    Request::method(method, path)
        .header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
}

/// A form of the service's own page.
fn form(path: &str) -> Request {
    Request::post(path)
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
}

fn over_cookies(name: &'static str) -> Scenario {
    Scenario::new(name).over(Transport::Cookie)
}

impl Scenario {
    /// Sends `request`, which the gate must redirect to `location`.
    fn send_away(self, request: Request, location: &str) -> Self {
        self.send(request, 303)
            .header("location", location)
            .header("cache-control", "no-store")
            .no_header("www-authenticate")
            .empty()
    }
}

/// The redirect names the path that the browser asked for.
#[must_use]
pub fn a_page_request_is_sent_to_the_login_page() -> Scenario {
    over_cookies("a_page_request_is_sent_to_the_login_page")
        .send_away(page("/auto/me"), "/login?return_to=/auto/me&reason=missing")
}

/// The query is as the browser sent it.
#[must_use]
pub fn the_way_back_has_the_query() -> Scenario {
    over_cookies("the_way_back_has_the_query")
        .send_away(
            page("/auto/me?page=2&next=//evil.test"),
            "/login?return_to=/auto/me%3Fpage%3D2%26next%3D//evil.test&reason=missing",
        )
        .send_away(
            page("/auto/me?a=%20%26"),
            "/login?return_to=/auto/me%3Fa%3D%2520%2526&reason=missing",
        )
}

/// An old browser doesn't say that it loads a page.
#[must_use]
pub fn a_browser_without_fetch_metadata_is_sent_to_the_login_page() -> Scenario {
    over_cookies("a_browser_without_fetch_metadata_is_sent_to_the_login_page").send_away(
        Request::get("/auto/me").header("accept", "text/html, */*"),
        "/login?return_to=/auto/me&reason=missing",
    )
}

/// A `HEAD` gets the same redirect.
#[must_use]
pub fn the_head_of_a_page_is_sent_to_the_login_page() -> Scenario {
    over_cookies("the_head_of_a_page_is_sent_to_the_login_page").send_away(
        page_by("HEAD", "/auto/me"),
        "/login?return_to=/auto/me&reason=missing",
    )
}

/// The browser can't send the form again, so the redirect names no way back.
#[must_use]
pub fn a_form_is_sent_to_the_login_page_without_a_way_back() -> Scenario {
    over_cookies("a_form_is_sent_to_the_login_page_without_a_way_back")
        .send_away(form("/auto/profile"), "/login?reason=missing")
}

/// A script of a page can't use a redirect.
#[must_use]
pub fn a_fetch_of_a_script_gets_its_401() -> Scenario {
    let fetch = |mode: &str| {
        Request::get("/auto/me")
            .header("accept", "text/html")
            .header("sec-fetch-mode", mode)
    };
    over_cookies("a_fetch_of_a_script_gets_its_401")
        .send_anonymous(fetch("cors"))
        .send_anonymous(fetch("same-origin"))
        .send_anonymous(fetch("no-cors"))
}

/// Programs don't ask for HTML.
#[must_use]
pub fn programs_get_their_401() -> Scenario {
    let accepting = |types: &str| Request::get("/auto/me").header("accept", types);
    over_cookies("programs_get_their_401")
        .send_anonymous(Request::get("/auto/me"))
        .send_anonymous(accepting("*/*"))
        .send_anonymous(accepting("application/json"))
        .send_anonymous(accepting("text/html;q=0, application/json"))
        .send_anonymous(accepting("application/json").header("sec-fetch-mode", "navigate"))
}

/// The other gates of the application don't redirect.
#[must_use]
pub fn a_gate_without_a_login_page_sends_no_browser_away() -> Scenario {
    over_cookies("a_gate_without_a_login_page_sends_no_browser_away").send_anonymous(page("/me"))
}

/// The login page can show the reason.
#[must_use]
pub fn the_redirect_says_why() -> Scenario {
    over_cookies("the_redirect_says_why")
        .logged_in_by_cookie("alice")
        .send(Request::post("/auth/logout").cookies(COOKIES), 204)
        .clears_cookies()
        .send_away(
            page("/auto/me").cookies(COOKIES),
            "/login?return_to=/auto/me&reason=revoked",
        )
        .pass(LATER)
        .send_away(
            page("/auto/me").cookies(COOKIES),
            "/login?return_to=/auto/me&reason=session_ended",
        )
        .send_away(
            page("/auto/me").cookies("__Host-gatepass=x"),
            "/login?return_to=/auto/me&reason=malformed",
        )
}

/// The refresh costs one round trip, and the gate doesn't redirect.
#[must_use]
pub fn a_page_that_can_be_refreshed_is_shown() -> Scenario {
    over_cookies("a_page_that_can_be_refreshed_is_shown")
        .logged_in_by_cookie("alice")
        .pass(LATER)
        .send(page("/auto/me").cookies(COOKIES), 200)
        .sets_cookies(BOTH)
}

/// The user types the password on the login page.
#[must_use]
pub fn an_old_authentication_is_sent_to_the_login_page() -> Scenario {
    over_cookies("an_old_authentication_is_sent_to_the_login_page")
        .logged_in_by_cookie("alice")
        .pass(Duration::from_secs(301))
        .send_away(
            form("/auto/transfer").cookies(COOKIES),
            "/login?reason=authentication_too_old",
        )
}

/// The session has rotated, so the redirect must bring the cookies.
#[must_use]
pub fn a_redirect_after_a_refresh_brings_cookies() -> Scenario {
    over_cookies("a_redirect_after_a_refresh_brings_cookies")
        .logged_in_by_cookie("alice")
        .pass(LATER)
        .send(form("/auto/transfer").cookies(COOKIES), 303)
        .header("location", "/login?reason=authentication_too_old")
        .sets_cookies(BOTH)
}

/// Another login of the same user would not help.
#[must_use]
pub fn a_missing_scope_sends_no_browser_away() -> Scenario {
    over_cookies("a_missing_scope_sends_no_browser_away")
        .logged_in_by_cookie("alice")
        .send(page("/auto/admin").cookies(COOKIES), 403)
        .json("/reason", "insufficient_scope")
}

/// The gate refuses a forged form with 403.
#[must_use]
pub fn a_form_of_another_site_is_not_sent_to_the_login_page() -> Scenario {
    let forged = Request::post("/auto/profile")
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "cross-site");
    over_cookies("a_form_of_another_site_is_not_sent_to_the_login_page")
        .logged_in_by_cookie("alice")
        .send(forged.cookies(COOKIES), 403)
        .json("/reason", "cross_site")
}

/// Another login would not help a broken client.
#[must_use]
pub fn ambiguous_credentials_send_no_browser_away() -> Scenario {
    over_cookies("ambiguous_credentials_send_no_browser_away")
        .logged_in_by_cookie("alice")
        .send_ambiguous(page("/auto/me").cookies(COOKIES).cookies(COOKIES))
}

/// Strangers may see the page.
#[must_use]
pub fn an_optional_page_is_shown_to_strangers() -> Scenario {
    over_cookies("an_optional_page_is_shown_to_strangers")
        .send(page("/auto/maybe"), 200)
        .logged_in_by_cookie("alice")
        .pass(15 * DAY)
        .send(page("/auto/maybe").cookies(COOKIES), 200)
}
