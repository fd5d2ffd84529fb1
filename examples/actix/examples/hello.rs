//! A login and one route behind it.
//!
//! ```sh
//! SECRET=$(openssl rand -hex 64) cargo run -p example-actix --example hello
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use actix_web::{App, HttpServer, web};
use gatepass_actix::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, Gate,
    Identity, MasterSecret, async_trait, configure,
};
use gatepass_sqlite::SqliteStore;

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

async fn me(Auth(pass): Auth) -> String {
    pass.subject().to_string()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = MasterSecret::from_bytes(std::env::var("SECRET")?.as_bytes())?;
    let store = SqliteStore::open("hello.db")?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    let authority = authority.authenticator(Users).build().await?;
    let (gate, endpoints) = (Gate::new(&authority), Endpoints::new(authority));
    let app = move || {
        let me = web::get().to(me).wrap(gate.clone());
        App::new()
            .route("/me", me)
            .configure(configure(endpoints.clone()))
    };
    Ok(HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?)
}
