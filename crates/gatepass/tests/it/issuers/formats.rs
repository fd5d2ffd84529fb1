//! Tokens in the form of the usual products. Their members are those that the products document, in
//! the same order, and signed by keys of the tests.

use gatepass::Clock;
use serde_json::{Value, json};

use super::*;

/// A product: how it is trusted, where its keys are, and a token of it.
struct Product {
    name: &'static str,
    trusted: TrustedIssuer,
    metadata: Option<(&'static str, &'static str)>,
    jwks: &'static str,
    /// The members of its JWKs beside those of the key.
    jwk: Value,
    header: Value,
    claims: Value,
    subject: &'static str,
    client: Option<&'static str>,
    scopes: &'static str,
}

const TENANT: &str = "8f2cb5a8-4b3e-4d44-9f6d-2f5ab1a1c0de";
const V2_KEYS: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
const KID: &str = "Xq4rk-1_zTgY=";

fn products(now: i64) -> Vec<Product> {
    vec![
        auth0(now),
        auth0_at_jwt(now),
        keycloak(now),
        okta(now),
        entra_v1(now),
        entra_v2(now),
        entra_app(now),
        cognito(now),
    ]
}

fn auth0(now: i64) -> Product {
    Product {
        name: "Auth0",
        trusted: TrustedIssuer::new("https://example.eu.auth0.com/", "https://api.shop.example"),
        metadata: Some((
            "https://example.eu.auth0.com/.well-known/openid-configuration",
            "https://example.eu.auth0.com/",
        )),
        jwks: "https://example.eu.auth0.com/.well-known/jwks.json",
        jwk: json!({ "alg": "RS256", "use": "sig", "x5t": "Xq4rk", "x5c": ["MIID"] }),
        header: json!({ "alg": "RS256", "typ": "JWT", "kid": KID }),
        claims: json!({
            "iss": "https://example.eu.auth0.com/",
            "sub": "auth0|65f1c0ffee0123456789abcd",
            "aud": ["https://api.shop.example", "https://example.eu.auth0.com/userinfo"],
            "iat": now,
            "exp": now + 86_400,
            "scope": "openid profile email orders:read",
            "azp": "tLAwz0kXqGJdXyZ0123456789abcdefg",
            "permissions": ["orders:read"],
        }),
        subject: "auth0|65f1c0ffee0123456789abcd",
        client: Some("tLAwz0kXqGJdXyZ0123456789abcdefg"),
        scopes: "email openid orders:read profile",
    }
}

/// The profile of RFC 9068, which Auth0 has as an option of an API.
fn auth0_at_jwt(now: i64) -> Product {
    Product {
        name: "Auth0, RFC 9068",
        header: json!({ "alg": "RS256", "typ": "at+jwt", "kid": KID }),
        claims: json!({
            "iss": "https://example.eu.auth0.com/",
            "sub": "auth0|65f1c0ffee0123456789abcd",
            "aud": "https://api.shop.example",
            "iat": now,
            "exp": now + 86_400,
            "jti": "qHVnYkzrPPf3DSyGfaQzqM",
            "client_id": "tLAwz0kXqGJdXyZ0123456789abcdefg",
            "scope": "orders:read",
        }),
        scopes: "orders:read",
        ..auth0(now)
    }
}

