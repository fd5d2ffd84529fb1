//! A second service that only verifies. It has the public keys of the first, which logs users in,
//! and reads its log of revocations. It has no secret, and writes nothing.
//!
//! ```sh
//! openssl genpkey -algorithm ed25519 -out shop.pem
//! cargo run -p example-recipes --bin resource_server shop.pem
//! curl localhost:3000/auth/login -H "Content-Type: application/json" -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3001/report -H "Authorization: Bearer $access_token"
//! ```

use std::{env, error::Error, fs, future::IntoFuture};

use axum::{Router, routing::get};
use gatepass::{KeySet, Verifier, keys::SigningKey, store::RevocationLog};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};
use tokio::net::TcpListener;

const ISSUER: &str = "https://shop.example";
const AUDIENCE: &str = "shop";

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// The first service. It signs with a pair of keys, so that others can verify with the public one.
async fn shop(pem: &[u8], store: MemoryStore) -> Result<Authority, Box<dyn Error>> {
    let keys = KeySet::signing(SigningKey::from_any_pem(pem)?);
    let authority = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    Ok(authority.keys(keys).authenticator(login).build().await?)
}

/// The second service. `jwks` is what the first answers to `GET /.well-known/jwks.json`. In
/// production, `log` is `PostgresLog::connect(…)` as a role that can only read.
async fn reports(jwks: &str, log: impl RevocationLog) -> Result<Router, Box<dyn Error>> {
    let (keys, _skipped) = KeySet::from_jwks(jwks)?;
    let verifier = Verifier::builder(ISSUER, AUDIENCE, keys, log)
        .build()
        .await?;
    let report = get(async |Auth(pass): Auth| format!("the report for {}", pass.subject()));
    Ok(Router::new().route("/report", report.route_layer(GateLayer::new(verifier))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pem = env::args().nth(1).ok_or("name the file of a private key")?;
    // One process has both here, so that the second can read a store in memory.
    let store = MemoryStore::new();
    let shop = shop(&fs::read(pem)?, store.clone()).await?;
    let reports = reports(&shop.verifier().jwks(), store).await?;
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    tokio::spawn(axum::serve(listener, reports).into_future());
    example_recipes::serve(routes(Endpoints::new(shop))).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn send(app: &Router, request: Request<Body>) -> (u16, String) {
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn with_token(request: axum::http::request::Builder, token: &str) -> Request<Body> {
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn the_second_service_learns_of_logins_and_logouts_of_the_first() {
        let pem = include_bytes!("../../../../crates/gatepass/tests/keys/ed25519.pem");
        let store = MemoryStore::new();
        let shop = shop(pem, store.clone()).await.unwrap();
        let shop = routes(Endpoints::new(shop));
        let jwks = Request::get("/.well-known/jwks.json");
        let (_, jwks) = send(&shop, jwks.body(Body::empty()).unwrap()).await;
        assert!(!jwks.contains(r#""d""#), "no private key: {jwks}");
        let reports = reports(&jwks, store).await.unwrap();

        let login = Request::post("/auth/login").header("content-type", "application/json");
        let login = login.body(Body::from(
            r#"{"username":"alice","password":"wonderland"}"#,
        ));
        let (_, tokens) = send(&shop, login.unwrap()).await;
        let tokens: Value = serde_json::from_str(&tokens).unwrap();
        let token = tokens["access_token"].as_str().unwrap();
        let report = async || send(&reports, with_token(Request::get("/report"), token)).await;
        assert_eq!(report().await, (200, "the report for alice".to_owned()));

        let logout = with_token(Request::post("/auth/logout"), token);
        assert_eq!(send(&shop, logout).await.0, 204);
        let (status, body) = report().await;
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("revoked"), "{body}");
    }
}
