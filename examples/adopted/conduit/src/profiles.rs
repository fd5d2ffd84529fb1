//! Public profiles of the users, and who follows whom.

use axum::{
    Json,
    extract::{Path, State},
};
use gatepass_axum::User;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

use crate::{account::Account, error::ApiError, state::Conduit};

#[derive(Serialize)]
pub(crate) struct Profile {
    username: String,
    bio: Option<String>,
    image: Option<String>,
    following: bool,
}

impl FromRow<'_, PgRow> for Profile {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            username: row.try_get("username")?,
            bio: row.try_get("bio")?,
            image: row.try_get("image")?,
            following: row.try_get("following")?,
        })
    }
}

pub(crate) async fn show(
    State(conduit): State<Conduit>,
    reader: Option<User<Account>>,
    Path(username): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let reader = reader.map(|User(reader)| reader.id);
    profile(&conduit.pool, reader, &username).await
}

pub(crate) async fn follow(
    State(conduit): State<Conduit>,
    User(reader): User<Account>,
    Path(username): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let follow = "INSERT INTO follows (follower, followed)
        SELECT $1, id FROM users WHERE username = $2 ON CONFLICT DO NOTHING";
    conduit.relate(follow, &reader, &username).await?;
    profile(&conduit.pool, Some(reader.id), &username).await
}

pub(crate) async fn unfollow(
    State(conduit): State<Conduit>,
    User(reader): User<Account>,
    Path(username): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let unfollow = "DELETE FROM follows USING users
        WHERE follower = $1 AND followed = id AND username = $2";
    conduit.relate(unfollow, &reader, &username).await?;
    profile(&conduit.pool, Some(reader.id), &username).await
}

/// The profile as `reader` sees it.
async fn profile(
    pool: &PgPool,
    reader: Option<i64>,
    username: &str,
) -> Result<Json<Value>, ApiError> {
    let find = "SELECT username, bio, image,
            EXISTS (SELECT FROM follows WHERE follower = $1 AND followed = id) AS following
        FROM users WHERE username = $2";
    let found: Option<Profile> = sqlx::query_as(find)
        .bind(reader)
        .bind(username)
        .fetch_optional(pool)
        .await?;
    let profile = found.ok_or(ApiError::NotFound("profile"))?;
    Ok(Json(json!({ "profile": profile })))
}
