//! Roles from a database: a login reads them into the access token, and a change takes effect at
//! once on every node. `cargo run -p example-recipes --bin roles`.

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, put},
};
use gatepass::{Change, StoreError, Subject};
use gatepass_axum::{
    Auth, AuthenticationError, Authenticator, Authority, Credentials, Device, Endpoints, GateLayer,
    Identity, MasterSecret, MemoryStore, Requirements, Scopes, Session, UserUpdate, async_trait,
    routes,
};
use rusqlite::{Connection, OptionalExtension};

/// The table of users. Each role is a scope of the access token.
#[derive(Clone)]
struct Users(Arc<Mutex<Connection>>);

impl Users {
    fn open() -> Result<Self, rusqlite::Error> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, roles TEXT);
             INSERT INTO users VALUES ('alice', 'wonderland', 'customer'), ('root', 'looking glass', 'admin')",
        )?;
        Ok(Self(Arc::new(Mutex::new(database))))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identity(&self, name: &str) -> Result<Option<Identity>, AuthenticationError> {
        let asked =
            self.database()
                .query_row("SELECT roles FROM users WHERE name = ?1", [name], |row| {
                    row.get(0)
                });
        let roles: Option<String> = asked.optional().map_err(AuthenticationError::unavailable)?;
        roles
            .map(|roles| Ok(Identity::new(name)?.scopes(Scopes::parse(&roles)?)))
            .transpose()
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        // A real table has a hash, such as argon2id.
        let asked = "SELECT 1 FROM users WHERE name = ?1 AND password = ?2";
        let right = self.database().query_row(
            asked,
            (credentials.username(), credentials.password()),
            |_| Ok(()),
        );
        let right = right.optional().map_err(AuthenticationError::unavailable)?;
        right
            .and(self.identity(credentials.username())?)
            .ok_or(AuthenticationError::BadCredentials)
    }

    /// Asked at each refresh, so that a role that a script has changed arrives there.
    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let identity = self.identity(session.subject().as_str())?;
        Ok(identity.map_or(UserUpdate::Deleted, UserUpdate::Changed))
    }
}

/// Sets the roles of a user: in the table, and in all sessions at once.
async fn set_roles(
    State((users, authority)): State<(Users, Authority)>,
    Path(name): Path<String>,
    roles: String,
) -> StatusCode {
    let (Ok(subject), Ok(scopes)) = (Subject::new(&*name), Scopes::parse(&roles)) else {
        return StatusCode::BAD_REQUEST;
    };
    let set = users.database().execute(
        "UPDATE users SET roles = ?1 WHERE name = ?2",
        [&roles, &name],
    );
    let change = Change::enforced(move |identity| Ok(identity.scopes(scopes.clone())));
    let changed = async {
        set.map_err(StoreError::unavailable)?;
        authority.change(&subject, &change).await
    };
    changed
        .await
        .map_or(StatusCode::SERVICE_UNAVAILABLE, |_| StatusCode::NO_CONTENT)
}

fn app(users: Users, authority: Authority) -> Router {
    let admins = Requirements::new().scopes(Scopes::parse("admin").unwrap_or_default());
    let gate = GateLayer::new(&authority);
    Router::new()
        .route(
            "/users/{name}/roles",
            put(set_roles).route_layer(gate.clone().require(admins)),
        )
        .route(
            "/me",
            get(async |Auth(pass): Auth| pass.scopes().to_string()).route_layer(gate),
        )
        .merge(routes(Endpoints::new(authority.clone())))
        .with_state((users, authority))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (users, secret) = (Users::open()?, MasterSecret::generate()?);
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    let authority = authority.authenticator(users.clone()).build().await?;
    example_recipes::serve(app(users, authority)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_role_that_is_taken_away_is_gone_at_once() {
        let users = Users::open().unwrap();
        let own = users.clone();
        let service = TestService::configured(|builder| builder.authenticator(own)).await;
        let app = app(users, service.authority().clone());
        let root = service.logged_in("root").scopes("admin").await;
        let set = async |roles: &'static str| {
            let request = Request::put("/users/root/roles").header("authorization", root.bearer());
            let request = request.body(Body::from(roles)).unwrap();
            app.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(set("customer").await, StatusCode::NO_CONTENT);
        // The token that still says `admin` is refused: its client refreshes it.
        assert_eq!(set("admin").await, StatusCode::UNAUTHORIZED);
    }
}
