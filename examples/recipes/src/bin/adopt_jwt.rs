//! A move from hand-made JWTs (HS256, by the crate `jsonwebtoken`) that logs out no user: apps that
//! know nothing of gatepass go on until the date, and others exchange their token once. `cargo run
//! -p example-recipes --bin adopt_jwt`.

use std::error::Error;

use axum::{Router, routing::get};
use gatepass::{Adopt, OldToken, OldTokens, Timestamp};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Endpoints, GateLayer, Identity, MasterSecret,
    MemoryStore, Scopes, async_trait, routes,
};
use jsonwebtoken::{DecodingKey, Validation, decode};

/// The claims that the old service has written.
#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    iat: i64,
    exp: i64,
    roles: Vec<String>,
}

/// The tokens of the old service, which one secret has signed.
struct OldJwts(DecodingKey);

#[async_trait]
impl OldTokens for OldJwts {
    async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError> {
        // HS256 alone, `exp` is there and lies ahead: exactly as the old service has judged them.
        let Ok(jwt) = decode::<Claims>(token, &self.0, &Validation::default()) else {
            return Ok(None);
        };
        let Claims {
            sub,
            iat,
            exp,
            roles,
        } = jwt.claims;
        // Look here whether the user is still there, and give the rights that a login gives now.
        let identity = Identity::new(sub)?.scopes(Scopes::new(roles)?);
        let token = OldToken::new(identity).issued_at(Timestamp::from_unix_secs(iat));
        Ok(Some(token.expires_at(Timestamp::from_unix_secs(exp))))
    }
}

fn adopt(old_secret: &[u8], until: Timestamp) -> Result<Adopt, jsonwebtoken::errors::Error> {
    let old = OldJwts(DecodingKey::from_secret(old_secret)?);
    Ok(Adopt::new("old:jwt", until, old))
}

/// The endpoints have `POST /auth/adopt` for clients that are new enough to move.
fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority).adopt(authority);
    let me = async |Auth(pass): Auth| pass.subject().to_string();
    Router::new()
        .route("/me", get(me).route_layer(gate))
        .merge(routes(Endpoints::new(authority.clone())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let until = Timestamp::from_unix_secs(1_830_000_000); // a day in December 2027
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .adopt(adopt(b"the secret of the old service", until)?);
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass::Device;
    use gatepass_testkit::TestService;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;

    const OLD_SECRET: &[u8] = b"the secret of the old service";

    async fn status(service: &TestService, token: &str) -> u16 {
        let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        let response = app(service.authority()).oneshot(request).await.unwrap();
        response.status().as_u16()
    }

    #[tokio::test]
    async fn a_token_of_the_old_service_opens_a_route_and_becomes_a_session_once() {
        let old = |secret| {
            let claims = json!({
                "sub": "alice", "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "roles": ["orders"],
            });
            let key = EncodingKey::from_secret(secret).unwrap();
            encode(&Header::default(), &claims, &key).unwrap()
        };
        let adopt = adopt(OLD_SECRET, Timestamp::MAX).unwrap();
        let service = TestService::configured(|builder| builder.adopt(adopt)).await;
        let token = old(OLD_SECRET);
        assert_eq!(status(&service, &token).await, 200);
        assert_eq!(status(&service, &old(b"guessed")).await, 401);

        let moved = service.authority().adopt(&token, Device::default()).await;
        let moved = moved.unwrap();
        assert_eq!(moved.scopes, Scopes::parse("orders").unwrap());
        assert_eq!(status(&service, moved.access_token.as_str()).await, 200);
        assert_eq!(status(&service, &token).await, 401);
    }
}
