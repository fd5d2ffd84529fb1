//! Scenarios of guarded routes, and of requests that the server refuses before it does anything.

use std::time::Duration;

use gatepass::Transport;
use serde_json::json;

use super::{
    Request, Scenario,
    wording::{REALM, login, logout, me, refresh},
};

/// A request without credentials gets a challenge without an error (RFC 6750 §3.1).
#[must_use]
pub fn a_gate_wants_a_token() -> Scenario {
    Scenario::new("a_gate_wants_a_token")
        .send_anonymous(Request::get("/me"))
        .send_anonymous(Request::post("/profile"))
        .send_anonymous(Request::get("/admin"))
        .send_anonymous(Request::post("/transfer"))
        .send_anonymous(Request::get("/strict"))
        .send_anonymous(Request::get("/me").header("authorization", "Basic YTpi"))
        .send(Request::get("/me"), 401)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
}

/// `bearer` and `BEARER` are also good (RFC 9110 §11.1).
#[must_use]
pub fn the_scheme_of_an_authorization_knows_no_case() -> Scenario {
    let me = |value: &str| Request::get("/me").header("authorization", value);
    Scenario::new("the_scheme_of_an_authorization_knows_no_case")
        .logged_in("alice")
        .send(me("bearer {access}"), 200)
        .send(me("BEARER {access}"), 200)
        .send(me("BeArEr   {access}"), 200)
        .send_anonymous(me("Bearerer {access}"))
}

impl Scenario {
    pub(super) fn send_ambiguous(self, request: Request) -> Self {
        let told = "the credentials are ambiguous or not well-formed";
        self.send(request, 400)
            .json("/error", "invalid_request")
            .json("/reason", "ambiguous")
            .header(
                "www-authenticate",
                format!(r#"{REALM}, error="invalid_request", error_description="{told}""#),
            )
    }
}

/// Frameworks would differ in which of the two they read.
#[must_use]
pub fn two_authorizations_are_refused() -> Scenario {
    let two = |first: &str, second: &str| {
        Request::get("/me")
            .header("authorization", first)
            .header("authorization", second)
    };
    Scenario::new("two_authorizations_are_refused")
        .logged_in("alice")
        .send_ambiguous(two("Bearer {access}", "Bearer {access}"))
        .send_ambiguous(two("Basic YTpi", "Bearer {access}"))
        .send_ambiguous(two("Bearer {access}", "Basic YTpi"))
        .send_ambiguous(
            Request::post("/auth/logout")
                .bearer("{access}")
                .header("authorization", "Bearer x"),
        )
        .lives("{access}", "{refresh}")
}

/// RFC 6750 §2.1 has the grammar.
#[must_use]
pub fn an_authorization_that_is_not_one_token_is_refused() -> Scenario {
    let me = |value: &[u8]| Request::get("/me").header("authorization", value);
    Scenario::new("an_authorization_that_is_not_one_token_is_refused")
        .logged_in("alice")
        .send_ambiguous(me(b""))
        .send_ambiguous(me(b"Bearer"))
        .send_ambiguous(me(b"Bearer {access} {access}"))
        .send_ambiguous(me(b"Bearer {access}, Bearer {access}"))
        .send_ambiguous(me(b"Bearer \"{access}\""))
        .send_ambiguous(me(b"Bearer \xc3\xa4"))
        .send_ambiguous(me(b"Bearer \xff"))
}

/// Logs and histories would keep the token (RFC 6750 §5.3).
#[must_use]
pub fn a_token_in_the_query_is_not_read() -> Scenario {
    Scenario::new("a_token_in_the_query_is_not_read")
        .logged_in("alice")
        .send_anonymous(Request::get("/me?access_token={access}"))
        .send_anonymous(Request::post("/auth/logout?refresh_token={refresh}"))
        .lives("{access}", "{refresh}")
}

/// Cookies authenticate only if you configure them.
#[must_use]
pub fn a_token_in_a_cookie_is_not_read() -> Scenario {
    Scenario::new("a_token_in_a_cookie_is_not_read")
        .logged_in("alice")
        .send_anonymous(Request::get("/me").header("cookie", "__Host-gatepass={access}"))
}

/// The gate accepts it until the leeway is over.
#[must_use]
pub fn an_expired_token_is_refused() -> Scenario {
    Scenario::new("an_expired_token_is_refused")
        .logged_in("alice")
        .pass(Duration::from_secs(929))
        .send(me("{access}"), 200)
        .pass(Duration::from_secs(1))
        .send_bad_token(me("{access}"), "the token has expired", "expired")
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "second access")
        .send(me("{second access}"), 200)
}

