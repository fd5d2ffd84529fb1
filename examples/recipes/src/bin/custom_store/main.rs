//! A store of your own. This one wraps another one: it counts the calls, and logs slow ones. The
//! suite of the testkit checks it, as it checks a store with a database of your own. `cargo run -p
//! example-recipes --bin custom_store`, log in, then `curl localhost:3000/metrics`.

#[cfg(test)]
mod tests;
mod timed;

use std::error::Error;

use axum::{Router, routing::get};
use gatepass::store::SessionStore;
use gatepass_axum::{
    AuthenticationError, Authority, Credentials, Endpoints, Identity, MasterSecret, MemoryStore,
    routes,
};
use timed::Timed;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

async fn app(store: impl SessionStore) -> Result<Router, Box<dyn Error>> {
    let store = Timed::new(store);
    let counts = store.counts();
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, store);
    let authority = authority.authenticator(login).build().await?;
    let metrics = get(async move || counts.to_string());
    Ok(routes(Endpoints::new(authority)).route("/metrics", metrics))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In production: `PostgresStore::connect(…)`.
    example_recipes::serve(app(MemoryStore::new()).await?).await
}
