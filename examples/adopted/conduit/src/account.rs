//! The row of a user. Gates load it.

use axum::{
    Json,
    http::{HeaderName, header::CACHE_CONTROL},
};
use gatepass::Subject;
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

/// An answer with a token. No cache may keep it.
pub(crate) type UserReply = ([(HeaderName, &'static str); 1], Json<Value>);

/// A user's row.
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) username: String,
    email: String,
    bio: Option<String>,
    image: Option<String>,
}

impl FromRow<'_, PgRow> for Account {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            username: row.try_get("username")?,
            email: row.try_get("email")?,
            bio: row.try_get("bio")?,
            image: row.try_get("image")?,
        })
    }
}

impl Account {
    /// The user of a session. The subject of the session is the user's id.
    pub(crate) async fn find(pool: &PgPool, subject: &Subject) -> sqlx::Result<Option<Self>> {
        let Ok(id) = subject.as_str().parse::<i64>() else {
            return Ok(None);
        };
        sqlx::query_as("SELECT id, username, email, bio, image FROM users WHERE id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await
    }

    /// The user in an answer.
    pub(crate) fn with_token(&self, token: &str) -> UserReply {
        let user = json!({
            "username": self.username,
            "email": self.email,
            "bio": self.bio,
            "image": self.image,
            "token": token,
        });
        ([(CACHE_CONTROL, "no-store")], Json(json!({ "user": user })))
    }
}