fn keycloak(now: i64) -> Product {
    Product {
        name: "Keycloak",
        trusted: TrustedIssuer::new("https://sso.example/realms/shop", "shop-api"),
        metadata: Some((
            "https://sso.example/realms/shop/.well-known/openid-configuration",
            "https://sso.example/realms/shop",
        )),
        jwks: "https://sso.example/realms/shop/protocol/openid-connect/certs",
        jwk: json!({ "alg": "RS256", "use": "sig", "x5c": ["MIIC"], "x5t": "t", "x5t#S256": "u" }),
        header: json!({ "alg": "RS256", "typ": "JWT", "kid": KID }),
        claims: json!({
            "exp": now + 300,
            "iat": now,
            "auth_time": now - 10,
            "jti": "onrtac:2b2b3c4d-5e6f-7081-92a3-b4c5d6e7f809",
            "iss": "https://sso.example/realms/shop",
            "aud": ["shop-api", "account"],
            "sub": "f:3c9e1c1e-0000-4f6f-9c6d-5a7c0e8c2b11:alice",
            "typ": "Bearer",
            "azp": "shop-web",
            "sid": "0d7a9a5e-12e3-4b5c-8d9e-0f1a2b3c4d5e",
            "acr": "1",
            "allowed-origins": ["https://shop.example"],
            "realm_access": { "roles": ["offline_access", "default-roles-shop"] },
            "resource_access": { "shop-api": { "roles": ["buyer"] } },
            "scope": "openid email profile",
            "email_verified": true,
            "name": "Alice Example",
            "preferred_username": "alice",
            "email": "alice@example.com",
        }),
        subject: "f:3c9e1c1e-0000-4f6f-9c6d-5a7c0e8c2b11:alice",
        client: Some("shop-web"),
        scopes: "email openid profile",
    }
}

fn okta(now: i64) -> Product {
    Product {
        name: "Okta",
        trusted: TrustedIssuer::new("https://example.okta.com/oauth2/default", "api://default"),
        metadata: Some((
            "https://example.okta.com/oauth2/default/.well-known/openid-configuration",
            "https://example.okta.com/oauth2/default",
        )),
        jwks: "https://example.okta.com/oauth2/default/v1/keys",
        jwk: json!({ "alg": "RS256", "use": "sig" }),
        // Okta writes no type.
        header: json!({ "kid": KID, "alg": "RS256" }),
        claims: json!({
            "ver": 1,
            "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "iss": "https://example.okta.com/oauth2/default",
            "aud": "api://default",
            "sub": "alice@example.com",
            "iat": now,
            "exp": now + 3600,
            "cid": "0oajiqIRNXPPJBNZMGYL",
            "uid": "00ujmkLgagxeRrAg20g3",
            "scp": ["openid", "orders.read"],
            "auth_time": now - 60,
        }),
        subject: "alice@example.com",
        client: Some("0oajiqIRNXPPJBNZMGYL"),
        scopes: "openid orders.read",
    }
}

fn entra_v1(now: i64) -> Product {
    Product {
        name: "Entra, v1",
        trusted: TrustedIssuer::new("https://sts.windows.net/{tenantid}/", "api://shop")
            .jwks_url(V2_KEYS)
            .tenants([TENANT]),
        metadata: None,
        jwks: V2_KEYS,
        // No `alg`.
        jwk: json!({ "use": "sig", "x5t": KID, "x5c": ["MIIC"], "cloud_instance_name": "microsoftonline.com" }),
        header: json!({ "typ": "JWT", "alg": "RS256", "x5t": KID, "kid": KID }),
        claims: json!({
            "aud": "api://shop",
            "iss": format!("https://sts.windows.net/{TENANT}/"),
            "iat": now,
            "nbf": now,
            "exp": now + 4500,
            "acr": "1",
            "aio": "AXQAi/8TAAAA",
            "amr": ["pwd"],
            "appid": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
            "appidacr": "0",
            "ipaddr": "192.0.2.7",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "rh": "I",
            "scp": "access_as_user",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": TENANT,
            "unique_name": "alice@example.com",
            "uti": "fqiBqXLPj0eQa82S-IYFAA",
            "ver": "1.0",
        }),
        subject: "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        client: Some("6e74172b-be56-4843-9ff4-e66a39bb12e3"),
        scopes: "access_as_user",
    }
}

