//! API keys beside sessions: programs send `X-Api-Key`, users a bearer token, and handlers don't
//! care. `cargo run -p example-recipes --bin api_keys`, then `curl localhost:3000/orders -H
//! 'X-Api-Key: shop_3fKq9'`.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::request::Parts,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use gatepass_axum::{
    Auth, AuthRejection, AuthState, Authority, GateLayer, Identity, MasterSecret, MemoryStore,
    Refusal, Requirements, Scopes, auth_request,
};

/// The name under which gatepass knows the keys.
const KEYS: &str = "api-key";

/// The owner of a key, from your database. Keep hashes of keys there (SHA-256), and compare those.
fn owner_of(key: &str) -> Option<Identity> {
    let scopes = Scopes::parse("orders:read").ok()?;
    (key == "shop_3fKq9").then(|| Some(Identity::new("warehouse").ok()?.scopes(scopes)))?
}

/// The request of the owner of a key.
fn admit(parts: &Parts, key: &str) -> Result<AuthState, AuthRejection> {
    let request = auth_request(parts)?;
    let owner = owner_of(key).ok_or_else(|| request.rejection(Refusal::Revoked))?;
    Ok(request.authenticated(KEYS, &owner, Duration::from_secs(60))?)
}

/// Admits the owners of keys. A request without a key goes on as the gate has judged it.
async fn api_keys(request: Request, next: Next) -> Result<Response, AuthRejection> {
    let (mut parts, body) = request.into_parts();
    let key = parts.headers.get("x-api-key");
    if let Some(key) = key.and_then(|key| key.to_str().ok()) {
        let state = admit(&parts, key)?;
        parts.extensions.insert(state);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn orders(Auth(pass): Auth) -> String {
    let by = match pass.foreign_issuer().map(|issuer| issuer.as_str()) {
        Some(KEYS) => "a key",
        _ => "a session",
    };
    format!("orders for {} by {by}", pass.subject())
}

fn app(authority: &Authority) -> Router {
    let optional = GateLayer::new(authority).require(Requirements::new().optional());
    Router::new()
        .route("/orders", get(orders))
        .route_layer(from_fn(api_keys))
        .route_layer(optional) // the last layer runs first
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(service: &TestService, name: &str, value: &str) -> (u16, String) {
        let request = Request::get("/orders")
            .header(name, value)
            .body(Body::empty());
        let response = app(service.authority())
            .oneshot(request.unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_key_and_a_session_open_the_same_route() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").await;
        let by_session = ask(&service, "authorization", alice.bearer()).await;
        assert_eq!(
            by_session,
            (200, "orders for alice by a session".to_owned())
        );
        let by_key = ask(&service, "x-api-key", "shop_3fKq9").await;
        assert_eq!(by_key, (200, "orders for warehouse by a key".to_owned()));
        assert_eq!(ask(&service, "x-api-key", "shop_guess").await.0, 401);
    }
}
