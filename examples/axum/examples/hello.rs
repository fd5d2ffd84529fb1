//! A login and one route behind it. In production, cut off clients that send half a request, as the
//! README shows.
//!
//! ```sh
//! export LISTEN=127.0.0.1:3000 SECRET=$(openssl rand -hex 64)
//! cargo run -p example-axum --example hello
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use axum::routing::get;
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, routes,
};
use gatepass_sqlite::SqliteStore;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = MasterSecret::from_bytes(std::env::var("SECRET")?.as_bytes())?;
    let store = SqliteStore::open("hello.db")?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    let authority = authority.authenticator(login).build().await?;
    let me = get(async |Auth(pass): Auth| format!("you are {}", pass.subject()));
    let me = me.route_layer(GateLayer::new(&authority));
    let app = routes(Endpoints::new(authority)).route("/me", me);
    let listener = tokio::net::TcpListener::bind(std::env::var("LISTEN")?).await?;
    Ok(axum::serve(listener, app).await?)
}
