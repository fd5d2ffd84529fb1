//! Roles from a database: a login reads them into the access token, and a change takes effect at
//! once on every node. `cargo run -p example-recipes --bin roles`.

mod database;
#[cfg(test)]
mod tests;

use std::error::Error;

use axum::{Router, extract::Path, extract::State, http::StatusCode, routing::get, routing::put};
use database::Users;
use gatepass::{Change, Subject};
use gatepass_axum::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, GateLayer,
    Identity, MasterSecret, MemoryStore, Requirements, Scopes, Session, UserUpdate, async_trait,
    routes,
};

/// The user with these roles: each is a scope of the access token.
fn identity(name: &str, roles: &str) -> Result<Identity, AuthenticationError> {
    Ok(Identity::new(name)?.scopes(Scopes::parse(roles)?))
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let name = credentials.username();
        let roles = self.log_in(name, credentials.password())?;
        identity(name, &roles.ok_or(AuthenticationError::BadCredentials)?)
    }

    /// gatepass asks at each refresh, so that it hears of roles that a script has changed.
    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let name = session.subject().as_str();
        Ok(match self.roles(name)? {
            Some(roles) => UserUpdate::Changed(identity(name, &roles)?),
            None => UserUpdate::Deleted,
        })
    }
}

/// Sets the roles of a user: in the table, and in all sessions at once.
async fn set_roles(
    State((users, authority)): State<(Users, Authority)>,
    Path(name): Path<String>,
    roles: String,
) -> StatusCode {
    let (Ok(user), Ok(scopes)) = (Subject::new(&*name), Scopes::parse(&roles)) else {
        return StatusCode::BAD_REQUEST;
    };
    let change = Change::enforced(move |identity| Ok(identity.scopes(scopes.clone())));
    if users.set_roles(&name, &roles).is_err() || authority.change(&user, &change).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::NO_CONTENT
}

fn app(users: Users, authority: Authority) -> Result<Router, Box<dyn Error>> {
    let gate = GateLayer::new(&authority);
    let admins = Requirements::new().scopes(Scopes::parse("admin")?);
    let set_roles = put(set_roles).route_layer(gate.clone().require(admins));
    let me = async |Auth(pass): Auth| pass.scopes().to_string();
    Ok(Router::new()
        .route("/users/{name}/roles", set_roles)
        .route("/me", get(me).route_layer(gate))
        .merge(routes(Endpoints::new(authority.clone())))
        .with_state((users, authority)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (users, secret) = (Users::open()?, MasterSecret::generate()?);
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    let authority = authority.authenticator(users.clone()).build().await?;
    example_recipes::serve(app(users, authority)?).await
}
