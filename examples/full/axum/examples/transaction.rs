//! Users in PostgreSQL. A new password and the deletion of a user end sessions in the same
//! transaction.
//!
//! ```sh
//! export DATABASE=postgres://shop:password@localhost/shop LISTEN=127.0.0.1:3000 SECRET=$(openssl rand -hex 64)
//! cargo run -p example-axum --example transaction
//! curl localhost:3000/users -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}'
//! curl -X PUT localhost:3000/me/password -H "Authorization: Bearer $access_token" -d 'looking-glass'
//! curl -X DELETE localhost:3000/me -H "Authorization: Bearer $access_token"
//! ```

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, MasterSecret,
    async_trait,
    store::{EndReason, EndSessions, Random, SystemRandom},
    wire::Endpoints,
};
use gatepass_axum::{Auth, GateLayer, routes};
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;
use tokio::task::spawn_blocking;

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    store: PostgresStore,
    authority: Authority,
}

/// Logs the user out everywhere else, in the transaction that changes the password.
async fn change_password(
    State(shop): State<Shop>,
    Auth(pass): Auth,
    password: String,
) -> Result<StatusCode, Failed> {
    let hash = hash(password).await?;
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
    // milliseconds.
    shop.authority.verifier().catch_up().await?;
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
    shop.authority.verifier().catch_up().await?;
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
    let hash = hash(new.password).await?;
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
struct Users(PgPool);

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let found = sqlx::query_as("SELECT id::text, password_hash FROM users WHERE name = $1")
            .bind(credentials.username())
            .fetch_optional(&self.0)
            .await;
        let found: Option<(String, String)> = found.map_err(AuthenticationError::unavailable)?;
        let (id, hash) = found.ok_or(AuthenticationError::BadCredentials)?;
        let password = credentials.password().map(str::to_owned);
        let password = password.ok_or(AuthenticationError::BadCredentials)?;
        let is_right = move || {
            let hash = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(password.as_bytes(), &hash)
        };
        let checked = spawn_blocking(is_right).await;
        match checked.map_err(AuthenticationError::unavailable)? {
            Ok(()) => Ok(Identity::new(id)?),
            Err(_) => Err(AuthenticationError::BadCredentials),
        }
    }
}

async fn hash(password: String) -> Result<String, Failed> {
    let mut salt = [0; 16];
    SystemRandom.fill(&mut salt)?;
    let hash = move || Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    Ok(spawn_blocking(hash).await??.to_string())
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
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE")?).await?;
    let users =
        "CREATE TABLE IF NOT EXISTS users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text UNIQUE NOT NULL, password_hash text NOT NULL)";
    sqlx::query(users).execute(&pool).await?;
    // The sessions are in the schema `gatepass` of the same database.
    let store = PostgresStore::open(pool.clone()).await?;
    let secret = MasterSecret::from_bytes(std::env::var("SECRET")?.as_bytes())?;
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store.clone());
    let authority = authority.authenticator(Users(pool.clone())).build().await?;
    let shop = Shop {
        pool,
        store,
        authority: authority.clone(),
    };
    let gated = Router::new()
        .route(
            "/me",
            get(async |Auth(pass): Auth| pass.subject().to_string()),
        )
        .route("/me", delete(delete_user))
        .route("/me/password", put(change_password))
        .route_layer(GateLayer::new(&authority));
    let app = routes(Endpoints::new(authority)).merge(
        Router::new()
            .route("/users", post(add_user))
            .merge(gated)
            .with_state(shop),
    );
    let listener = tokio::net::TcpListener::bind(std::env::var("LISTEN")?).await?;
    Ok(axum::serve(listener, app).await?)
}
