//! A move from Django's table of sessions that logs out no browser: the first page that a browser
//! asks for sets gatepass's cookies. Run `SECRET_KEY=… cargo run -p example-recipes --bin
//! adopt_sessions` where Django's `db.sqlite3` is. This is the second step of the move: Django's
//! login and logout are gone. Otherwise a logout in Django would leave gatepass's session alive,
//! and the next user of the browser would act as the previous one.

mod django;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use axum::{Router, routing::get};
use django::Django;
use gatepass::{
    Adopt, BuildError, Device, OldToken, OldTokens, Timestamp, Transport,
    wire::{Endpoint, Endpoints},
};
use gatepass_axum::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, GateLayer, Identity,
    MasterSecret, MemoryStore, Session,
    UserUpdate::{self, Deleted, Unchanged},
    async_trait, routes,
};

#[async_trait]
impl OldTokens for Django {
    /// The user of the session with this key, as long as it also lives in Django.
    async fn identify(&self, key: &str) -> Result<Option<OldToken>, AuthenticationError> {
        // In production, ask the database off the async threads, or by an async driver.
        let user = self.user(key).map_err(AuthenticationError::unavailable)?;
        user.map(|user| Ok(OldToken::new(Identity::new(user)?)))
            .transpose()
    }
}

#[async_trait]
impl Authenticator for Django {
    /// Check the hash in `auth_user` here, for example by the crate `pbkdf2`.
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let active = self.is_active(session.subject().as_str());
        let active = active.map_err(AuthenticationError::unavailable)?;
        Ok(if active { Unchanged } else { Deleted })
    }
}

fn app(authority: &Authority) -> Result<Router, BuildError> {
    let gate = GateLayer::new(authority)
        .auto_refresh(authority)
        .adopt(authority);
    let me = async |Auth(pass): Auth| format!("user {}", pass.subject());
    // POST /auth/logout, /auth/refresh and others. Mount the login once it checks passwords.
    let endpoints = Endpoints::builder(authority.clone())
        .without(Endpoint::Login)
        .build()?;
    Ok(Router::new()
        .route("/me", get(me).route_layer(gate))
        .merge(routes(endpoints)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let django = Django::open("db.sqlite3", env::var("SECRET_KEY")?)?;
    let until = Timestamp::from_unix_secs(1_830_000_000); // a day in December 2027
    let adopt = Adopt::new("old:django", until, django.clone()).cookie("sessionid");
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .transport(Transport::Cookie)
        .authenticator(django)
        .adopt(adopt);
    example_recipes::serve(app(&authority.build().await?)?).await
}
