//! The queries for articles.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

use crate::{error::ApiError, profiles::Profile};

/// An article as a reader sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Article {
    #[serde(skip)]
    pub(crate) id: i64,
    #[serde(skip)]
    pub(crate) author_id: i64,
    slug: String,
    title: String,
    description: String,
    /// `None` in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    tag_list: Vec<String>,
    created_at: String,
    updated_at: String,
    favorited: bool,
    favorites_count: i64,
    author: Profile,
}

impl FromRow<'_, PgRow> for Article {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            author_id: row.try_get("author_id")?,
            slug: row.try_get("slug")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            body: row.try_get("body")?,
            tag_list: row.try_get("tags")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            favorited: row.try_get("favorited")?,
            favorites_count: row.try_get("favorites_count")?,
            author: Profile::from_row(row)?,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Articles {
    articles: Vec<Article>,
    articles_count: i64,
}

#[derive(Deserialize)]
pub(crate) struct Filter {
    tag: Option<String>,
    author: Option<String>,
    favorited: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Page {
    limit: Option<i64>,
    offset: Option<i64>,
}

impl Page {
    pub(super) fn checked(self) -> Result<Self, ApiError> {
        if self.limit.is_some_and(|limit| !(1..=100).contains(&limit)) {
            let message = "must be between 1 and 100".to_owned();
            return Err(ApiError::Invalid("limit", message));
        }
        if self.offset.is_some_and(i64::is_negative) {
            let message = "must not be negative".to_owned();
            return Err(ApiError::Invalid("offset", message));
        }
        Ok(self)
    }
}

const USUAL_LIMIT: i64 = 20;

/// The columns of an article as the reader `$1` sees it, and the rest of the statement.
macro_rules! select_articles {
    ($body:literal, $rest:expr) => {
        concat!(
            "SELECT a.id, a.author_id, a.slug, a.title, a.description, a.tags,",
            $body,
            r#"     to_char(a.created_at AT TIME ZONE 'UTC',
                        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
                    to_char(a.updated_at AT TIME ZONE 'UTC',
                        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS updated_at,
                    EXISTS (SELECT FROM favorites
                        WHERE user_id = $1 AND article_id = a.id) AS favorited,
                    (SELECT count(*) FROM favorites WHERE article_id = a.id) AS favorites_count,
                    u.username, u.bio, u.image,
                    EXISTS (SELECT FROM follows
                        WHERE follower = $1 AND followed = u.id) AS following
                FROM articles a JOIN users u ON u.id = a.author_id "#,
            $rest
        )
    };
}

macro_rules! matches_filter {
    () => {
        // The count doesn't need the reader, `$1`, but PostgreSQL must know the type of each
        // parameter.
        "WHERE ($1::bigint IS NULL OR true)
            AND ($2::text IS NULL OR $2 = ANY (a.tags))
            AND ($3::text IS NULL OR u.username = $3)
            AND ($4::text IS NULL OR EXISTS (
                SELECT FROM favorites f JOIN users r ON r.id = f.user_id
                WHERE f.article_id = a.id AND r.username = $4))"
    };
}

macro_rules! is_in_feed {
    () => {
        "WHERE EXISTS (SELECT FROM follows WHERE follower = $1 AND followed = a.author_id)"
    };
}

/// The article as `reader` sees it.
pub(crate) async fn find(
    pool: &PgPool,
    reader: Option<i64>,
    slug: &str,
) -> Result<Article, ApiError> {
    let found = sqlx::query_as(select_articles!("a.body,", "WHERE a.slug = $2"))
        .bind(reader)
        .bind(slug)
        .fetch_optional(pool);
    found.await?.ok_or(ApiError::NotFound("article"))
}

/// The articles that match, the newest first, without their bodies.
pub(super) async fn list(
    pool: &PgPool,
    reader: Option<i64>,
    filter: &Filter,
    page: &Page,
) -> Result<Articles, ApiError> {
    let select = select_articles!(
        "NULL AS body,",
        concat!(matches_filter!(), " ORDER BY a.id DESC LIMIT $5 OFFSET $6")
    );
    let articles = sqlx::query_as(select)
        .bind(reader)
        .bind(&filter.tag)
        .bind(&filter.author)
        .bind(&filter.favorited)
        .bind(page.limit.unwrap_or(USUAL_LIMIT))
        .bind(page.offset.unwrap_or(0))
        .fetch_all(pool)
        .await?;
    let count = concat!(
        "SELECT count(*) FROM articles a JOIN users u ON u.id = a.author_id ",
        matches_filter!()
    );
    let articles_count = sqlx::query_scalar(count)
        .bind(reader)
        .bind(&filter.tag)
        .bind(&filter.author)
        .bind(&filter.favorited)
        .fetch_one(pool)
        .await?;
    Ok(Articles {
        articles,
        articles_count,
    })
}

/// The articles of the authors whom `reader` follows.
pub(super) async fn feed(pool: &PgPool, reader: i64, page: &Page) -> Result<Articles, ApiError> {
    let select = select_articles!(
        "NULL AS body,",
        concat!(is_in_feed!(), " ORDER BY a.id DESC LIMIT $2 OFFSET $3")
    );
    let articles = sqlx::query_as(select)
        .bind(reader)
        .bind(page.limit.unwrap_or(USUAL_LIMIT))
        .bind(page.offset.unwrap_or(0))
        .fetch_all(pool)
        .await?;
    let count = concat!("SELECT count(*) FROM articles a ", is_in_feed!());
    let articles_count = sqlx::query_scalar(count)
        .bind(reader)
        .fetch_one(pool)
        .await?;
    Ok(Articles {
        articles,
        articles_count,
    })
}