fn entra_v2(now: i64) -> Product {
    Product {
        name: "Entra, v2",
        trusted: TrustedIssuer::new(
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "6e74172b-be56-4843-9ff4-e66a39bb12e3",
        )
        .jwks_url(V2_KEYS)
        .tenants(["0d4c7a52-63d1-4e6f-8c5e-1a2b3c4d5e6f", TENANT]),
        claims: json!({
            "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
            "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            "iat": now,
            "nbf": now,
            "exp": now + 4500,
            "aio": "AXQAi/8IAAAA",
            "azp": "2d4d2bb6-0e4b-4d5b-9a0e-3b2f1c0d9e8f",
            "azpacr": "0",
            "name": "Alice Example",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "preferred_username": "alice@example.com",
            "rh": "I",
            "scp": "orders.read access_as_user",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": TENANT,
            "uti": "fqiBqXLPj0eQa82S-IYFAA",
            "ver": "2.0",
        }),
        header: json!({ "typ": "JWT", "alg": "RS256", "kid": KID }),
        client: Some("2d4d2bb6-0e4b-4d5b-9a0e-3b2f1c0d9e8f"),
        scopes: "access_as_user orders.read",
        ..entra_v1(now)
    }
}

/// A token that an application got for itself has roles in the place of scopes.
fn entra_app(now: i64) -> Product {
    let mut claims = entra_v2(now).claims;
    let members = claims.as_object_mut().unwrap();
    members.remove("scp");
    members.insert("roles".into(), json!(["Orders.Read.All"]));
    Product {
        name: "Entra, an application",
        claims,
        scopes: "",
        ..entra_v2(now)
    }
}

fn cognito(now: i64) -> Product {
    const POOL: &str = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI";
    Product {
        name: "Cognito",
        trusted: TrustedIssuer::of_clients(POOL, ["7fbp3mq2vh5kd0example"]),
        metadata: Some((
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI/.well-known/openid-configuration",
            POOL,
        )),
        jwks: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI/.well-known/jwks.json",
        jwk: json!({ "alg": "RS256", "use": "sig" }),
        header: json!({ "kid": KID, "alg": "RS256" }),
        claims: json!({
            "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "device_key": "eu-central-1_aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "cognito:groups": ["buyers"],
            "iss": POOL,
            "version": 2,
            "client_id": "7fbp3mq2vh5kd0example",
            "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeef",
            "event_id": "64f513be-32db-42b0-b78e-b02127b4f463",
            "token_use": "access",
            "scope": "aws.cognito.signin.user.admin shop/orders.read",
            "auth_time": now,
            "exp": now + 3600,
            "iat": now,
            "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeea",
            "username": "alice",
        }),
        subject: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        client: Some("7fbp3mq2vh5kd0example"),
        scopes: "aws.cognito.signin.user.admin shop/orders.read",
    }
}

/// A service that trusts this product alone, and a function that makes its tokens.
async fn trusting(product: &Product, clock: &ManualClock) -> (Verifier, impl Fn(&Value) -> String) {
    let forge = Forge::trusted(Algorithm::Rs256);
    let mut jwk: Value = serde_json::from_str(&forge.jwk()).unwrap();
    let members = jwk.as_object_mut().unwrap();
    members.remove("alg");
    members.insert("kid".into(), KID.into());
    members.extend(product.jwk.as_object().unwrap().clone());
    let for_encryption = json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "e", "n": "AQAB", "e": "AQAB" });
    let web = Web::default();
    web.publish(
        product.jwks,
        json!({ "keys": [for_encryption, jwk] }).to_string(),
    );
    if let Some((url, issuer)) = product.metadata {
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": product.jwks,
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        web.publish(url, metadata.to_string());
    }
    let issuers = Issuers::new(web).trust(product.trusted.clone());
    let verifier = Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new());
    let verifier = verifier.clock(clock.clone()).build().await.unwrap();
    let header = product.header.to_string();
    (verifier, move |claims: &Value| {
        forge.token(&header, claims.to_string())
    })
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_the_usual_products_are_accepted_with_all_they_say() {
    let clock = ManualClock::new();
    for product in products(clock.now().unix_secs()) {
        let (verifier, token) = trusting(&product, &clock).await;
        let (token, name) = (token(&product.claims), product.name);
        for _ in 0..2 {
            let verified = verifier.verify(&token, &Requirements::new()).await;
            let pass = verified.unwrap_or_else(|error| panic!("{name}: {error}"));
            let issuer = pass.foreign_issuer().unwrap().as_str();
            assert_eq!(Value::from(issuer), product.claims["iss"], "{name}");
            assert_eq!(pass.subject().as_str(), product.subject, "{name}");
            assert_eq!(
                pass.client_id().map(|one| one.as_str()),
                product.client,
                "{name}"
            );
            assert_eq!(pass.scopes().as_str(), product.scopes, "{name}");
            let auth_time = pass.authenticated_at().map(|time| time.unix_secs());
            assert_eq!(auth_time, product.claims["auth_time"].as_i64(), "{name}");
            let custom: Value = pass.claims().unwrap();
            for (member, value) in product.claims.as_object().unwrap() {
                let is_parsed = [
                    "iss",
                    "sub",
                    "aud",
                    "exp",
                    "nbf",
                    "iat",
                    "jti",
                    "scope",
                    "auth_time",
                ];
                let expected = (!is_parsed.contains(&member.as_str())).then_some(value);
                assert_eq!(custom.get(member), expected, "{name}: {member}");
            }
        }
    }
}

