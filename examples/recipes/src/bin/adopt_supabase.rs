//! A move from Supabase Auth that logs out no user: apps exchange the access token that they have,
//! once for each session of Supabase. `SUPABASE_JWT_SECRET=… cargo run -p example-recipes --bin
//! adopt_supabase`.

use axum::routing::get;
use gatepass::{Adopt, OldToken, OldTokens, Timestamp};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Endpoints, GateLayer, Identity, MasterSecret,
    MemoryStore, async_trait, routes,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

/// The claims of Supabase's access tokens that matter here. After a second factor, `aal` is `aal2`.
#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    role: String,
    session_id: String,
    exp: i64,
    is_anonymous: bool,
    aal: String,
    amr: Vec<Method>,
}

#[derive(serde::Deserialize)]
struct Method {
    method: String,
    timestamp: i64,
}

/// A project: its signing key, and what its tokens must say.
struct Supabase(DecodingKey, Validation);

impl Supabase {
    /// The project at `url`. `key` is its legacy JWT secret (HS256), or its public key (ES256): an
    /// entry of `/auth/v1/.well-known/jwks.json`, by `DecodingKey::from_jwk`.
    fn new(url: &str, key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["authenticated"]);
        validation.set_issuer(&[format!("{url}/auth/v1")]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self(key, validation)
    }
}

#[async_trait]
impl OldTokens for Supabase {
    async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError> {
        let claims = match decode::<Claims>(token, &self.0, &self.1) {
            // API keys are JWTs with other roles, and anonymous users have the role of all users.
            Ok(jwt) if jwt.claims.role == "authenticated" && !jwt.claims.is_anonymous => jwt.claims,
            _ => return Ok(None),
        };
        // The login, not the `iat`, so that a logout everywhere ends the tokens of later refreshes.
        let login = claims.amr.iter().map(|method| method.timestamp).min();
        let methods = claims.amr.into_iter().map(|method| method.method);
        let identity = Identity::new(claims.sub)?.amr(methods)?.acr(claims.aal)?;
        let token = OldToken::new(identity)
            .id(claims.session_id)
            .issued_at(Timestamp::from_unix_secs(login.unwrap_or(0)))
            .expires_at(Timestamp::from_unix_secs(claims.exp));
        Ok(Some(token))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = DecodingKey::from_secret(std::env::var("SUPABASE_JWT_SECRET")?.as_bytes())?;
    let supabase = Supabase::new("https://abc.supabase.co", key, Algorithm::HS256);
    let until = Timestamp::from_unix_secs(1_830_000_000); // a day in December 2027
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .adopt(Adopt::new("old:supabase", until, supabase))
        .build()
        .await?;
    let gate = GateLayer::new(&authority).adopt(&authority);
    let me = get(async |Auth(pass): Auth| pass.subject().to_string()).route_layer(gate);
    example_recipes::serve(routes(Endpoints::new(authority)).route("/me", me)).await
}

#[cfg(test)]
mod tests {
    use gatepass::{Device, Error, Refusal, Requirements};
    use gatepass_testkit::TestService;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "5f0b7a7e-3c64-4a0e-9f1e-3b0a0f6d2c11";

    /// A token as Supabase writes it, with these members changed.
    fn claims(changed: &Value) -> Value {
        let mut claims = json!({
            "aal": "aal1", "amr": [{ "method": "password", "timestamp": 1_700_000_000 }],
            "app_metadata": { "provider": "email" }, "aud": "authenticated",
            "email": "alice@example.org", "exp": 4_000_000_000_u64, "iat": 1_700_000_000, "is_anonymous": false,
            "iss": "https://abc.supabase.co/auth/v1", "phone": "", "role": "authenticated",
            "session_id": "1c3d0d3e-6a0b-4f4a-8a65-0d2f0c0f3a55", "sub": USER,
        });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[tokio::test]
    async fn each_session_of_supabase_becomes_one_of_ours() {
        let (private, public) = (
            include_bytes!("../../../../crates/gatepass/tests/keys/p256.pem"),
            include_bytes!("../../../../crates/gatepass/tests/keys/p256.pub.pem"),
        );
        for (algorithm, sign, verify) in [
            (
                Algorithm::HS256,
                EncodingKey::from_secret(b"super-secret-jwt-token").unwrap(),
                DecodingKey::from_secret(b"super-secret-jwt-token").unwrap(),
            ),
            (
                Algorithm::ES256,
                EncodingKey::from_ec_pem(private).unwrap(),
                DecodingKey::from_ec_pem(public).unwrap(),
            ),
        ] {
            let supabase = Supabase::new("https://abc.supabase.co", verify, algorithm);
            let adopt = Adopt::new("old:supabase", Timestamp::MAX, supabase);
            let service = TestService::configured(|builder| builder.adopt(adopt)).await;
            let adopt = async |changed: Value| {
                let token = encode(&Header::new(algorithm), &claims(&changed), &sign).unwrap();
                let issued = service.authority().adopt(&token, Device::default()).await;
                issued.map(|issued| issued.session_id)
            };
            let first = adopt(json!({})).await.unwrap();
            // Supabase has refreshed the token meanwhile.
            assert_eq!(adopt(json!({ "iat": 1 })).await.unwrap(), first);
            let phone = adopt(json!({ "session_id": "phone" })).await.unwrap();
            assert_ne!(phone, first);
            let second = json!({ "method": "totp", "timestamp": 1_700_000_009 });
            let first = json!({ "method": "password", "timestamp": 1_700_000_000 });
            let both = json!({ "session_id": "totp", "aal": "aal2", "amr": [second, first] });
            let token = encode(&Header::new(algorithm), &claims(&both), &sign).unwrap();
            let authority = service.authority();
            let issued = authority.adopt(&token, Device::default()).await.unwrap();
            let strong = Requirements::new().acr(["aal2"]).unwrap();
            let verifier = authority.verifier();
            let pass = verifier.verify(issued.access_token.as_str(), &strong).await;
            assert_eq!(pass.unwrap().amr(), ["totp", "password"]);
            for wrong in [
                json!({ "aud": "anon" }),
                json!({ "iss": "https://evil.supabase.co/auth/v1" }),
                json!({ "role": "service_role" }),
                json!({ "exp": 1_700_000_000 }),
                json!({ "is_anonymous": true }),
            ] {
                let refused = adopt(wrong).await;
                assert!(matches!(refused, Err(Error::Refused(Refusal::Malformed))));
            }
        }
    }
}
