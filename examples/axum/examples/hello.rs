//! A login and one route behind it. In production, cut off clients that send half a request, as the
//! README shows.
//!
//! ```sh
//! SECRET=$(openssl rand -hex 64) cargo run -p example-axum --example hello
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use axum::{Router, routing::get};
use gatepass_axum::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, GateLayer,
    Identity, MasterSecret, async_trait, routes,
};
use gatepass_sqlite::SqliteStore;
use tokio::net::TcpListener;

struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        login: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        match (login.username(), login.password()) {
            ("alice", "wonderland") => Ok(Identity::new("alice")?),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = MasterSecret::from_bytes(std::env::var("SECRET")?.as_bytes())?;
    let store = SqliteStore::open("hello.db")?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    let authority = authority.authenticator(Users).build().await?;
    let app = Router::new()
        .route(
            "/me",
            get(async |Auth(pass): Auth| pass.subject().to_string()),
        )
        .route_layer(GateLayer::new(&authority))
        .merge(routes(Endpoints::new(authority)));
    Ok(axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app).await?)
}
