//! A login and one route behind it. In production, cut off clients that send half a request, as the
//! README shows.
//!
//! ```sh
//! export LISTEN=127.0.0.1:3000 SECRET=$(openssl rand -hex 64)
//! cargo run -p example-warp --example hello
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use gatepass_sqlite::SqliteStore;
use gatepass_warp::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, Identity, MasterSecret, gate,
    gated, routes,
};
use warp::Filter;

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
    let me = async |Auth(pass): Auth| format!("you are {}", pass.subject());
    let me = gated(warp::path!("me"), gate(&authority), me);
    let server = warp::serve(me.or(routes(Endpoints::new(authority))));
    let address: std::net::SocketAddr = std::env::var("LISTEN")?.parse()?;
    server.run(address).await;
    Ok(())
}
