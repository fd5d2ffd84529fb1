//! Registration, login, and the current user.

use axum::{
    extract::State,
    http::{StatusCode, request::Parts},
};
use gatepass::{
    Credentials, Requirements, Staleness,
    store::{EndReason, EndSessions},
    wire::Delivery,
};
use gatepass_axum::{Auth, PresentedToken, User, issue, login, rejection};
use serde::Deserialize;
use sqlx::PgPool;

use crate::{
    account::{Account, UserReply},
    auth::identity,
    body::{Body, changed, nullable, required},
    error::ApiError,
    state::Conduit,
};

#[derive(Deserialize)]
pub(crate) struct Of<T> {
    user: T,
}

#[derive(Deserialize)]
pub(crate) struct NewUser {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

pub(crate) async fn register(
    State(conduit): State<Conduit>,
    parts: Parts,
    Body(Of { user }): Body<Of<NewUser>>,
) -> Result<(StatusCode, UserReply), ApiError> {
    let username = required("username", user.username)?;
    let email = required("email", user.email)?;
    let password = required("password", user.password)?;
    if let Some(member) = taken(&conduit.pool, &username, &email).await? {
        return Err(ApiError::Taken(member));
    }
    let hash = conduit.passwords.hash(&password).await?;
    let add = "INSERT INTO users (username, email, password_hash) VALUES ($1, $2, $3) RETURNING *";
    let account: Account = sqlx::query_as(add)
        .bind(username)
        .bind(email)
        .bind(hash)
        .fetch_one(&conduit.pool)
        .await?;
    let identity = identity(account.id).map_err(|error| ApiError::Failed(error.into()))?;
    let delivered = issue(&conduit.endpoints, identity, &parts, Delivery::Body).await?;
    let body = account.with_token(delivered.issued().access_token.as_str());
    Ok((StatusCode::CREATED, body))
}

/// The member whose value another user has, if any. This check saves a hash. The table still
/// decides: another registration may come while the server hashes the password.
async fn taken(pool: &PgPool, username: &str, email: &str) -> sqlx::Result<Option<String>> {
    let find = "SELECT CASE WHEN username = $1 THEN 'username' ELSE 'email' END AS member
        FROM users WHERE username = $1 OR lower(email) = lower($2)
        ORDER BY member DESC LIMIT 1";
    sqlx::query_scalar(find)
        .bind(username)
        .bind(email)
        .fetch_optional(pool)
        .await
}

#[derive(Deserialize)]
pub(crate) struct Login {
    email: Option<String>,
    password: Option<String>,
}

pub(crate) async fn log_in(
    State(conduit): State<Conduit>,
    parts: Parts,
    Body(Of { user }): Body<Of<Login>>,
) -> Result<UserReply, ApiError> {
    let email = required("email", user.email)?;
    let password = required("password", user.password)?;
    let credentials = Credentials::new(email, password);
    let delivered = login(&conduit.endpoints, &credentials, &parts, Delivery::Body).await?;
    let find = "SELECT id, username, email, bio, image FROM users WHERE lower(email) = lower($1)";
    let account: Account = sqlx::query_as(find)
        .bind(credentials.username())
        .fetch_one(&conduit.pool)
        .await?;
    Ok(account.with_token(delivered.issued().access_token.as_str()))
}

/// Answers with the user and a token. A token lives for 14 days, and this call renews it after 7
/// days. So a client that asks at least once a week stays logged in.
pub(crate) async fn current(
    State(conduit): State<Conduit>,
    Auth(pass): Auth,
    User(account): User<Account>,
    PresentedToken(token): PresentedToken,
    parts: Parts,
) -> Result<UserReply, ApiError> {
    let renewed = conduit.authority.renew_if_due(&pass).await;
    let renewed = renewed.map_err(|error| rejection(&conduit.endpoints, error, &parts))?;
    let token = renewed.map_or(token, |renewed| renewed.access_token);
    Ok(account.with_token(token.as_str()))
}

#[derive(Deserialize)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "nullable")]
    username: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    password: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    bio: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    image: Option<Option<String>>,
}

/// Changes the user. A new password ends the other sessions, in the same transaction.
pub(crate) async fn update(
    State(conduit): State<Conduit>,
    Auth(pass): Auth,
    User(account): User<Account>,
    PresentedToken(token): PresentedToken,
    parts: Parts,
    Body(Of { user }): Body<Of<Changes>>,
) -> Result<UserReply, ApiError> {
    let username = changed("username", user.username)?;
    let email = changed("email", user.email)?;
    let hash = match changed("password", user.password)? {
        Some(password) => Some(conduit.passwords.hash(&password).await?),
        None => None,
    };
    let ends_others = hash.is_some();
    let mut transaction = conduit.pool.begin().await?;
    let change = "UPDATE users SET
            username = coalesce($2, username),
            email = coalesce($3, email),
            password_hash = coalesce($4, password_hash),
            bio = CASE WHEN $5 THEN nullif($6, '') ELSE bio END,
            image = CASE WHEN $7 THEN nullif($8, '') ELSE image END
        WHERE id = $1 RETURNING *";
    let account: Account = sqlx::query_as(change)
        .bind(account.id)
        .bind(username)
        .bind(email)
        .bind(hash)
        .bind(user.bio.is_some())
        .bind(user.bio.flatten())
        .bind(user.image.is_some())
        .bind(user.image.flatten())
        .fetch_one(&mut *transaction)
        .await?;
    // The client may send its body slowly, and the session may end meanwhile. So lock the row.
    let strict = Requirements::new().staleness(Staleness::Strict);
    let verified = conduit.authority.verifier().verify(token.as_str(), &strict);
    let verified = verified.await;
    verified.map_err(|error| rejection(&conduit.endpoints, error, &parts))?;
    if ends_others {
        let owner = conduit.authority.account(pass.subject());
        let others = match pass.session_id() {
            Some(own) => EndSessions::AllOfBut(owner, own),
            None => EndSessions::AllOf(owner),
        };
        let ended = conduit
            .sessions
            .end_in(&mut transaction, others, EndReason::EndedByUser);
        ended
            .await
            .map_err(|error| ApiError::Failed(error.into()))?;
    }
    transaction.commit().await?;
    // Other nodes show the change within half a minute.
    conduit.users.forget(pass.subject());
    if ends_others {
        conduit.authority.verifier().catch_up().await?;
    }
    Ok(account.with_token(token.as_str()))
}
