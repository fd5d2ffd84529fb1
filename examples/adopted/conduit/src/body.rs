//! JSON bodies and queries, with errors in the API's own format.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tokio::time::timeout;

use crate::error::ApiError;

/// How long a client may take to send a body. axum itself has no limit.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = timeout(PATIENCE, Json::from_request(request, state)).await;
        match body.map_err(|_| ApiError::TooSlow)? {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(ApiError::Invalid("body", rejection.body_text())),
        }
    }
}

/// The parameters of the query.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiError::Invalid("query", rejection.body_text())),
        }
    }
}

/// The text of a required member.
pub(crate) fn required(member: &'static str, text: Option<String>) -> Result<String, ApiError> {
    match text {
        Some(text) if text.contains('\0') => Err(ApiError::nul(member)),
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(ApiError::blank(member)),
    }
}

/// The value of a member, if the client wants to change it. It must not be blank or null.
pub(crate) fn changed(
    member: &'static str,
    text: Option<Option<String>>,
) -> Result<Option<String>, ApiError> {
    text.map(|text| required(member, text)).transpose()
}

/// Distinguishes a member that is null (`Some(None)`) from one that is missing (`None`).
pub(crate) fn nullable<'d, T: Deserialize<'d>, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use axum::{body, http::header::CONTENT_TYPE, response::IntoResponse};
    use futures_util::stream;
    use serde_json::Value;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_refused_after_thirty_seconds() {
        let never = stream::pending::<Result<&[u8], std::io::Error>>();
        let request = Request::builder().header(CONTENT_TYPE, "application/json");
        let request = request.body(body::Body::from_stream(never)).unwrap();
        let begun = Instant::now();
        let refused = Body::<Value>::from_request(request, &()).await;
        assert_eq!(refused.err().unwrap().into_response().status(), 408);
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