/// The ID token of each product, which the same key has signed.
#[tokio::test(start_paused = true)]
async fn their_id_tokens_are_refused() {
    let clock = ManualClock::new();
    for product in products(clock.now().unix_secs()) {
        let (verifier, token) = trusting(&product, &clock).await;
        let mut claims = product.claims.clone();
        let members = claims.as_object_mut().unwrap();
        for name in ["scope", "scp", "permissions", "azp"] {
            members.remove(name);
        }
        let expected = match product.name {
            "Keycloak" => {
                members.insert("typ".into(), "ID".into());
                members.insert("aud".into(), "shop-api".into());
                Refusal::WrongType
            }
            "Cognito" => {
                members.remove("client_id");
                members.insert("token_use".into(), "id".into());
                members.insert("aud".into(), "7fbp3mq2vh5kd0example".into());
                Refusal::WrongType
            }
            _ => {
                members.insert("aud".into(), "the-client-itself".into());
                Refusal::WrongAudience
            }
        };
        if product.header["typ"] == "at+jwt" {
            continue;
        }
        let verified = verifier.verify(&token(&claims), &Requirements::new()).await;
        match verified {
            Err(Error::Refused(refusal)) => assert_eq!(refusal, expected, "{}", product.name),
            other => panic!("{}: {other:?}", product.name),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_other_tenants_and_clients_are_refused() {
    let clock = ManualClock::new();
    let now = clock.now().unix_secs();
    let other = "11111111-2222-3333-4444-555555555555";
    for (product, change, value, expected) in [
        (
            entra_v2(now),
            "iss",
            format!("https://login.microsoftonline.com/{other}/v2.0"),
            Refusal::UnknownKey,
        ),
        (
            entra_v2(now),
            "iss",
            "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
            Refusal::UnknownKey,
        ),
        (
            entra_v2(now),
            "iss",
            format!("https://sts.windows.net/{TENANT}/"),
            Refusal::UnknownKey,
        ),
        (
            cognito(now),
            "client_id",
            "another".to_owned(),
            Refusal::WrongAudience,
        ),
        (
            cognito(now),
            "aud",
            "7fbp3mq2vh5kd0example".to_owned(),
            Refusal::WrongAudience,
        ),
    ] {
        let (verifier, token) = trusting(&product, &clock).await;
        let mut claims = product.claims.clone();
        claims[change] = value.clone().into();
        let verified = verifier.verify(&token(&claims), &Requirements::new()).await;
        match verified {
            Err(Error::Refused(refusal)) => assert_eq!(refusal, expected, "{value}"),
            other => panic!("{value}: {other:?}"),
        }
    }
}