/// These texts have other forms, and each refusal names its reason.
#[must_use]
pub fn a_token_that_is_no_token_is_refused() -> Scenario {
    let malformed = "the token is malformed";
    // {"alg":"none"} and {"alg":"HS256","kid":"x"}
    let (none, unknown) = ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ");
    let no_key = "the token names no key that is trusted here";
    Scenario::new("a_token_that_is_no_token_is_refused")
        .logged_in("alice")
        .send_bad_token(me("nonsense"), malformed, "malformed")
        .send_bad_token(me("a.b.c"), malformed, "malformed")
        .send_bad_token(me("{access}.x"), malformed, "malformed")
        .send_bad_token(me(&"x".repeat(8193)), malformed, "malformed")
        .send_bad_token(me(&format!("{none}.e30.")), no_key, "unknown_key")
        .send_bad_token(me(&format!("{unknown}.e30.AAAA")), no_key, "unknown_key")
        .send_bad_token(
            me("{access}AAAA"),
            "the signature of the token is not valid",
            "bad_signature",
        )
        .send(me("{access}"), 200)
}

/// The long-lived token is for the refresh endpoint alone.
#[must_use]
pub fn a_refresh_token_gives_no_access() -> Scenario {
    Scenario::new("a_refresh_token_gives_no_access")
        .logged_in("alice")
        .send_bad_token(
            me("{refresh}"),
            "the token is of another type",
            "wrong_type",
        )
        .send(me("{access}"), 200)
}

/// The challenge names the scope that would suffice (RFC 6750 §3.1).
#[must_use]
pub fn a_scope_that_is_missing_is_named() -> Scenario {
    let told =
        r#"error="insufficient_scope", error_description="the token lacks a scope", scope="admin""#;
    Scenario::new("a_scope_that_is_missing_is_named")
        .logged_in("alice")
        .logged_in_as("root", "root access", "root refresh")
        .send(Request::get("/admin").bearer("{access}"), 403)
        .json("/error", "insufficient_scope")
        .json("/reason", "insufficient_scope")
        .header("www-authenticate", format!("{REALM}, {told}"))
        .send(Request::get("/admin").bearer("{root access}"), 200)
}

/// A refresh doesn't make an authentication newer (RFC 9470).
#[must_use]
pub fn an_old_authentication_does_not_transfer() -> Scenario {
    let transfer = |token: &str| Request::post("/transfer").bearer(token);
    let error = "insufficient_user_authentication";
    let told = "a more recent authentication is required";
    Scenario::new("an_old_authentication_does_not_transfer")
        .logged_in("alice")
        .pass(Duration::from_secs(299))
        .send(transfer("{access}"), 200)
        .pass(Duration::from_secs(2))
        .send(transfer("{access}"), 401)
        .json("/error", error)
        .json("/reason", "authentication_too_old")
        .header(
            "www-authenticate",
            format!(r#"{REALM}, error="{error}", error_description="{told}", max_age="300""#),
        )
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "second access")
        .send(transfer("{second access}"), 401)
        .send(me("{second access}"), 200)
        .logged_in_as("alice", "new access", "new refresh")
        .send(transfer("{new access}"), 200)
}

/// A strict gate is the allow-list mode.
#[must_use]
pub fn a_strict_route_works_and_refuses_ended_sessions() -> Scenario {
    let strict = |token: &str| Request::get("/strict").bearer(token);
    Scenario::new("a_strict_route_works_and_refuses_ended_sessions")
        .logged_in("alice")
        .send(strict("{access}"), 200)
        .send(logout("{access}"), 204)
        .send_bad_token(strict("{access}"), "the token has been revoked", "revoked")
}

