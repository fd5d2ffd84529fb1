//! Scenarios of OAuth clients, their authentication and their tokens (RFC 6749 §2).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    CLIENTS, Request, Scenario,
    wording::{OAUTH, REALM, me, password, refresh, refreshing, revoke, token},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A raw header, since [`Request::basic`] would encode it well.
fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// It sends `client_id`, or HTTP Basic without a secret, as some libraries do (RFC 6749 §3.2.1).
#[must_use]
pub fn a_public_client_names_itself() -> Scenario {
    let [a, b, c] = password("alice", "alice's password");
    let id = ("client_id", "desktop");
    Scenario::new("a_public_client_names_itself")
        .send(token(&[a, b, c, id]), 200)
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(me("{access}"), 200)
        .send(
            token(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", "{refresh}"),
                id,
            ]),
            200,
        )
        .keep("/refresh_token", "refresh")
        .send(token(&refreshing("{refresh}")).basic("desktop", ""), 200)
        .keep("/refresh_token", "refresh")
        .send(
            Request::post("/auth/revoke").form(&[("token", "{refresh}"), id]),
            200,
        )
        .send_refused(
            token(&refreshing("{refresh}")).basic("desktop", ""),
            "invalid_grant",
            "session_ended",
        )
}

/// It names no client, sends its own id, or sends HTTP Basic with an empty id and password, as
/// Swagger UI does.
#[must_use]
pub fn a_client_that_names_nobody_is_the_applications_own() -> Scenario {
    let [a, b] = refreshing("{refresh}");
    let ways = [
        token(&[a, b]),
        token(&[a, b, ("client_id", "default")]),
        token(&[a, b, ("client_id", "")]),
        token(&[a, b]).basic("default", ""),
        token(&[a, b]).header("authorization", basic(":")),
        token(&[a, b, ("client_id", "default")]).header("authorization", basic(":")),
    ];
    let scenario =
        Scenario::new("a_client_that_names_nobody_is_the_applications_own").logged_in("alice");
    ways.into_iter().fold(scenario, |scenario, way| {
        scenario.send(way, 200).keep("/refresh_token", "refresh")
    })
}

/// The secret is encoded as RFC 6749 §2.3.1 requires, encoded more than that, or not at all.
#[must_use]
pub fn a_confidential_client_shows_its_secret_by_basic_or_in_the_body() -> Scenario {
    let [(gateway, secret), (backend, other), _] = CLIENTS;
    let (secret, other) = (secret.unwrap_or_default(), other.unwrap_or_default());
    let revoked = |parameters: &[(&str, &str)]| {
        Request::post("/auth/revoke").form(&[&[("token", "x")], parameters].concat())
    };
    let authorized = |value: String| revoked(&[]).header("authorization", value);
    let encoded =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let raw = basic(&format!("{gateway}:{secret}"));
    let ways = [
        revoked(&[]).basic(gateway, secret),
        revoked(&[]).basic(backend, other),
        revoked(&[("client_id", gateway)]).basic(gateway, secret),
        revoked(&[("client_id", gateway), ("client_secret", secret)]),
        revoked(&[("client_id", backend), ("client_secret", other)]),
        authorized(raw.clone()),
        authorized(raw.replacen("Basic", "bAsIc ", 1)),
        authorized(basic(&format!("{}:{}", encoded(gateway), encoded(secret)))),
        authorized(basic("gateway:the+gateway%27s+secret%3A+100%252D%2Brandom")),
        authorized(basic("backend:the%2Dbackend%27s%2Dsecret")),
        authorized(basic("backend:the-backend's-secret")),
    ];
    let scenario = Scenario::new("a_confidential_client_shows_its_secret_by_basic_or_in_the_body");
    ways.into_iter()
        .fold(scenario, |scenario, way| scenario.send(way, 200).empty())
}

/// The client is unknown, or its secret is wrong, missing or not allowed. The request changes
/// nothing.
#[must_use]
pub fn a_client_that_does_not_prove_itself_is_refused() -> Scenario {
    let [(gateway, secret), (_, other), _] = CLIENTS;
    let (secret, other) = (secret.unwrap_or_default(), other.unwrap_or_default());
    let pairs = [
        ("nobody", ""),
        ("nobody", secret),
        (gateway, ""),
        (gateway, other),
        (gateway, "the gateway's secret: 100%2D+randoM"),
        (gateway, &secret[1..]),
        ("Gateway", secret),
        ("", secret),
        ("desktop", secret),
        ("default", "a secret"),
    ];
    let scenario = Scenario::new("a_client_that_does_not_prove_itself_is_refused")
        .logged_in("alice")
        .logged_in_by_gateway("gateway_access", "gateway_refresh");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "{gateway_refresh}"),
        ("token", "{gateway_refresh}"),
    ];
    let scenario = OAUTH.into_iter().fold(scenario, |scenario, path| {
        pairs.into_iter().fold(scenario, |scenario, (id, secret)| {
            let in_body = [&form[..], &[("client_id", id), ("client_secret", secret)]].concat();
            scenario
                .send_bad_client(Request::post(path).form(&form).basic(id, secret))
                .send_bad_client(Request::post(path).form(&in_body))
        })
    });
    scenario
        .pass(2 * MINUTE)
        .lives("{access}", "{refresh}")
        .gateway_lives()
}

