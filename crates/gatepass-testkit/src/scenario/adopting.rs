//! Scenarios of an application that still accepts the tokens of the program that it has replaced.

use super::{
    Request, Scenario,
    shop::{MOVE, me},
    wording::{ACCESS, BOTH, REFRESH},
};

const OLD: &str = "old-key-of-alice";
const COOKIE: &str = "sessionid=old-key-of-alice";

fn adopt_by_header() -> Request {
    Request::post("/shop/adopt").bearer(OLD)
}

/// A client that knows nothing of gatepass continues to work, and one that knows it gets a session.
/// The old token is then the first refresh token of that session, and opens no route.
#[must_use]
pub fn an_old_token_is_accepted_until_it_is_exchanged() -> Scenario {
    let revoked = "the token has been revoked";
    Scenario::new("an_old_token_is_accepted_until_it_is_exchanged")
        .send(me().bearer(OLD), 200)
        .json("/subject", "alice")
        .send(me().header("x-access-token", OLD), 200)
        .send(Request::get("/shop/customer").bearer(OLD), 200)
        .json("/name", "alice")
        .send(adopt_by_header(), 200)
        .header("cache-control", "no-store")
        .json("/token_type", "Bearer")
        .json("/scope", "profile")
        .keep("/session_id", "session")
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(me().bearer("{access}"), 200)
        .json("/subject", "alice")
        .send(me().bearer(OLD), 401)
        .shop_error("revoked", revoked)
        .send(adopt_by_header(), 200)
        .same_as("/session_id", "session")
        .same_as("/refresh_token", "refresh")
        .send(Request::post("/shop/logout").bearer(OLD), 204)
        .send(adopt_by_header(), 401)
        .shop_error("session_ended", "the session has ended")
        .send(me().bearer("{access}"), 401)
        .shop_error("revoked", revoked)
}

/// The next page sets gatepass's cookies in a browser that has the old program's cookie.
#[must_use]
pub fn a_browser_with_the_old_cookie_gets_those_of_a_session() -> Scenario {
    let moved = "sessionid=old-key-of-alice; __Host-gatepass={access}; \
                 __Host-gatepass-refresh={refresh}";
    Scenario::new("a_browser_with_the_old_cookie_gets_those_of_a_session")
        .send(me().cookies(COOKIE), 200)
        .json("/subject", "alice")
        .header("cache-control", "no-store")
        .sets_cookies(BOTH)
        .keep_cookie(ACCESS, "access")
        .keep_cookie(REFRESH, "refresh")
        .send(me().cookies(moved), 200)
        .json("/subject", "alice")
        .no_header("set-cookie")
        // Another tab has exchanged the token first.
        .send(Request::post("/shop/adopt").cookies(COOKIE), 200)
        .no_json("/access_token")
        .sets_cookies(BOTH)
        .same_cookie(REFRESH, "refresh")
        .send(Request::post("/shop/logout").cookies(moved), 204)
        .clears_cookies()
        .send(me().cookies(COOKIE), 401)
        .shop_error("session_ended", "the session has ended")
}

/// The shop refuses garbage as before the move, and doesn't blame a client for a failure of the old
/// program. After the end of the move, it takes no old token.
#[must_use]
pub fn an_old_token_that_is_none_changes_nothing() -> Scenario {
    let later = "the service is temporarily unavailable, try again";
    let elsewhere = Request::delete("/shop/customer").cookies(COOKIE);
    Scenario::new("an_old_token_that_is_none_changes_nothing")
        .send(me().bearer("old-key-of-mallory"), 401)
        .shop_error("malformed", "the token is malformed")
        .send(me().cookies("sessionid=old-key-of-mallory"), 401)
        .shop_error("missing", "no credentials were presented")
        .send(
            Request::post("/shop/adopt").bearer("old-key-of-mallory"),
            401,
        )
        .shop_error("malformed", "the token is malformed")
        .send(Request::post("/shop/adopt"), 401)
        .shop_error("missing", "no credentials were presented")
        .send(me().bearer("old-key-of-nothing"), 503)
        .shop_error("store_unavailable", later)
        .send(me().cookies("sessionid=old-key-of-nothing"), 503)
        .shop_error("store_unavailable", later)
        .no_header("set-cookie")
        .send(elsewhere.header("sec-fetch-site", "cross-site"), 403)
        .shop_error(
            "cross_site",
            "a request from another site may not use cookies",
        )
        .pass(MOVE)
        .send(me().bearer(OLD), 401)
        .shop_error("malformed", "the token is malformed")
        .send(me().cookies(COOKIE), 401)
        .shop_error("missing", "no credentials were presented")
        .send(adopt_by_header(), 401)
        .shop_error("expired", "the token has expired")
}