/// Only the store knows that it has lost the session. A gate that is not strict still accepts the
/// token.
#[must_use]
pub fn a_strict_route_asks_the_store() -> Scenario {
    let strict = || Request::get("/strict").bearer("{access}");
    Scenario::new("a_strict_route_asks_the_store")
        .logged_in("alice")
        .send(strict(), 200)
        .lose_sessions()
        .send_bad_token(strict(), "the session is not known", "unknown_session")
        .send(me("{access}"), 200)
}

/// The gate admits strangers, and refuses bad tokens.
#[must_use]
pub fn an_optional_gate_refuses_bad_tokens() -> Scenario {
    let maybe = || Request::get("/maybe");
    Scenario::new("an_optional_gate_refuses_bad_tokens")
        .logged_in("alice")
        .send(maybe(), 200)
        .json("/subject", serde_json::Value::Null)
        .send(maybe().bearer("{access}"), 200)
        .json("/subject", "alice")
        .send_bad_token(
            maybe().bearer("a.b.c"),
            "the token is malformed",
            "malformed",
        )
        .send_ambiguous(maybe().bearer("{access}").bearer("{access}"))
        .send(logout("{access}"), 204)
        .send_bad_token(
            maybe().bearer("{access}"),
            "the token has been revoked",
            "revoked",
        )
}

/// A handler without a gate never runs.
#[must_use]
pub fn a_missing_gate_is_a_loud_500() -> Scenario {
    Scenario::new("a_missing_gate_is_a_loud_500")
        .over(Transport::Both)
        .logged_in("alice")
        .send(Request::get("/unguarded"), 500)
        .json("/error", "server_error")
        .json("/reason", "internal")
        .no_header("www-authenticate")
        .send(Request::get("/unguarded").bearer("{access}"), 500)
        // The answer doesn't clear cookies either.
        .send(
            Request::get("/unguarded").cookies("__Host-gatepass={access}"),
            500,
        )
        .send(
            Request::get("/unguarded").cookies("__Host-gatepass=forged"),
            500,
        )
}

/// The application answers 404 and 405 to strangers as well. Its routes are no secret, and a client
/// with a wrong method learns of that first.
#[must_use]
pub fn a_path_and_a_method_come_before_the_gate() -> Scenario {
    let scenario = Scenario::new("a_path_and_a_method_come_before_the_gate").logged_in("alice");
    let scenario = [Request::get("/me/more"), Request::get("/nobody")]
        .into_iter()
        .fold(scenario, |scenario, request| {
            let stranger = scenario
                .send(request.clone(), 404)
                .no_header("www-authenticate");
            stranger.send(request.bearer("{access}"), 404)
        });
    [
        ("PUT", "/me", "GET, HEAD, DELETE"),
        ("POST", "/me/password", "PUT"),
        ("POST", "/strict", "GET, HEAD"),
        ("GET", "/profile", "POST"),
        ("DELETE", "/transfer", "POST"),
        ("POST", "/maybe", "GET, HEAD"),
    ]
    .into_iter()
    .fold(scenario, |scenario, (method, path, allowed)| {
        let request = || Request::method(method, path);
        scenario
            .send(request(), 405)
            .no_header("www-authenticate")
            .allows(allowed)
            .send(request().bearer("{access}"), 405)
            .allows(allowed)
            .send(request().bearer("forged"), 405)
            .allows(allowed)
    })
}

/// `OPTIONS` without a preflight's headers is a method that no route has.
#[must_use]
pub fn a_guarded_route_answers_options_as_a_method_that_it_does_not_have() -> Scenario {
    let options = |path: &str| Request::method("OPTIONS", path);
    let name = "a_guarded_route_answers_options_as_a_method_that_it_does_not_have";
    let scenario = Scenario::new(name).logged_in("alice");
    let scenario = [
        ("/me", "GET, HEAD, DELETE"),
        ("/me/password", "PUT"),
        ("/profile", "POST"),
        ("/admin", "GET, HEAD"),
        ("/maybe", "GET, HEAD"),
    ]
    .into_iter()
    .fold(scenario, |scenario, (path, allowed)| {
        let senders = [
            options(path),
            options(path).bearer("{access}"),
            options(path).bearer("forged"),
            // `G T` is not a method, so this is no preflight.
            options(path).header("access-control-request-method", "G T"),
        ];
        senders.into_iter().fold(scenario, |scenario, request| {
            scenario
                .send(request, 405)
                .no_header("www-authenticate")
                .allows(allowed)
        })
    });
    scenario.send(options("/nobody"), 404)
}

