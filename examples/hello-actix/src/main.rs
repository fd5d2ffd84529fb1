//! A login and one route behind it.
//!
//! ```sh
//! cargo run -p hello-actix
//! curl localhost:3000/auth/login -H "Content-Type: application/json" -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use actix_web::{App, HttpServer, web};
use gatepass_actix::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, Gate, Identity, MasterSecret,
    MemoryStore, configure,
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

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::builder(
        "https://shop.example",    // the issuer, which signs tokens
        "shop-api",                // the audience, which accepts them
        MasterSecret::generate()?, // in production: MasterSecret::from_file("gatepass.secret")?
        MemoryStore::new(),        // in production: SqliteStore::open("sessions.db")?
    );
    let authority = authority.authenticator(login).build().await?;
    let gate = Gate::new(&authority);
    let endpoints = Endpoints::new(authority);
    let server = HttpServer::new(move || {
        App::new()
            .route("/me", web::get().to(me).wrap(gate.clone()))
            .configure(configure(endpoints.clone())) // POST /auth/login, /auth/refresh, …
    });
    let address = std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".to_owned());
    Ok(server.bind(address)?.run().await?)
}
