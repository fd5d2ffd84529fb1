//! The comments on an article.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use gatepass_axum::User;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, Row, postgres::PgRow};

use crate::{
    account::Account,
    articles::find,
    body::{Body, required},
    error::ApiError,
    profiles::Profile,
    state::Conduit,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    id: i64,
    created_at: String,
    /// The same as `created_at`, because nothing changes a comment.
    updated_at: String,
    body: String,
    author: Profile,
}

impl FromRow<'_, PgRow> for Comment {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("created_at")?,
            body: row.try_get("body")?,
            author: Profile::from_row(row)?,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct Of {
    comment: NewComment,
}

#[derive(Deserialize)]
struct NewComment {
    body: Option<String>,
}

pub(crate) async fn list(
    State(conduit): State<Conduit>,
    reader: Option<User<Account>>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let reader = reader.map(|User(reader)| reader.id);
    let article = find(&conduit.pool, reader, &slug).await?;
    let comments = comments(&conduit, reader, article.id, None).await?;
    Ok(Json(json!({ "comments": comments })))
}

pub(crate) async fn add(
    State(conduit): State<Conduit>,
    User(author): User<Account>,
    Path(slug): Path<String>,
    Body(Of { comment }): Body<Of>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = required("body", comment.body)?;
    let article = find(&conduit.pool, Some(author.id), &slug).await?;
    let add = "INSERT INTO comments (article_id, author_id, body) VALUES ($1, $2, $3) RETURNING id";
    let id: i64 = sqlx::query_scalar(add)
        .bind(article.id)
        .bind(author.id)
        .bind(body)
        .fetch_one(&conduit.pool)
        .await?;
    let added = comments(&conduit, Some(author.id), article.id, Some(id)).await?;
    let added = added.first().ok_or(ApiError::NotFound("comment"))?;
    Ok((StatusCode::CREATED, Json(json!({ "comment": added }))))
}

pub(crate) async fn delete(
    State(conduit): State<Conduit>,
    User(author): User<Account>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let article = find(&conduit.pool, Some(author.id), &slug).await?;
    let id: i64 = id.parse().map_err(|_| ApiError::NotFound("comment"))?;
    let find = "SELECT author_id FROM comments WHERE id = $1 AND article_id = $2";
    let owner: Option<i64> = sqlx::query_scalar(find)
        .bind(id)
        .bind(article.id)
        .fetch_optional(&conduit.pool)
        .await?;
    if owner.ok_or(ApiError::NotFound("comment"))? != author.id {
        return Err(ApiError::Forbidden("comment"));
    }
    sqlx::query("DELETE FROM comments WHERE id = $1")
        .bind(id)
        .execute(&conduit.pool)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The comments on an article as `reader` sees them, or only the comment with this id.
async fn comments(
    conduit: &Conduit,
    reader: Option<i64>,
    article: i64,
    id: Option<i64>,
) -> sqlx::Result<Vec<Comment>> {
    let find = r#"SELECT c.id, c.body,
            to_char(c.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
            u.username, u.bio, u.image,
            EXISTS (SELECT FROM follows WHERE follower = $1 AND followed = u.id) AS following
        FROM comments c JOIN users u ON u.id = c.author_id
        WHERE c.article_id = $2 AND ($3::bigint IS NULL OR c.id = $3)
        ORDER BY c.id"#;
    sqlx::query_as(find)
        .bind(reader)
        .bind(article)
        .bind(id)
        .fetch_all(&conduit.pool)
        .await
}
