//! A login and one route behind it.
//!
//! ```sh
//! cargo run -p hello-axum
//! curl localhost:3000/auth/login -H "Content-Type: application/json" -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use axum::routing::get;
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};

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
    let me = get(me).route_layer(GateLayer::new(&authority));
    let app = routes(Endpoints::new(authority)).route("/me", me); // and POST /auth/login, …
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let address = std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}
