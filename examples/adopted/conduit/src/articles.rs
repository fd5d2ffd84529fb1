//! Articles, their tags, and their favourites.

mod query;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use gatepass_axum::User;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::query::find;
use crate::{
    account::Account,
    articles::query::{Filter, Page},
    body::{Body, Params, changed, nullable, required},
    error::ApiError,
    state::Conduit,
};

#[derive(Deserialize)]
pub(crate) struct Of<T> {
    article: T,
}

#[derive(Deserialize)]
pub(crate) struct NewArticle {
    title: Option<String>,
    description: Option<String>,
    body: Option<String>,
    #[serde(default, rename = "tagList")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "nullable")]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    body: Option<Option<String>>,
    #[serde(default, rename = "tagList", deserialize_with = "nullable")]
    tags: Option<Option<Vec<String>>>,
}

pub(crate) async fn create(
    State(conduit): State<Conduit>,
    User(author): User<Account>,
    Body(Of { article }): Body<Of<NewArticle>>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let title = required("title", article.title)?;
    let description = required("description", article.description)?;
    let body = required("body", article.body)?;
    let slug = slug_of(&title)?;
    let add = "INSERT INTO articles (slug, author_id, title, description, body, tags)
        VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(add)
        .bind(&slug)
        .bind(author.id)
        .bind(title)
        .bind(description)
        .bind(body)
        .bind(article.tags)
        .execute(&conduit.pool)
        .await?;
    let article = answer(&conduit, Some(author.id), &slug).await?;
    Ok((StatusCode::CREATED, article))
}

pub(crate) async fn show(
    State(conduit): State<Conduit>,
    reader: Option<User<Account>>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let reader = reader.map(|User(reader)| reader.id);
    answer(&conduit, reader, &slug).await
}

pub(crate) async fn update(
    State(conduit): State<Conduit>,
    User(author): User<Account>,
    Path(slug): Path<String>,
    Body(Of { article: changes }): Body<Of<Changes>>,
) -> Result<Json<Value>, ApiError> {
    let title = changed("title", changes.title)?;
    let description = changed("description", changes.description)?;
    let body = changed("body", changes.body)?;
    let tags = changes
        .tags
        .map(|tags| tags.ok_or_else(|| ApiError::blank("tagList")));
    let tags = tags.transpose()?;
    let article = own(&conduit, &author, &slug).await?;
    let slug = title.as_deref().map_or(Ok(slug), slug_of)?;
    let change = "UPDATE articles SET
            slug = $2,
            title = coalesce($3, title),
            description = coalesce($4, description),
            body = coalesce($5, body),
            tags = coalesce($6, tags),
            updated_at = now()
        WHERE id = $1";
    sqlx::query(change)
        .bind(article)
        .bind(&slug)
        .bind(title)
        .bind(description)
        .bind(body)
        .bind(tags)
        .execute(&conduit.pool)
        .await?;
    answer(&conduit, Some(author.id), &slug).await
}

pub(crate) async fn delete(
    State(conduit): State<Conduit>,
    User(author): User<Account>,
    Path(slug): Path<String>,
) -> Result<StatusCode, ApiError> {
    let article = own(&conduit, &author, &slug).await?;
    sqlx::query("DELETE FROM articles WHERE id = $1")
        .bind(article)
        .execute(&conduit.pool)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn favorite(
    State(conduit): State<Conduit>,
    User(reader): User<Account>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let like = "INSERT INTO favorites (user_id, article_id)
        SELECT $1, id FROM articles WHERE slug = $2 ON CONFLICT DO NOTHING";
    conduit.relate(like, &reader, &slug).await?;
    answer(&conduit, Some(reader.id), &slug).await
}

pub(crate) async fn unfavorite(
    State(conduit): State<Conduit>,
    User(reader): User<Account>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let unlike = "DELETE FROM favorites USING articles
        WHERE user_id = $1 AND article_id = id AND slug = $2";
    conduit.relate(unlike, &reader, &slug).await?;
    answer(&conduit, Some(reader.id), &slug).await
}

pub(crate) async fn list(
    State(conduit): State<Conduit>,
    reader: Option<User<Account>>,
    Params(filter): Params<Filter>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, ApiError> {
    let reader = reader.map(|User(reader)| reader.id);
    let found = query::list(&conduit.pool, reader, &filter, &page.checked()?).await?;
    Ok(Json(json!(found)))
}

pub(crate) async fn feed(
    State(conduit): State<Conduit>,
    User(reader): User<Account>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, ApiError> {
    let found = query::feed(&conduit.pool, reader.id, &page.checked()?).await?;
    Ok(Json(json!(found)))
}

pub(crate) async fn tags(State(conduit): State<Conduit>) -> Result<Json<Value>, ApiError> {
    let all = "SELECT DISTINCT unnest(tags) AS tag FROM articles ORDER BY tag";
    let tags: Vec<String> = sqlx::query_scalar(all).fetch_all(&conduit.pool).await?;
    Ok(Json(json!({ "tags": tags })))
}

async fn answer(
    conduit: &Conduit,
    reader: Option<i64>,
    slug: &str,
) -> Result<Json<Value>, ApiError> {
    let article = find(&conduit.pool, reader, slug).await?;
    Ok(Json(json!({ "article": article })))
}

/// The id of an article that `author` may change.
async fn own(conduit: &Conduit, author: &Account, slug: &str) -> Result<i64, ApiError> {
    let article = find(&conduit.pool, None, slug).await?;
    if article.author_id != author.id {
        return Err(ApiError::Forbidden("article"));
    }
    Ok(article.id)
}

/// The slug of an article: `How to train your dragon` becomes `how-to-train-your-dragon`.
fn slug_of(title: &str) -> Result<String, ApiError> {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        let message = "must have a letter or a digit".to_owned();
        return Err(ApiError::Invalid("title", message));
    }
    match words.join("-").as_str() {
        // The path of the feed.
        "feed" => Err(ApiError::Taken("title".to_owned())),
        slug => Ok(slug.to_owned()),
    }
}