/// Endpoints and routes answer it in the same way.
#[must_use]
pub fn an_endpoint_answers_options_as_a_method_that_it_does_not_have() -> Scenario {
    let options = |path: &str| Request::method("OPTIONS", path);
    let name = "an_endpoint_answers_options_as_a_method_that_it_does_not_have";
    let scenario = Scenario::new(name).logged_in("alice");
    let scenario = [
        ("/auth/login", "POST"),
        ("/auth/logout", "POST"),
        ("/auth/sessions", "GET, HEAD, DELETE"),
        ("/auth/sessions/AAAAAAAAAAAAAAAAAAAAAAAA", "DELETE"),
        ("/auth/token", "POST"),
        ("/.well-known/jwks.json", "GET, HEAD"),
    ]
    .into_iter()
    .fold(scenario, |scenario, (path, allowed)| {
        scenario
            .send_bad_request(options(path), 405, "method_not_allowed")
            .header("allow", allowed)
            .send(options(path).bearer("{access}"), 405)
            .header("allow", allowed)
    });
    scenario.send(options("/auth/unknown"), 404)
}

/// RFC 9110 §9.3.2 defines `HEAD`.
#[must_use]
pub fn a_guarded_route_answers_head_as_get() -> Scenario {
    Scenario::new("a_guarded_route_answers_head_as_get")
        .logged_in("alice")
        .send(Request::method("HEAD", "/me").bearer("{access}"), 200)
        .header("content-type", "application/json")
        .empty()
        .send(Request::method("HEAD", "/me"), 401)
        .header("www-authenticate", REALM)
        .empty()
        .send(Request::method("HEAD", "/admin").bearer("{access}"), 403)
        .empty()
        .send(Request::method("HEAD", "/maybe"), 200)
        .empty()
}

/// A refusal doesn't disturb later requests on the connection.
#[must_use]
pub fn a_refused_connection_can_be_used_again() -> Scenario {
    Scenario::new("a_refused_connection_can_be_used_again")
        .logged_in("alice")
        .send(me("a.b.c"), 401)
        .send(me("{access}"), 200)
        .send(Request::post("/profile").body("x".repeat(1000)), 401)
        .send(me("{access}"), 200)
        .send(Request::post("/auth/login").body("not json"), 415)
        .send(me("{access}"), 200)
}

/// The field `Allow` names them (RFC 9110 §15.5.6).
#[must_use]
pub fn wrong_methods_are_told_the_right_ones() -> Scenario {
    let cases = [
        ("GET", "/auth/login", "POST"),
        ("PUT", "/auth/login", "POST"),
        ("HEAD", "/auth/login", "POST"),
        ("DELETE", "/auth/logout", "POST"),
        ("PATCH", "/auth/logout-all", "POST"),
        ("POST", "/auth/sessions", "GET, HEAD, DELETE"),
        ("GET", "/auth/sessions/AAAAAAAAAAAAAAAAAAAAAAAA", "DELETE"),
    ];
    cases.into_iter().fold(
        Scenario::new("wrong_methods_are_told_the_right_ones"),
        |scenario, (method, path, allowed)| {
            scenario
                .send(Request::method(method, path), 405)
                .header("allow", allowed)
        },
    )
}

/// gatepass mounts no other path.
#[must_use]
pub fn an_unknown_endpoint_is_not_found() -> Scenario {
    let unknown = [
        "/auth",
        "/auth/",
        "/auth/unknown",
        "/auth/login/",
        "/auth/login/x",
        "/auth/sessions/a/b",
    ];
    unknown.into_iter().fold(
        Scenario::new("an_unknown_endpoint_is_not_found"),
        |scenario, path| scenario.send(Request::get(path), 404),
    )
}

