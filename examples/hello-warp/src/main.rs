//! A login and one route behind it.
//!
//! ```sh
//! cargo run -p hello-warp
//! curl localhost:3000/auth/login -H "Content-Type: application/json" -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use gatepass_warp::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, Identity, MasterSecret,
    MemoryStore, gate, gated, routes,
};
use warp::Filter;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::builder(
        "https://shop.example",    // the issuer, which signs tokens
        "shop-api",                // the audience, which accepts them
        MasterSecret::generate()?, // in production: MasterSecret::from_file("gatepass.secret")?
        MemoryStore::new(),        // in production: SqliteStore::open("sessions.db")?
    );
    let authority = authority.authenticator(login).build().await?;
    let me = gated(warp::path!("me").and(warp::get()), gate(&authority), me);
    let app = me.or(routes(Endpoints::new(authority))); // POST /auth/login, /auth/refresh, …
    let address = std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".to_owned());
    let address: std::net::SocketAddr = address.parse()?;
    warp::serve(app).run(address).await;
    Ok(())
}
