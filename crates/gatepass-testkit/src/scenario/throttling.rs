//! Scenarios of too many attempts to log in.

use std::time::Duration;

use serde_json::json;

use super::{
    Request, Scenario,
    wording::{login, me, password, token},
};

const SECOND: Duration = Duration::from_secs(1);

impl Request {
    /// The request as a proxy forwards it from this address.
    fn from(self, address: impl Into<String>) -> Self {
        self.header("x-forwarded-for", address.into())
    }
}

impl Scenario {
    /// Sends `request` this many seconds too early.
    fn send_too_early(self, request: Request, secs: &'static str) -> Self {
        self.send(request, 429)
            .json("/error", "slow_down")
            .json("/error_description", "too many attempts")
            .json("/reason", "too_many_attempts")
            .header("retry-after", secs)
            .header("cache-control", "no-store")
            .no_header("www-authenticate")
    }

    fn fails(self, times: usize, attempt: impl Fn(usize) -> Request) -> Self {
        (0..times).fold(self, |scenario, number| {
            scenario.send_bad_grant(attempt(number), "bad_credentials")
        })
    }
}

/// The server refuses the sixth attempt within a short time, with a right or a wrong password.
#[must_use]
pub fn too_many_attempts_are_told_when_to_try_again() -> Scenario {
    let guess = || login("bob", "a guess").from("203.0.113.7");
    let right = || login("bob", "bob's password").from("203.0.113.7");
    Scenario::new("too_many_attempts_are_told_when_to_try_again")
        .fails(5, |_| guess())
        .send_too_early(guess(), "1")
        .send_too_early(right(), "1")
        .send(login("bob", "bob's password").from("203.0.113.8"), 200)
        .send(login("alice", "alice's password").from("203.0.113.7"), 200)
        .pass(Duration::from_millis(999))
        .send_too_early(right(), "1")
        .pass(Duration::from_millis(1))
        .send(right(), 200)
}

/// The server treats an unknown name like a known one.
#[must_use]
pub fn a_delay_grows_with_each_attempt_and_is_over_with_a_login() -> Scenario {
    let grows = |scenario: Scenario, name: &'static str| {
        let guess = || login(name, "a guess");
        ["1", "2", "4", "8", "16"].into_iter().fold(
            scenario.fails(4, |_| guess()),
            |scenario, secs| {
                scenario
                    .send_bad_grant(guess(), "bad_credentials")
                    .send_too_early(guess(), secs)
                    .send_too_early(guess(), secs)
                    .pass(SECOND * secs.parse().unwrap_or_default())
            },
        )
    };
    let scenario = Scenario::new("a_delay_grows_with_each_attempt_and_is_over_with_a_login");
    grows(grows(scenario, "nobody"), "alice")
        .send(login("alice", "alice's password"), 200)
        .fails(5, |_| login("alice", "a guess"))
        .send_too_early(login("alice", "a guess"), "1")
        .send_bad_grant(
            login("alice", "a guess").from("203.0.113.7"),
            "bad_credentials",
        )
}

/// A stolen access token doesn't evade the bounds, and neither does another endpoint.
#[must_use]
pub fn attempts_at_all_endpoints_count_together() -> Scenario {
    let again = |password: &str| {
        Request::post("/auth/reauthenticate")
            .bearer("{access}")
            .json(&json!({ "password": password }))
    };
    let grant = |secret: &str| token(&password("bob", secret));
    Scenario::new("attempts_at_all_endpoints_count_together")
        .logged_in("bob")
        .send_bad_grant(again("a guess"), "bad_credentials")
        .send_bad_grant(again("a guess"), "bad_credentials")
        .send_refused(grant("a guess"), "invalid_grant", "bad_credentials")
        .send_refused(grant("a guess"), "invalid_grant", "bad_credentials")
        .send_bad_grant(login("bob", "a guess"), "bad_credentials")
        .send_too_early(again("bob's password"), "1")
        .send_too_early(grant("bob's password"), "1")
        .send_too_early(login("bob", "bob's password"), "1")
        .send(me("{access}"), 200)
        .pass(SECOND)
        .send(again("bob's password"), 200)
        .send(grant("bob's password"), 200)
        .send(login("bob", "bob's password"), 200)
}

/// Twenty strangers guess from twenty addresses. The user has logged in at home before.
#[must_use]
pub fn strangers_delay_no_user_at_a_known_address() -> Scenario {
    let own = |address: &str| login("alice", "alice's password").from(address);
    Scenario::new("strangers_delay_no_user_at_a_known_address")
        .send(own("203.0.113.7"), 200)
        .fails(20, |number| {
            login("alice", "a guess").from(format!("198.51.100.{number}"))
        })
        .send_too_early(login("alice", "a guess").from("198.51.100.99"), "1")
        .send_too_early(own("203.0.113.8"), "1")
        .send_bad_grant(
            login("alice", "a guess").from("203.0.113.7"),
            "bad_credentials",
        )
        .send(own("203.0.113.7"), 200)
        // Another address of the same network is known as well.
        .pass(SECOND)
        .send(own("2001:db8::7"), 200)
        .send_too_early(own("203.0.113.8"), "2")
        .send(own("2001:db8::8"), 200)
}

/// An attacker tries a list of stolen passwords with one guess each.
#[must_use]
pub fn an_address_that_tries_many_names_has_to_wait() -> Scenario {
    let guess = |number: usize| login(&format!("user {number}"), "a guess");
    Scenario::new("an_address_that_tries_many_names_has_to_wait")
        .fails(50, |number| {
            guess(number).from(format!("2001:db8::{number}"))
        })
        .send_too_early(guess(50).from("2001:db8::ffff"), "1")
        .send_too_early(login("alice", "alice's password").from("2001:db8::1"), "1")
        .send(
            login("alice", "alice's password").from("2001:db8:0:1::1"),
            200,
        )
}
