//! Your own table of users in SQLite, with argon2id hashes. Users log in by name, and the id is the
//! subject. `cargo run -p example-recipes --bin users`.

mod table;
#[cfg(test)]
mod tests;

use std::error::Error;

use axum::{Router, routing::get};
use example_passwords::Passwords;
use gatepass_axum::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, GateLayer,
    Identity, MasterSecret, MemoryStore, RequiredScopes, Scoped, Scopes, Session, UserUpdate,
    async_trait, routes,
};
use table::{User, Users};

type Checked = Result<Identity, AuthenticationError>;

fn identity(user: &User) -> Checked {
    Ok(Identity::new(user.id.to_string())?.scopes(Scopes::parse(&user.roles)?))
}

/// The identity of this user, if the password is right.
async fn check(users: &Users, user: Option<User>, credentials: &Credentials) -> Checked {
    let password = credentials.password().unwrap_or_default();
    let user = users.verified(user, password).await?;
    identity(&user.ok_or(AuthenticationError::BadCredentials)?)
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, credentials: &Credentials, _: &Device) -> Checked {
        check(self, self.named(credentials.username())?, credentials).await
    }

    /// Before a risky act, a user types the password again, and no name.
    async fn reauthenticate(&self, session: &Session, typed: &Credentials, _: &Device) -> Checked {
        check(self, self.with_id(session.subject().as_str())?, typed).await
    }

    /// At each refresh.
    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        match self.with_id(session.subject().as_str())? {
            Some(user) => Ok(UserUpdate::Changed(identity(&user)?)),
            None => Ok(UserUpdate::Deleted),
        }
    }
}

struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

fn app(authority: &Authority) -> Router {
    let me = async |Auth(pass): Auth| pass.subject().to_string();
    Router::new()
        .route("/me", get(me))
        .route("/admin", get(async |_: Scoped<Admin>| "welcome"))
        .route_layer(GateLayer::new(authority))
        .merge(routes(Endpoints::new(authority.clone())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let users = Users::open(":memory:", Passwords::new()?)?;
    // In production, open a file, and let no program add users whose passwords are public.
    users.add("alice", "wonderland", "").await?;
    users.add("root", "looking glass", "admin").await?;
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    let authority = authority.authenticator(users).build().await?;
    example_recipes::serve(app(&authority)).await
}
