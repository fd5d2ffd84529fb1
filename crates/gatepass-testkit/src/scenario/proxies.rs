//! Scenarios of clients behind a proxy. The application trusts `X-Forwarded-For` from its own
//! machine, where the requests come from.

use super::{Request, Scenario, wording::login};

fn login_through(proxies: &str) -> Request {
    login("alice", "alice's password").header("x-forwarded-for", proxies)
}

/// The list of sessions shows it, even if the client sends an address of its choice.
#[must_use]
pub fn a_trusted_proxy_tells_the_address_of_a_client() -> Scenario {
    let ways = [
        (login_through("203.0.113.7"), "203.0.113.7"),
        (login_through("198.51.100.1, 203.0.113.8"), "203.0.113.8"),
        (login_through("203.0.113.9:50123, 127.0.0.1"), "203.0.113.9"),
        (login_through("[2001:db8::7]:443"), "2001:db8::7"),
        (
            login_through("198.51.100.1").header("x-forwarded-for", "203.0.113.10"),
            "203.0.113.10",
        ),
        // The application knows no address beyond the proxy's.
        (login("alice", "alice's password"), "127.0.0.1"),
        (login_through("198.51.100.1, unknown"), "127.0.0.1"),
        (login_through("198.51.100.1,"), "127.0.0.1"),
        // The application's proxies write another header.
        (
            login("alice", "alice's password").header("forwarded", "for=198.51.100.1"),
            "127.0.0.1",
        ),
    ];
    let scenario = Scenario::new("a_trusted_proxy_tells_the_address_of_a_client");
    ways.into_iter().fold(scenario, |scenario, (way, address)| {
        scenario
            .send(way, 200)
            .keep("/access_token", "access")
            .send(Request::get("/auth/sessions").bearer("{access}"), 200)
            .json("/sessions/0/address", address)
    })
}
