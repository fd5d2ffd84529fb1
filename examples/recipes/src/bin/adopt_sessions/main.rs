//! A move from Django's table of sessions that logs out no browser: the first page that a browser
//! asks for sets gatepass's cookies. Run `SECRET_KEY=… cargo run -p example-recipes --bin
//! adopt_sessions` beside Django's `db.sqlite3`.
//!
//! For axum-login with tower-sessions, look `id` up in its table in the same way, and read the user
//! from the member `axum-login.data` of the record, which is `MessagePack`.

mod django;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use axum::{Router, routing::get};
use django::Django;
use gatepass::{Adopt, OldToken, OldTokens, Timestamp, Transport};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, GateLayer, Identity, MasterSecret, MemoryStore,
    async_trait,
};

#[async_trait]
impl OldTokens for Django {
    /// The user of the session with this key, as long as it also lives in Django.
    async fn identify(&self, key: &str) -> Result<Option<OldToken>, AuthenticationError> {
        // In production, ask the database off the async threads, or by an async driver.
        let user = self.user(key).map_err(AuthenticationError::unavailable)?;
        Ok(match user {
            Some(user) => Some(OldToken::new(Identity::new(user)?)),
            None => None,
        })
    }
}

fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority)
        .auto_refresh(authority)
        .adopt(authority);
    let me = async |Auth(pass): Auth| format!("user {}", pass.subject());
    Router::new().route("/me", get(me).route_layer(gate))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let django = Django::open("db.sqlite3", env::var("SECRET_KEY")?)?;
    let until = Timestamp::from_unix_secs(1_830_000_000); // a day in December 2027
    let adopt = Adopt::new("old:django", until, django).cookie("sessionid");
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .transport(Transport::Cookie)
        .adopt(adopt);
    example_recipes::serve(app(&authority.build().await?)).await
}
