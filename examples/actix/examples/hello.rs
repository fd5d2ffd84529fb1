//! A login and one route behind it.
//!
//! ```sh
//! export LISTEN=127.0.0.1:3000 SECRET=$(openssl rand -hex 64)
//! cargo run -p example-actix --example hello
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use actix_web::{App, HttpServer, web};
use gatepass_actix::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, Gate, Identity, MasterSecret,
};
use gatepass_sqlite::SqliteStore;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = MasterSecret::from_bytes(std::env::var("SECRET")?.as_bytes())?;
    let store = SqliteStore::open("hello.db")?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    let authority = authority.authenticator(login).build().await?;
    let (gate, endpoints) = (Gate::new(&authority), Endpoints::new(authority));
    let server = HttpServer::new(move || {
        let me = web::get().to(async |Auth(pass): Auth| format!("you are {}", pass.subject()));
        let app = App::new().configure(gatepass_actix::configure(endpoints.clone()));
        app.route("/me", me.wrap(gate.clone()))
    });
    Ok(server.bind(std::env::var("LISTEN")?)?.run().await?)
}