/// The answer has the status and headers of the `GET`, and no body.
#[must_use]
pub fn a_head_request_gets_the_head_of_a_get() -> Scenario {
    let head = || Request::method("HEAD", "/auth/sessions");
    Scenario::new("a_head_request_gets_the_head_of_a_get")
        .logged_in("alice")
        .send(head().bearer("{access}"), 200)
        .header("content-type", "application/json")
        .empty()
        .send(head(), 401)
        .header("www-authenticate", REALM)
        .empty()
}

/// The server reads a body as JSON only if the request declares it as JSON.
#[must_use]
pub fn media_types_are_checked() -> Scenario {
    let body = r#"{"username":"alice","password":"alice's password"}"#;
    let with = |content_type: &str| {
        Request::post("/auth/login")
            .header("content-type", content_type)
            .body(body)
    };
    let form = "application/x-www-form-urlencoded";
    let twice = with("application/json").header("content-type", "application/json");
    Scenario::new("media_types_are_checked")
        .send(with("application/json"), 200)
        .send(with("APPLICATION/json ; charset=utf-8"), 200)
        .send_bad_request(
            Request::post("/auth/login").body(body),
            415,
            "unsupported_media_type",
        )
        .send_bad_request(with("text/json"), 415, "unsupported_media_type")
        .send_bad_request(with(form), 415, "unsupported_media_type")
        .send_bad_request(with("application/jsonp"), 415, "unsupported_media_type")
        .send_bad_request(twice, 415, "unsupported_media_type")
}

/// The body is broken, has a member twice, is nested too deeply, or is no object.
#[must_use]
pub fn bodies_that_are_not_one_json_object_are_refused() -> Scenario {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "\"text\"",
        "{}{}",
        "{} x",
        "{\"a\":1,\"a\":2}",
        "\u{feff}{}",
        "\0",
        &deep,
    ];
    bodies.into_iter().fold(
        Scenario::new("bodies_that_are_not_one_json_object_are_refused"),
        |scenario, body| {
            let json = Request::post("/auth/login").header("content-type", "application/json");
            scenario.send_bad_request(json.body(body), 400, "body_unparseable")
        },
    )
}

/// The limit is 16 KiB in every framework.
#[must_use]
pub fn bodies_that_are_too_long_are_refused() -> Scenario {
    let of_size = |size: usize| {
        let start = r#"{"username":"alice","password":"alice's password","more":""#;
        let body = format!("{start}{}\"}}", "x".repeat(size - start.len() - 2));
        Request::post("/auth/login")
            .header("content-type", "application/json")
            .body(body)
    };
    Scenario::new("bodies_that_are_too_long_are_refused")
        .send(of_size(16 * 1024), 200)
        .send_bad_request(of_size(16 * 1024 + 1), 413, "body_too_large")
        .send_bad_request(of_size(200_000), 413, "body_too_large")
}

/// An unauthenticated request with a broken body gets the answer of an unauthenticated one.
#[must_use]
pub fn authentication_is_judged_before_the_body() -> Scenario {
    let all = || Request::post("/auth/logout-all");
    let too_long = "x".repeat(20_000);
    Scenario::new("authentication_is_judged_before_the_body")
        .logged_in("alice")
        .send_anonymous(all().body("{"))
        .send_anonymous(all().body(too_long.as_str()))
        .send_bad_token(
            Request::post("/auth/logout")
                .bearer("a.b.c")
                .body(too_long.as_str()),
            "the token is malformed",
            "malformed",
        )
        .send(
            all().bearer("{access}").json(&json!({ "ignored": true })),
            204,
        )
}

/// Every answer about a user has `Cache-Control: no-store`.
#[must_use]
pub fn answers_with_tokens_or_sessions_are_not_kept() -> Scenario {
    let kept = |scenario: Scenario| scenario.header("cache-control", "no-store");
    let scenario = Scenario::new("answers_with_tokens_or_sessions_are_not_kept").logged_in("alice");
    let scenario = kept(scenario.send(login("bob", "bob's password"), 200));
    let scenario = kept(scenario.send(refresh("{refresh}"), 200));
    let scenario = kept(scenario.send(Request::get("/auth/sessions").bearer("{access}"), 200));
    kept(scenario.send(logout("{access}"), 204))
}
