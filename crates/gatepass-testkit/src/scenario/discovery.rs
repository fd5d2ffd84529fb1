//! Scenarios of public documents: keys and metadata (RFC 7517, RFC 8414).

use serde_json::json;

use super::{Request, Scenario};

const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The application signs with a secret, which no client may get.
#[must_use]
pub fn secret_keys_are_not_published() -> Scenario {
    Scenario::new("secret_keys_are_not_published")
        .send(Request::get(JWKS), 200)
        .header("content-type", "application/json")
        .json("", json!({ "keys": [] }))
}

/// It lists all of the application's features, and no other.
#[must_use]
pub fn the_metadata_lists_what_there_is() -> Scenario {
    let by_secret = ["client_secret_basic", "client_secret_post"];
    let any = ["none", "client_secret_basic", "client_secret_post"];
    Scenario::new("the_metadata_lists_what_there_is")
        .send(Request::get(METADATA), 200)
        .header("content-type", "application/json")
        .json(
            "",
            json!({
                "issuer": "https://issuer.test",
                "token_endpoint": "https://issuer.test/auth/token",
                "token_endpoint_auth_methods_supported": any,
                "revocation_endpoint": "https://issuer.test/auth/revoke",
                "revocation_endpoint_auth_methods_supported": any,
                "introspection_endpoint": "https://issuer.test/auth/introspect",
                "introspection_endpoint_auth_methods_supported": by_secret,
                "jwks_uri": "https://issuer.test/.well-known/jwks.json",
                "grant_types_supported": ["refresh_token", "password"],
                "response_types_supported": [],
            }),
        )
}

/// Clients keep them for some minutes, and then get them again only if they have changed (RFC 9110
/// §8.8.3 and §13.1.2, RFC 9111).
#[must_use]
pub fn public_documents_are_kept_and_asked_for_again() -> Scenario {
    let scenario = Scenario::new("public_documents_are_kept_and_asked_for_again");
    [JWKS, METADATA]
        .into_iter()
        .fold(scenario, |scenario, path| {
            let asked = |method, tags: &'static str| {
                Request::method(method, path).header("if-none-match", tags)
            };
            let of_tag = |scenario: Scenario| {
                scenario
                    .keep_header("etag", "same")
                    .header("cache-control", "public, max-age=300")
                    .header("access-control-allow-origin", "*")
                    .no_header("pragma")
            };
            let known = |scenario: Scenario, request| {
                let scenario = scenario.send(request, 304).empty();
                scenario
                    .header("cache-control", "public, max-age=300")
                    .keep_header("etag", "again")
            };
            let scenario = of_tag(scenario.send(Request::get(path), 200));
            let scenario = known(scenario, asked("GET", "{same}"));
            let scenario = known(scenario, asked("GET", "{again}"));
            let scenario = known(scenario, asked("GET", "W/{same}"));
            let scenario = known(scenario, asked("GET", "\"x\", {same}"));
            let scenario = known(scenario, asked("GET", "*"));
            let scenario = known(scenario, asked("HEAD", "{same}"));
            let scenario = of_tag(scenario.send(asked("GET", "\"x\""), 200));
            of_tag(scenario.send(Request::method("HEAD", path), 200)).empty()
        })
}
