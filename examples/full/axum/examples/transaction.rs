//! Users in PostgreSQL. A new password and the deletion of a user end sessions in the same
//! transaction.
//!
//! ```sh
//! (umask 077; openssl rand -hex 64 > shop.secret)
//! export DATABASE=postgres://shop:password@localhost/shop LISTEN=127.0.0.1:3000 SECRET=shop.secret
//! cargo run -p example-axum --example transaction
//! curl localhost:3000/users -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! access_token=… # from the answer to the login
//! curl -X PUT localhost:3000/me/password -H "Authorization: Bearer $access_token" -d 'looking-glass'
//! curl -X DELETE localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use std::{net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use example_passwords::Passwords;
use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, MasterSecret,
    Requirements, Session, async_trait,
    store::{EndReason, EndSessions},
    wire::Endpoints,
};
use gatepass_axum::{Auth, GateLayer, routes};
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;

/// Users change their password, and delete themselves, within this time after they typed it.
/// Otherwise a thief with an access token could take the account over.
const RECENT: Duration = Duration::from_secs(300);

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    passwords: Passwords,
    store: PostgresStore,
    authority: Authority,
}

/// Logs the user out everywhere else, in the transaction that changes the password. The page
/// `docs::transactions` says how to refuse a login that began at the same time.
async fn change_password(
    State(shop): State<Shop>,
    Auth(pass): Auth,
    password: String,
) -> Result<StatusCode, Failed> {
    if password.is_empty() {
        return Ok(StatusCode::BAD_REQUEST);
    }
    let hash = shop.passwords.hash(&password).await?;
    let mut transaction = shop.pool.begin().await?;
    sqlx::query("UPDATE users SET password_hash = $2 WHERE id::text = $1")
        .bind(pass.subject().as_str())
        .bind(hash)
        .execute(&mut *transaction)
        .await?;
    let account = shop.authority.account(pass.subject());
    let others = match pass.session_id() {
        Some(own) => EndSessions::AllOfBut(account, own),
        None => EndSessions::AllOf(account),
    };
    shop.store
        .end_in(&mut transaction, others, EndReason::EndedByUser)
        .await?;
    transaction.commit().await?;
    // This node refuses the other sessions from here on. Without this call, it takes some
    // milliseconds, and 2 seconds at most.
    shop.authority.verifier().catch_up().await.ok();
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the user, in the transaction that deletes the user.
async fn delete_user(State(shop): State<Shop>, Auth(pass): Auth) -> Result<StatusCode, Failed> {
    let mut transaction = shop.pool.begin().await?;
    sqlx::query("DELETE FROM users WHERE id::text = $1")
        .bind(pass.subject().as_str())
        .execute(&mut *transaction)
        .await?;
    let all = EndSessions::AllOf(shop.authority.account(pass.subject()));
    shop.store
        .end_in(&mut transaction, all, EndReason::UserDeleted)
        .await?;
    transaction.commit().await?;
    shop.authority.verifier().catch_up().await.ok();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(serde::Deserialize)]
struct NewUser {
    username: String,
    password: String,
}

async fn add_user(
    State(shop): State<Shop>,
    Json(new): Json<NewUser>,
) -> Result<StatusCode, Failed> {
    if new.username.is_empty() || new.password.is_empty() {
        return Ok(StatusCode::BAD_REQUEST);
    }
    let hash = shop.passwords.hash(&new.password).await?;
    let add = "INSERT INTO users (name, password_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let added = sqlx::query(add)
        .bind(new.username)
        .bind(hash)
        .execute(&shop.pool)
        .await?;
    Ok(match added.rows_affected() {
        0 => StatusCode::CONFLICT,
        _ => StatusCode::CREATED,
    })
}

/// Logins of the users. The subject is the id, which no other user will ever have.
struct Users {
    pool: PgPool,
    passwords: Passwords,
}

impl Users {
    /// The user that `find` selects by `value`, if the password is right.
    async fn check(
        &self,
        find: &'static str,
        value: &str,
        credentials: &Credentials,
    ) -> Result<Identity, AuthenticationError> {
        let found = sqlx::query_as(find).bind(value);
        let found = found.fetch_optional(&self.pool).await;
        let found: Option<(String, String)> = found.map_err(AuthenticationError::unavailable)?;
        let (id, hash) = found.unzip();
        let password = credentials.password().unwrap_or_default();
        // This takes as long without a hash, so its time doesn't tell which users exist.
        let verified = self.passwords.verify(password, hash).await;
        match (verified.map_err(AuthenticationError::Unavailable)?, id) {
            (true, Some(id)) => Ok(Identity::new(id)?),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let find = "SELECT id::text, password_hash FROM users WHERE name = $1";
        self.check(find, credentials.username(), credentials).await
    }

    /// Users who have logged in type only their password again.
    async fn reauthenticate(
        &self,
        session: &Session,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let find = "SELECT id::text, password_hash FROM users WHERE id::text = $1";
        let id = session.subject().as_str();
        self.check(find, id, credentials).await
    }
}

/// An error of the server. The client may try again.
struct Failed;

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Failed {
    fn from(error: E) -> Self {
        tracing::error!(error = error.into(), "a request failed");
        Self
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let database = std::env::var("DATABASE")?;
    let pool = PgPool::connect(&database).await?;
    let users =
        "CREATE TABLE IF NOT EXISTS users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text UNIQUE NOT NULL, password_hash text NOT NULL)";
    sqlx::query(users).execute(&pool).await?;
    // The sessions are in the schema `gatepass` of the same database. gatepass has its own pool: if
    // a client hangs up, axum drops the handler, and `pool` may keep its transaction open.
    let store = PostgresStore::connect(&database).await?;
    let secret = MasterSecret::from_file(std::env::var("SECRET")?)?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store.clone());
    let passwords = Passwords::new()?;
    let users = Users {
        pool: pool.clone(),
        passwords: passwords.clone(),
    };
    let authority = authority.authenticator(users).build().await?;
    let shop = Shop {
        pool,
        passwords,
        store,
        authority: authority.clone(),
    };
    let gate = GateLayer::new(&authority);
    // An older login gets 401 `authentication_too_old`. The client then asks for the password, and
    // sends it to `POST /auth/reauthenticate`.
    let recently = gate.clone().require(Requirements::new().max_age(RECENT));
    let risky = Router::new()
        .route("/me", delete(delete_user))
        .route("/me/password", put(change_password))
        .route_layer(recently);
    let me = get(async |Auth(pass): Auth| pass.subject().to_string());
    let app = Router::new()
        .route("/me", me.route_layer(gate))
        .route("/users", post(add_user)) // in production, limit how often an address may call it
        .merge(risky)
        .with_state(shop)
        .layer(DefaultBodyLimit::max(1024)) // longer than any password
        .merge(routes(Endpoints::new(authority)));
    let listener = tokio::net::TcpListener::bind(std::env::var("LISTEN")?).await?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