/// An `Authorization` other than HTTP Basic belongs to no client. The rest of the request doesn't
/// change that.
#[must_use]
pub fn an_authorization_that_is_no_clients_is_refused() -> Scenario {
    let bad = [
        "Bearer {access}".to_owned(),
        "Digest username=\"gateway\"".to_owned(),
        "Basic".to_owned(),
        "Basic !".to_owned(),
        "Basic Z2F0ZXdheQ==".to_owned(),
        basic("desktop:").trim_end_matches('=').to_owned() + "==",
        format!("{} x", basic("desktop:")),
        "gateway".to_owned(),
    ];
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "{refresh}"),
        ("token", "{refresh}"),
    ];
    let scenario =
        Scenario::new("an_authorization_that_is_no_clients_is_refused").logged_in("alice");
    let scenario = OAUTH.into_iter().fold(scenario, |scenario, path| {
        bad.iter().fold(scenario, |scenario, value| {
            let request = Request::post(path).form(&form);
            let broken = Request::post(path).body("x");
            scenario
                .send_bad_client(request.header("authorization", value.as_str()))
                // The server checks the client before the body.
                .send_bad_client(broken.header("authorization", value.as_str()))
        })
    });
    scenario.pass(2 * MINUTE).lives("{access}", "{refresh}")
}

/// A client authenticates in one way, as one client (RFC 6749 §2.3 and §5.2).
#[must_use]
pub fn a_client_that_authenticates_twice_is_refused() -> Scenario {
    let [(gateway, secret), _, _] = CLIENTS;
    let secret = secret.unwrap_or_default();
    let scenario = Scenario::new("a_client_that_authenticates_twice_is_refused")
        .logged_in_by_gateway("gateway_access", "gateway_refresh");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "{gateway_refresh}"),
        ("token", "{gateway_refresh}"),
    ];
    let scenario = OAUTH.into_iter().fold(scenario, |scenario, path| {
        let with = |more: &[(&str, &str)]| {
            Request::post(path)
                .form(&[&form[..], more].concat())
                .by_gateway()
        };
        let twice = [
            with(&[("client_id", gateway), ("client_secret", secret)]),
            with(&[("client_secret", secret)]),
            with(&[("client_id", "backend")]),
            with(&[("client_id", "default")]),
            with(&[]).by_gateway(),
            with(&[]).by_backend(),
            with(&[]).bearer("{gateway_access}"),
        ];
        twice.into_iter().fold(scenario, |scenario, request| {
            scenario.send_refused(request, "invalid_request", "ambiguous")
        })
    });
    scenario.pass(2 * MINUTE).gateway_lives()
}

/// Another client neither spends nor ends them (RFC 6749 §6, RFC 7009 §2.1).
#[must_use]
pub fn tokens_of_a_client_are_refused_to_others() -> Scenario {
    let refreshed = || token(&refreshing("{gateway_refresh}"));
    let [a, b] = refreshing("{gateway_refresh}");
    let id = ("client_id", "desktop");
    let named = |token| Request::post("/auth/revoke").form(&[("token", token), id]);
    let scenario = Scenario::new("tokens_of_a_client_are_refused_to_others")
        .logged_in("alice")
        .logged_in_by_gateway("gateway_access", "gateway_refresh");
    let attempts = [
        refreshed(),
        refreshed().by_backend(),
        token(&[a, b, id]),
        token(&refreshing("{refresh}")).by_gateway(),
        revoke("{gateway_refresh}"),
        revoke("{gateway_refresh}").by_backend(),
        named("{gateway_refresh}"),
        revoke("{gateway_access}"),
        revoke("{gateway_access}").by_backend(),
        named("{gateway_access}"),
        revoke("{refresh}").by_gateway(),
        revoke("{access}").by_gateway(),
    ];
    let scenario = attempts.into_iter().fold(scenario, |scenario, attempt| {
        scenario.send_refused(attempt, "invalid_grant", "wrong_client")
    });
    scenario
        .pass(2 * MINUTE)
        .lives("{access}", "{refresh}")
        .gateway_lives()
}

/// These endpoints serve the application's own client. They refuse good and expired access tokens
/// of other clients.
#[must_use]
pub fn tokens_of_a_client_are_refused_by_the_applications_own_endpoints() -> Scenario {
    let resume = || {
        Request::post("/auth/resume")
            .bearer("{gateway_access}")
            .json(&json!({ "refresh_token": "{gateway_refresh}" }))
    };
    let reauthenticate = |password: &str| {
        Request::post("/auth/reauthenticate")
            .bearer("{gateway_access}")
            .json(&json!({ "password": password }))
    };
    Scenario::new("tokens_of_a_client_are_refused_by_the_applications_own_endpoints")
        .logged_in_by_gateway("gateway_access", "gateway_refresh")
        .send_bad_grant(refresh("{gateway_refresh}"), "wrong_client")
        .send_bad_grant(resume(), "wrong_client")
        .send_bad_grant(reauthenticate("alice's password"), "wrong_client")
        .send_bad_grant(reauthenticate("a guess"), "wrong_client")
        .send(Request::post("/auth/renew").bearer("{gateway_access}"), 401)
        .header(
            "www-authenticate",
            format!(
                r#"{REALM}, error="invalid_token", error_description="the token belongs to another client""#
            ),
        )
        .json("/reason", "wrong_client")
        .send(me("{gateway_access}"), 200)
        .pass(16 * MINUTE)
        .send_bad_grant(resume(), "wrong_client")
        .send(token(&refreshing("{gateway_refresh}")).by_gateway(), 200)
        .keep("/access_token", "gateway_access")
        .keep("/refresh_token", "gateway_refresh")
        .pass(2 * MINUTE)
        .gateway_lives()
}

impl Scenario {
    /// The tokens of the gateway's session work. This spends the refresh token.
    fn gateway_lives(self) -> Self {
        self.send(me("{gateway_access}"), 200)
            .send(token(&refreshing("{gateway_refresh}")).by_gateway(), 200)
            .keep("/refresh_token", "next")
            .pass(2 * MINUTE)
            .send(token(&refreshing("{next}")).by_gateway(), 200)
    }
}
