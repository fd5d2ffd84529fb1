//! Scenarios of responses that stay open and end with their session.

use gatepass::Transport;

use super::{
    Request, Scenario,
    wording::{COOKIES, logout, refresh, revoke},
};

/// The body of a stream of events that a revocation has ended.
const REVOKED: &str = "data: tick\n\nevent: session_ended\ndata: {\"reason\":\"revoked\"}\n\n";

fn events(token: &str) -> Request {
    Request::get("/events").bearer(token)
}

/// The last event names the reason, and the response is complete.
#[must_use]
pub fn an_event_stream_ends_with_a_logout() -> Scenario {
    Scenario::new("an_event_stream_ends_with_a_logout")
        .logged_in("alice")
        .while_open(events("{access}"), 200, vec![(logout("{access}"), 204)])
        .body(REVOKED)
        .header("content-type", "text/event-stream")
        .send(events("{access}"), 401)
        .json("/reason", "revoked")
}

/// It ends the streams on the user's other devices, and no stream of another user.
#[must_use]
pub fn a_logout_everywhere_ends_event_streams() -> Scenario {
    let everywhere = Request::post("/auth/logout-all").bearer("{phone}");
    let of_bob = Request::post("/auth/logout-all").bearer("{bob}");
    Scenario::new("a_logout_everywhere_ends_event_streams")
        .logged_in_as("bob", "bob", "refresh")
        .logged_in_as("alice", "phone", "refresh")
        .logged_in("alice")
        .while_open(
            events("{access}"),
            200,
            vec![(of_bob, 204), (everywhere, 204)],
        )
        .body(REVOKED)
}

/// The session and its other streams continue.
#[must_use]
pub fn an_event_stream_ends_with_its_token() -> Scenario {
    Scenario::new("an_event_stream_ends_with_its_token")
        .logged_in("alice")
        .while_open(events("{access}"), 200, vec![(revoke("{access}"), 200)])
        .body(REVOKED)
        .send(refresh("{refresh}"), 200)
}

/// A browser's `EventSource` sends no header of a script, only cookies.
#[must_use]
pub fn an_event_stream_by_cookie_ends_with_its_token() -> Scenario {
    let stream = Request::get("/events").cookies(COOKIES);
    Scenario::new("an_event_stream_by_cookie_ends_with_its_token")
        .over(Transport::Cookie)
        .logged_in_by_cookie("alice")
        .while_open(stream, 200, vec![(revoke("{access}"), 200)])
        .body(REVOKED)
}

/// A gate checks the request that opens the stream.
#[must_use]
pub fn an_event_stream_is_behind_a_gate() -> Scenario {
    Scenario::new("an_event_stream_is_behind_a_gate")
        .logged_in("alice")
        .send(Request::get("/events"), 401)
        .json("/reason", "missing")
        .send(events("{refresh}"), 401)
}
